"""
What people know better than a camera: corrections of the counts, each with who, when and why.

A correction is a row that is added to the store and never changed or deleted; one that was wrong is revoked by another.
The hours themselves stay as they came. A report applies what is in force, and lists it.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.core.printable import printable
from edge.core.topics import NAME_PATTERN
from edge.headquarters.store.reader import Correction, Reader
from edge.headquarters.store.store import Store

_PLACE = re.compile(rf"({NAME_PATTERN})(?:/({NAME_PATTERN}))?")
_LONGEST_TEXT = 200
"""Characters of a reason, a note or a name."""

Names = tuple[str, str]
"""Site and camera."""


class Action(StrEnum):
    """What a correction does."""

    EXCLUDE = "exclude"
    """The hours are in no sum and in no comparison."""
    BELIEVE = "believe"
    """Hours with more people than usual are right."""
    ANNOTATE = "annotate"
    """A note stands beside the days; no figure changes."""
    RENAME = "rename"
    """A camera's hours are shown under another name, which no camera has."""
    MERGE = "merge"
    """A camera's hours are added to those of another: the box was replaced, or has got another name."""
    RETIRE = "retire"
    """The camera is gone: from then on no hour of it is missing."""
    REVOKE = "revoke"
    """An earlier correction no longer holds."""


@dataclass(slots=True)
class InForce:
    """The corrections that hold, by what a report asks of them."""

    ranges: list[Correction] = field(default_factory=list)
    """Those that exclude, believe or annotate."""
    aliases: dict[Names, Names] = field(default_factory=dict)
    retired: dict[Names, datetime] = field(default_factory=dict)
    lasting: list[Correction] = field(default_factory=list)
    """Those that rename, merge or retire a camera."""

    @classmethod
    def of(cls, corrections: Iterable[Correction]) -> InForce:
        """Return those of all *corrections*, in the order in which they were made, that nobody has revoked."""
        found = cls()
        everything = list(corrections)
        revoked = {one.revokes for one in everything}
        for one in everything:
            if one.number in revoked or one.action == Action.REVOKE:
                continue
            if one.action in (Action.RENAME, Action.MERGE):
                site, _, camera = one.value.partition("/")
                found.aliases[one.site, one.camera] = (site, camera)
                found.lasting.append(one)
            elif one.action == Action.RETIRE and one.since is not None:
                found.retired[one.site, one.camera] = one.since
                found.lasting.append(one)
            else:
                found.ranges.append(one)
        return found

    def shown_as(self, names: Names) -> Names:
        """Return under which names a camera's hours are shown."""
        seen = {names}
        while (target := self.aliases.get(names)) is not None and target not in seen:
            seen.add(target)
            names = target
        return names

    def is_of(self, sites: Sequence[str], names: Names) -> bool:
        """Tell whether a camera belongs to one of *sites*, as it is stored or as it is shown; to all if empty."""
        return not sites or names[0] in sites or self.shown_as(names)[0] in sites

    def of_camera(self, action: Action, names: Names) -> Iterator[Correction]:
        """Yield the ranges of *action* for the camera that is shown as *names*."""
        for one in self.ranges:
            if one.action == action and (
                (one.site == names[0] and not one.camera) or self.shown_as((one.site, one.camera)) == names
            ):
                yield one


