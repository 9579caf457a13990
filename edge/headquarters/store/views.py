"""
Views for those who read the store by SQL: Grafana, Power BI, Metabase. PostgreSQL only, which knows time zones.

They say of each hour what the report says of it: whether it is good, and whether somebody has excluded it. Visitors are
those of entrances, if the collector has sites.yaml. The report's rules stand in `report/reliability.py`; a test holds
both against each other.
"""

from __future__ import annotations

from edge.core.hour import TROUBLES, WELL_WATCHED

_TROUBLED = ", ".join(f"'{flag}'" for flag in TROUBLES)

_NAMED = """
    LEFT JOIN LATERAL (SELECT s.site_name, s.region FROM sites s WHERE s.site = h.site LIMIT 1) named ON true
    LEFT JOIN sites cam ON cam.site = h.site AND cam.camera = h.camera
"""
"""Gives each row of *h* what people call its site and its camera."""


def _visitors(way: str) -> str:
    """Return the SQL for the people of *h* who came `in` or went `out` over lines that are no passages."""
    return f"""h."{way}" - CASE WHEN cam.passages <> '[]' THEN (
            SELECT coalesce(sum(CAST(h.lines -> passage ->> '{way}' AS integer)), 0)
            FROM jsonb_array_elements_text(cam.passages) AS passage
        ) ELSE 0 END"""  # noqa: S608 - with constants of our own


INDEX = "CREATE INDEX IF NOT EXISTS hours_by_day ON hours (CAST(start AT TIME ZONE timezone AS date))"
"""Lets who asks `footfall_days` for some days read the hours of these days alone."""

VIEWS = (
    """
    CREATE OR REPLACE VIEW footfall_corrections AS
    SELECT c.id, c.made, c.who, c.why, c.action, c.site, c.camera, c.since, c.until, c.value
    FROM corrections c
    WHERE c.action <> 'revoke' AND NOT EXISTS (SELECT 1 FROM corrections r WHERE r.revokes = c.id)
    """,
    f"""
    CREATE OR REPLACE VIEW footfall_hours AS
    SELECT h.site, coalesce(named.site_name, h.site) AS site_name, named.region, h.camera,
        coalesce(cam.camera_name, h.camera) AS camera_name, h.start,
        h.start AT TIME ZONE h.timezone AS local_start,
        CAST(h.start AT TIME ZONE h.timezone AS date) AS day,
        CAST(extract(isodow FROM h.start AT TIME ZONE h.timezone) AS integer) AS weekday,
        CAST(extract(hour FROM h.start AT TIME ZONE h.timezone) AS integer) AS hour,
        {_visitors("in")} AS visitors_in, {_visitors("out")} AS visitors_out, h.watched_s, h.flags,
        CASE
            WHEN EXISTS (
                SELECT 1 FROM footfall_corrections c
                WHERE c.action = 'exclude' AND c.site = h.site AND c.camera IN ('', h.camera)
                    AND (c.since IS NULL OR h.start >= c.since) AND (c.until IS NULL OR h.start < c.until)
            ) THEN 'excluded'
            WHEN h.flags ? 'closed' AND h.flags - 'closed' - 'restarted' <> '[]' THEN 'poor'
            WHEN h.flags ? 'closed' AND h.watched_s > 0 THEN 'good'
            WHEN h.flags ? 'closed' THEN 'closed'
            WHEN h.watched_s = 0 THEN 'unwatched'
            WHEN h.flags ?| ARRAY[{_TROUBLED}] THEN 'poor'
            WHEN h.watched_s >= {WELL_WATCHED} * extract(epoch FROM h."end" - h.start) THEN 'good'
            ELSE 'poor'
        END AS state
    FROM hours h {_NAMED}
    WHERE NOT h.flags ? 'trial'
    """,  # noqa: S608 - with constants of our own
    f"""
    CREATE OR REPLACE VIEW footfall_days AS
    SELECT site, site_name, region, camera, camera_name, day,
        sum(CASE WHEN state IN ('good', 'closed', 'poor') THEN visitors_in ELSE 0 END) AS visitors_in,
        sum(CASE WHEN state IN ('good', 'closed', 'poor') THEN visitors_out ELSE 0 END) AS visitors_out,
        count(*) FILTER (
            WHERE NOT (flags ? 'closed' AND watched_s = 0 AND flags - 'closed' - 'restarted' = '[]')
        ) AS open_hours,
        count(*) FILTER (WHERE state = 'good') AS good_hours
    FROM footfall_hours
    GROUP BY site, site_name, region, camera, camera_name, day
    UNION ALL
    SELECT h.site, coalesce(named.site_name, h.site), named.region, h.camera, coalesce(cam.camera_name, h.camera),
        h.day, {_visitors("in")}, {_visitors("out")}, h.open_hours, h.good_hours
    FROM days h {_NAMED}
    """,  # noqa: S608 - likewise
    # Every camera once: it looks at one row of `hours` for each, so that a list of shops costs nothing.
    f"""
    CREATE OR REPLACE VIEW footfall_cameras AS
    WITH RECURSIVE found(site, camera) AS (
        (SELECT site, camera FROM hours ORDER BY site, camera LIMIT 1)
        UNION ALL
        SELECT next.site, next.camera
        FROM found, LATERAL (
            SELECT site, camera FROM hours WHERE (hours.site, hours.camera) > (found.site, found.camera)
            ORDER BY site, camera LIMIT 1
        ) next
    ), every AS (SELECT site, camera FROM found UNION SELECT site, camera FROM days)
    SELECT h.site, coalesce(named.site_name, h.site) AS site_name, named.region, h.camera,
        coalesce(cam.camera_name, h.camera) AS camera_name
    FROM every h {_NAMED}
    """,  # noqa: S608 - likewise
    f"""
    CREATE OR REPLACE VIEW footfall_alerts AS
    SELECT h.site, coalesce(named.site_name, h.site) AS site_name, named.region, h.camera,
        coalesce(cam.camera_name, h.camera) AS camera_name, h.kind, h.since
    FROM alerts h {_NAMED}
    WHERE h.channel = 'store'
    """,  # noqa: S608 - likewise
)
"""In the order in which they need each other."""
