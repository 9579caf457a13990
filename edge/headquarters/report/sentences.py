"""What figures are called in sentences: problems with what to do about them, and corrections."""

from __future__ import annotations

from edge.headquarters.corrections import Action
from edge.headquarters.report.problems import Kind, Problem
from edge.headquarters.report.study import Applied
from edge.web.language import Language
from edge.web.language import marked as _

_CAUSES = {
    Kind.SILENT: _("no hour has come"),
    Kind.MISSING: _("hours are missing"),
    Kind.OFF: _("the box was off, or vision did not run"),
    Kind.DOUBTED: _("more people than there can have been"),
    Kind.UNBALANCED: _("in and out differ by {balance}"),
    Kind.CAMERA_LOST: _("the camera gave no pictures"),
    Kind.COVERED: _("the camera was covered"),
    Kind.DARK: _("it was too dark"),
    Kind.FROZEN: _("the picture stood still"),
    Kind.MOVED: _("the camera was moved"),
    Kind.SLOW: _("too few pictures a second"),
    Kind.UNUSUAL: _("{change} people in against the mean of four weeks"),
}
_ADVICE = {
    Kind.SILENT: _("look at the box's power and the shop's network"),
    Kind.MISSING: _("the box sends them when it can; if not, look at its log"),
    Kind.OFF: _("look at power; if it comes back each night, somebody pulls the plug"),
    Kind.DOUBTED: _("confirm or exclude these hours"),
    Kind.UNBALANCED: _("look where the line lies"),
    Kind.CAMERA_LOST: _("look at cable and plug"),
    Kind.COVERED: _("call the shop: something hangs before the lens"),
    Kind.DARK: _("look at the lights, or at the opening hours"),
    Kind.FROZEN: _("look at cable and plug"),
    Kind.MOVED: _("draw the line again"),
    Kind.SLOW: _("cool or relieve the box"),
    Kind.UNUSUAL: _("look at the picture; if there is another reason, annotate the day"),
}
_ACTIONS = {
    Action.EXCLUDE: _("excluded"),
    Action.BELIEVE: _("confirmed"),
    Action.ANNOTATE: _("noted"),
    Action.RENAME: _("renamed"),
    Action.MERGE: _("merged"),
    Action.RETIRE: _("retired"),
}


def cause(problem: Problem, words: Language) -> str:
    """Return what is wrong, and since or from when to when."""
    balance = "" if problem.balance is None else words.percent(problem.balance, 0, signed=True)
    change = "" if problem.change is None else words.percent(problem.change, 0, signed=True)
    text = words(_CAUSES[problem.kind], balance=balance, change=change)
    if problem.kind is Kind.UNUSUAL:
        when = words("on {day}", day=words.weekday_and_day(problem.since.date()))
    elif problem.kind is Kind.UNBALANCED:
        when = words("since {day}", day=words.day(problem.since.date()))
    elif problem.until is None:
        when = words("since {day}", day=words.moment(problem.since))
    elif problem.until == problem.since:
        when = words("on {day}", day=words.moment(problem.since))
    else:
        when = words("{first} to {last}", first=words.moment(problem.since), last=words.moment(problem.until))
    return f"{text}, {when}"


def advice(problem: Problem, words: Language) -> str:
    """Return what to do about it."""
    return words(_ADVICE[problem.kind])


def applied(entry: Applied, words: Language) -> tuple[str, str, str, str]:
    """Return what a correction does, where and when, what it touches here, and who has made it when and why."""
    one = entry.correction
    where = f"{one.site}/{one.camera}" if one.camera else one.site
    if one.value:
        where += f" \u2192 {one.value}" if one.action in (Action.RENAME, Action.MERGE) else f": {one.value}"
    touched = ""
    if entry.hours:
        touched = words.plural("{n} hour", "{n} hours", entry.hours)
        if one.action == Action.EXCLUDE:
            touched += ", " + words("{people} people in left out", people=words.number(entry.people))
    who = f"{one.number}: {one.who}, {words.whole_day(one.made.date())}: {one.why}"
    return words(_ACTIONS[Action(one.action)]), where, touched, who