def place(text: str) -> Names:
    """
    Return site and camera of `site/camera`, or of `site`, whose camera is "".

    Raises:
        ValueError: that is neither.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError(f"a camera is needed, as in sh-023/door-a, or a site, as in sh-023, not {text!r}")
    return match[1], match[2] or ""


@dataclass(frozen=True, slots=True)
class Wish:
    """
    A correction as a person gives it.

    Attributes:
        since: First day or moment, local time of the site.
        until: Last day, or the first moment after it, local time of the site.
    """

    action: Action
    site: str
    camera: str
    why: str
    since: date | datetime | None = None
    until: date | datetime | None = None
    value: str = ""
    number: int | None = None


def wish(
    action: str,
    what: str,
    *,
    why: str,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    value: str = "",
) -> Wish:
    """
    Return the correction that a command line gives: *what* is a camera or a site, or a number to revoke.

    Raises:
        ValueError: *what* can't be read.
    """
    if action == Action.REVOKE:
        if not what.isdecimal():
            raise ValueError(
                f"the number of a correction is needed, not {what!r}; `footfall correct --list` shows them"
            )
        return Wish(Action.REVOKE, "", "", why, number=int(what))
    return Wish(Action(action), *place(what), why, since, until, value)


def enter(store: Store, wish: Wish, clock: Clock, who: str | None = None) -> int:
    """
    Enter a correction; return its number.

    Args:
        store: Where it goes.
        wish: What it is.
        clock: Headquarters' own.
        who: Who says so; by default the account that runs this program.

    Raises:
        ConfigError: with every reason why it can't be entered.
        StoreUnusable: it can't be written.
    """
    everything = store.corrections()
    faults = list(_faults(store, wish, everything))
    who = (who or getpass.getuser()).strip()
    if not who or len(who) > _LONGEST_TEXT or who != printable(who):
        faults.append("--by needs a name")
    if faults:
        raise ConfigError("correct", faults)
    site, camera = wish.site, wish.camera
    if wish.number is not None:
        (site, camera) = next((one.site, one.camera) for one in everything if one.number == wish.number)
    zone = _zone(store, site)
    since, until = _instant(wish.since, zone, is_end=False), _instant(wish.until, zone, is_end=True)
    now = datetime.fromtimestamp(clock.wall_ms() // 1000, UTC)
    return store.correct(
        Correction(0, now, who, wish.why, wish.action, site, camera, since, until, wish.value, wish.number)
    )


def _faults(store: Reader, wish: Wish, everything: Sequence[Correction]) -> Iterator[str]:
    """Yield why a correction can't be entered."""
    for name, text in (("--why", wish.why), ("the text", wish.value)):
        if len(text) > _LONGEST_TEXT or text != printable(text):
            yield f"{name} has at most {_LONGEST_TEXT} characters on one line"
    if not wish.why.strip():
        yield "--why needs a reason; whoever reads the report in a year will ask for it"
    if wish.action is Action.REVOKE:
        in_force = {one.number for one in everything} - {one.revokes for one in everything}
        if wish.number not in in_force:
            yield f"there is no correction {wish.number} that could be revoked; `footfall correct --list` shows them"
        return
    known = set(store.cameras())
    if wish.camera and (wish.site, wish.camera) not in known:
        yield f"there are no hours of {wish.site}/{wish.camera}"
    elif not any(site == wish.site for site, _ in known):
        yield f"there are no hours of {wish.site}"
    yield from _faults_of_action(wish, known, InForce.of(everything))


def _faults_of_action(wish: Wish, known: set[Names], in_force: InForce) -> Iterator[str]:
    """Yield what an action needs and doesn't have."""
    if wish.action in (Action.RENAME, Action.MERGE, Action.RETIRE) and not wish.camera:
        yield f"{wish.action} needs a camera, as in {wish.site}/door-a"
    if wish.action in (Action.RENAME, Action.MERGE):
        yield from _faults_of_target(wish, known, in_force)
    if wish.action in (Action.EXCLUDE, Action.BELIEVE, Action.ANNOTATE) and None in (wish.since, wish.until):
        yield f"{wish.action} needs --from and --to"
    if wish.action is Action.RETIRE and wish.since is None:
        yield "retire needs --from, the first day on which the camera is gone"
    if wish.action is Action.ANNOTATE and not wish.value:
        yield "annotate needs a note"
    utc = ZoneInfo("UTC")
    since, until = _instant(wish.since, utc, is_end=False), _instant(wish.until, utc, is_end=True)
    if since is not None and until is not None and until <= since:
        yield "--to comes before --from"


def _faults_of_target(wish: Wish, known: set[Names], in_force: InForce) -> Iterator[str]:
    """Yield why a camera can't be shown as the one that *wish* names."""
    match = _PLACE.fullmatch(wish.value)
    if match is None or not match[2]:
        yield f"say as what it is shown, as in {wish.site}/door-b, not {wish.value!r}"
        return
    target = (match[1], match[2])
    if in_force.shown_as(target) == in_force.shown_as((wish.site, wish.camera)):
        yield f"{wish.site}/{wish.camera} is shown as {wish.value} already"
    elif wish.action is Action.RENAME and target in known:
        yield f"{wish.value} has hours of its own; to add both up, use merge"
    elif wish.action is Action.MERGE and in_force.shown_as(target) not in known:
        yield f"there are no hours of {wish.value}; to give a new name, use rename"


def _zone(store: Reader, site: str) -> ZoneInfo:
    """Return the time zone of a site's newest hour."""
    newest = max((store.newest(*names) for names in store.cameras() if names[0] == site), default=(0, "UTC"))
    return ZoneInfo(newest[1])


def _instant(moment: date | datetime | None, zone: ZoneInfo, *, is_end: bool) -> datetime | None:
    """Return a local day or moment as an instant; the last day ends at its midnight."""
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=zone).astimezone(UTC)
    day = moment + timedelta(days=1) if is_end else moment
    return datetime.combine(day, time(), zone).astimezone(UTC)


def describe(one: Correction, *, revoked: bool) -> str:
    """Return one line about a correction."""
    where = f"{one.site}/{one.camera}" if one.camera else one.site
    span = "".join(
        f" {word} {when:%Y-%m-%dT%H:%MZ}" for word, when in (("from", one.since), ("to", one.until)) if when is not None
    )
    value = f" ({printable(one.value)})" if one.value else ""
    what = f"revoke {one.revokes}" if one.action == Action.REVOKE else f"{one.action} {where}"
    end = " [revoked]" if revoked else ""
    return (
        f"{one.number}: {one.made:%Y-%m-%dT%H:%MZ} {printable(one.who)}: {what}{span}{value}: {printable(one.why)}{end}"
    )
