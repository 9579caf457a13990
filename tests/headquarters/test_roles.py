"""Roles of a real PostgreSQL: the writer can do what `collect` needs, the reader what reports need, and no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from edge.cli.upkeep import roles as command
from edge.core.clock import ManualClock
from edge.core.errors import ConfigError
from edge.core.hour import Hour
from edge.headquarters import corrections, sites
from edge.headquarters.address import grant_roles, open_reader, open_store
from edge.headquarters.errors import StoreUnusable
from edge.headquarters.report import write
from edge.headquarters.sites import as_table
from edge.headquarters.store.batch import Arrival, Batch
from tests.headquarters.conftest import Postgres, Spawn, until_said
from tests.headquarters.messages import NOW, TOPIC, publish, recent, told
from tests.publisher.rig import Mosquitto, wait_until

pytestmark = pytest.mark.processes

PLAN = sites.parse("sites: {sh-023: {name: Berlin Mitte}}")


class Roles:
    """A store with both roles: the URL of its owner, of its writer and of its reader."""

    def __init__(self, server: Postgres) -> None:
        self.owner = server.database()
        number = self.owner.rpartition("hours")[2]
        self.names = (f"writer{number}", f"reader{number}")
        said = list(grant_roles(self.owner, *self.names))
        assert ["made", "made"] == [line.split()[1].rstrip(";") for line in said]
        self.writer, self.reader = (self.owner.replace("footfall@", f"{name}@") for name in self.names)


@pytest.fixture
def made(postgres: Postgres) -> Roles:
    return Roles(postgres)


def refused(url: str, *statements: str) -> list[str]:
    """Return those of *statements* that the role is not refused."""
    passed = []
    for statement in statements:
        with psycopg.connect(url, autocommit=True) as connection:
            try:
                connection.execute(statement)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
                continue
            passed.append(statement)
    return passed


def test_the_writer_does_everything_that_a_collector_does(
    made: Roles, own_mosquitto: Callable[..., Mosquitto], spawn: Spawn, said: Callable[..., str], tmp_path: Path
) -> None:
    """A real collector with its role alone: hours, statuses, quarantine, names, its session."""
    broker = own_mosquitto()
    (tmp_path / "sites.yaml").write_text("sites: {sh-023: {name: Berlin Mitte}}\n")
    spawn("collect", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--store", made.writer,
          "--sites", tmp_path / "sites.yaml")  # fmt: skip
    until_said(said, "connected to")
    publish(broker.port, TOPIC.replace("hour", "status"), b"online")
    publish(broker.port, TOPIC, told(recent(2)[0]), b"junk", told(recent(2)[0], revision=2))
    owner = open_store(made.owner)
    wait_until(lambda: {"garbage": 1} == owner.quarantined(), "the quarantine")
    wait_until(lambda: owner.count() == 1 and bool(owner.statuses()), "the hour")
    names = owner._run("SELECT site_name FROM sites").fetchall()
    owner.close()
    writer = open_store(made.writer)
    writer.prune()
    assert writer.session(f"127.0.0.1:{broker.port}", "1")
    writer.forget_session(f"127.0.0.1:{broker.port}", "1")
    writer.close()

    assert [("Berlin Mitte",)] == names
    assert "permission denied" not in said()


def test_the_writer_can_do_nothing_else(made: Roles) -> None:
    """It deletes no hour and no day, sees and makes no correction, and changes no table."""
    passed = refused(
        made.writer,
        "DELETE FROM hours", "TRUNCATE hours", "DROP TABLE hours", "ALTER TABLE hours ADD COLUMN x integer",
        "CREATE TABLE mine (x integer)", "CREATE VIEW mine AS SELECT 1", "SELECT * FROM corrections",
        "INSERT INTO corrections (made, who, why, action, site, camera, value) VALUES (now(), '', '', '', '', '', '')",
        "SELECT * FROM days", "DELETE FROM days", "DELETE FROM alerts", "DELETE FROM statuses",
        "UPDATE footfall_store SET version = 99", "CREATE ROLE other", "SELECT * FROM footfall_hours",
    )  # fmt: skip

    assert [] == passed


def test_the_reader_makes_reports_and_reads_views(made: Roles, tmp_path: Path) -> None:
    """With a correction, a sites.yaml and a page; and it is refused everything else."""
    clock = ManualClock(wall=round(NOW.timestamp() * 1000))
    store = open_store(made.owner)
    hours = [Hour.decode(told(NOW - timedelta(hours=n))) for n in range(2, 60)]
    store.add(Batch(hours=[Arrival(TOPIC, b"", hour) for hour in hours]), NOW)
    store.replace_sites(as_table(PLAN))
    corrections.enter(
        store, corrections.wish("exclude", "sh-023", why="x", since=NOW.date(), until=NOW.date()), clock, "anna"
    )
    store.close()
    write.run(made.reader, clock, write.Wish(folder=tmp_path / "pages", csv_file=tmp_path / "r.csv"))
    reader = open_reader(made.reader)
    assert [("sh-023", "door-a")] == list(reader.cameras())
    assert {} == reader.alerts("store")
    reader.close()
    with psycopg.connect(made.reader) as connection:
        views = [row[0] for row in connection.execute("SELECT viewname FROM pg_views WHERE viewname LIKE 'footfall%'")]
        counts = {view: connection.execute(f"SELECT * FROM {view}").fetchall() for view in views}  # noqa: S608

    assert (tmp_path / "pages" / "index.html").exists()
    assert 58 == len(counts["footfall_hours"])
    assert 5 == len(views)
    assert [] == refused(
        made.reader,
        "SELECT * FROM sessions", "SELECT * FROM quarantine", "DELETE FROM hours",
        "SET default_transaction_read_only = off; UPDATE hours SET revision = 9",
        "SET default_transaction_read_only = off; CREATE TABLE mine (x integer)",
    )  # fmt: skip


def test_rights_are_set_anew(made: Roles) -> None:
    """What somebody granted by hand is taken back; running it twice changes nothing else."""
    with psycopg.connect(made.owner, autocommit=True) as connection:
        connection.execute(f"GRANT ALL ON hours, corrections TO {made.names[0]}")
    said = CliRunner().invoke(command, ["--store", made.owner, "--writer", made.names[0]])

    assert (0, True) == (said.exit_code, "set anew" in said.output)
    assert [] == refused(made.writer, "DELETE FROM hours", "SELECT * FROM corrections")


@pytest.mark.parametrize(
    ("writer", "words"),
    [("footfall", "owns tables or may do everything"), ('a"; DROP', "is no name for a role"), (None, "say which")],
)
def test_a_role_that_cant_be_one_is_refused(postgres: Postgres, writer: str | None, words: str) -> None:
    """Nobody takes the owner's rights away by mistake."""
    with pytest.raises(ConfigError, match=words):
        list(grant_roles(postgres.database(), writer, None))


def test_a_file_has_no_roles(tmp_path: Path) -> None:
    """One sentence says what it has."""
    with pytest.raises(ConfigError, match="roles are PostgreSQL's"):
        list(grant_roles(str(tmp_path / "hours.sqlite"), "a", "b"))


def test_a_role_that_may_make_none_is_told(made: Roles) -> None:
    """And a store of an older release is not half changed by a role that may not."""
    with pytest.raises(StoreUnusable, match="permission denied"):
        list(grant_roles(made.writer, "another", None))
    owner = open_store(made.owner)
    with owner._transaction():
        owner._run("UPDATE footfall_store SET version = 2")
    with pytest.raises(StoreUnusable, match="permission denied"):
        open_store(made.writer)
    version: Any = owner._run("SELECT version FROM footfall_store").fetchone()
    owner.close()

    assert (2,) == tuple(version)
