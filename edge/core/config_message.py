"""One fault of a config file as data, and how the parts of a message become a sentence."""

from __future__ import annotations

from dataclasses import dataclass


def join(subject: str, cause: str, advice: str) -> str:
    """Return "subject: cause; advice" without what is empty."""
    about = f"{subject}: " if subject else ""
    return f"{about}{cause}" + (f"; {advice}" if advice else "")


@dataclass(frozen=True, slots=True)
class ConfigMessage:
    """
    One fault of a config file, or of an option.

    Attributes:
        cause: What is wrong.
        advice: What to write instead; may be empty.
        key: The setting, as in "cameras.door.fps"; empty where the file as a whole is meant.
        place: File and line, as in "footfall.yaml:6"; empty for an option.
        excerpt: Lines of the file that show the place, for a terminal; mostly empty.
    """

    cause: str
    advice: str = ""
    key: str = ""
    place: str = ""
    excerpt: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """What is wrong and where, without the advice."""
        return join(": ".join(filter(None, (self.place, self.key))), self.cause, "")

    def __str__(self) -> str:
        """Return all of it but the excerpt, on one line."""
        return join("", self.problem, self.advice)
