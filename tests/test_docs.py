"""Docs that can't rot: whatever the code knows by name stands in the docs by that name."""

from __future__ import annotations

import json
import math
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from edge.__main__ import COMMANDS
from edge.cli.exit_codes import EXIT_CODES
from edge.config import schema
from edge.core import errors, tally
from edge.core.head_model import read as read_contract
from edge.core.hour import HOUR_MS
from edge.core.tally import SIZE, Flag
from edge.headquarters import errors as headquarters_errors
from edge.publisher.hour_builder import CORRECT_EVERY_MS, KEEP_READINGS_MS
from edge.publisher.reading_validator import MOST_TIME_MS
from edge.technician import demo, demo_headquarters

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TALLY = (ROOT / "docs" / "tally.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TECHNICIAN = (ROOT / "docs" / "technician.md").read_text(encoding="utf-8")
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))
PAGES = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/data-protection/*.md")), *ADRS]


def models_in(annotation: object) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield each config section inside *annotation*, and what its keys are written under."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield ".", annotation
    for inner in typing.get_args(annotation):
        within = ".NAME." if typing.get_origin(annotation) is dict else "."
        for _, model in models_in(inner):
            yield within, model


def keys_of(section: type[BaseModel], above: str = "") -> Iterator[str]:
    """Yield every key of the config as the docs write it: cameras.NAME.lines.NAME.from."""
    for name, info in section.model_fields.items():
        key = above + (info.alias or name)
        yield key
        for within, model in models_in(info.annotation):
            yield from keys_of(model, key + within)


def error_classes(root: type[errors.EdgeError] = errors.EdgeError) -> Iterator[type[errors.EdgeError]]:
    """Yield *root* and everything below it."""
    yield root
    for below in root.__subclasses__():
        yield from error_classes(below)


def first_column(text: str, heading: str) -> set[str]:
    """Return the first cells of the table under *heading*."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {cell.strip(" `") for cell in re.findall(r"^\|([^|]+)\|", section, re.MULTILINE)}


def test_every_config_key_is_explained_once() -> None:
    """Each key that a footfall.yaml may hold has a row in configuration.md, and no other has."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)

    assert sorted(set(keys_of(schema.Config))) == sorted(explained)


@pytest.mark.parametrize("code", sorted({error.exit_code for error in error_classes()} | set(EXIT_CODES)))
def test_every_exit_code_is_explained(code: int) -> None:
    """Each code that a process can end with has a row in operations.md, and an entry in the program's own help."""
    assert str(code) in first_column(OPERATIONS, "Exit codes")
    assert code in EXIT_CODES


@pytest.mark.parametrize("error", list(error_classes()), ids=str)
def test_every_error_is_in_the_tree(error: type[errors.EdgeError]) -> None:
    """Each error class is drawn in the tree at the top of its own module, whose reader sees no other page."""
    assert re.search(rf"^ +{error.__name__}\b", sys.modules[error.__module__].__doc__ or "", re.MULTILINE)


def test_there_are_two_trees_of_errors() -> None:
    """errors.py holds every error, but for headquarters' own, and says where those are."""
    assert {error.__module__ for error in error_classes()} == {errors.__name__, headquarters_errors.__name__}
    assert f"`{headquarters_errors.__name__}`" in (errors.__doc__ or "")


@pytest.mark.parametrize("flag", list(Flag))
def test_every_flag_is_explained(flag: Flag) -> None:
    """Each flag on the wire stands in tally.md with its bit."""
    assert re.search(rf"^\| {flag.value} \| `{(flag.name or '').lower()}` \|", TALLY, re.MULTILINE)


@pytest.mark.parametrize("flag", [*(flag.name.lower() for flag in Flag if flag.name), "off", "coarse", "test", "trial"])
def test_headquarters_is_told_every_flag(flag: str) -> None:
    """Each flag that an hour may carry stands in headquarters.md."""
    assert f"`{flag}`" in (ROOT / "docs" / "headquarters.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("topic", [demo_headquarters.HOUR_TOPIC, demo_headquarters.STATUS_TOPIC])
def test_every_topic_is_in_the_contract(topic: str) -> None:
    """Each topic that the demo hears stands, with placeholders, in headquarters.md."""
    pattern = topic.replace(f"/{demo_headquarters.SITE}/{demo_headquarters.CAMERA}/", "/<site>/<camera>/")

    assert pattern in (ROOT / "docs" / "headquarters.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [name for section in COMMANDS.values() for name in section])
def test_every_command_is_explained(command: str) -> None:
    """Each command has a row in operations.md."""
    assert any(row.startswith(f"footfall {command}") for row in first_column(OPERATIONS, "Commands"))


def test_the_record_is_as_large_as_told() -> None:
    """tally.md states the record's size as the code has it."""
    assert f"One record is {SIZE} bytes" in TALLY


def test_the_capacity_of_a_record_is_added_up_rightly() -> None:
    """tally.md's sum of bits for one record follows from the bounds in the code."""
    u32 = 32.0
    people, ms = math.log2(tally._MOST_PEOPLE + 1), math.log2(tally._MOST_MS + 1)
    bits = len(Flag) + u32 + u32 + 2 * people + u32 + 2 * ms
    a_day = bits * 2 * 86_400_000 / tally.BEAT_MS

    assert f"| **together** | **{bits:.0f}** | |" in TALLY
    assert f"at most **{a_day / 1e6:.1f} million bits a day**" in TALLY


def test_the_capacity_of_an_hour_is_added_up_rightly() -> None:
    """tally.md's sums of bits for a day's hours, and for their corrections, follow from the bounds in the code."""
    # The first and the last interval whose middle is in the hour reach half of MOST_TIME_MS beyond it.
    most_people = tally.PEOPLE_PER_S * (HOUR_MS + MOST_TIME_MS) // 1000 + tally.PEOPLE_AT_ONCE
    bits = 2 * math.log2(most_people + 1) + math.log2(3601) + len(Flag) + len(("off", "coarse"))
    rounds = 24 * HOUR_MS // CORRECT_EVERY_MS
    messages = 24 + rounds + 24 + (KEEP_READINGS_MS // HOUR_MS + 1)

    assert f"at most those of two hours, {most_people:,}" in TALLY
    assert f"{bits:.0f} bits, so 24 hours are at most **{24 * bits:,.0f} bits a day**" in TALLY
    assert f"at most {messages} messages a day" in TALLY
    assert f"**{messages * bits:,.0f} bits a day**" in TALLY


def test_the_shown_config_is_accepted(tmp_path: Path) -> None:
    """The footfall.yaml that technician.md and operations.md show loads, and is the same in both."""
    shown = [re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0] for page in (TECHNICIAN, OPERATIONS)]
    path = tmp_path / "footfall.yaml"
    path.write_text(shown[0], encoding="utf-8")

    assert shown[0] == shown[1]
    assert schema.load(path).site == "sh-023"


def test_the_demo_shows_a_config_that_is_accepted(tmp_path: Path) -> None:
    """The footfall.yaml that the demo tells people to write loads."""
    shown = "\n".join(line[2:] for line in demo.NEXT.splitlines() if line.startswith("  "))
    path = tmp_path / "footfall.yaml"
    path.write_text(shown, encoding="utf-8")

    assert schema.load(path).site == "my-shop"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each link from one page to another file of the repository leads to a file that is there."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert not [target for target in targets if not (page.parent / target).exists()]


COUNTING_RULES = range(17, 23)
"""Numbers of the decisions on counting rules that the new counting model replaces, in the form that they had."""


@pytest.mark.parametrize("decision", ADRS, ids=lambda path: path.name[:4])
def test_decisions_have_one_form(decision: Path) -> None:
    """Each decision's file and heading carry its number; its status, context and choice follow."""
    text, number = decision.read_text(encoding="utf-8"), int(decision.name[:4])

    assert text.startswith(f"# {number}. ")
    assert text.index("\n## Context\n") < text.index("\n## Choice\n")
    assert number in COUNTING_RULES or re.match(r"# .+\n\nStatus: (accepted|superseded by \[ADR \d+\])", text)


def test_decisions_have_numbers_of_their_own() -> None:
    """No two decisions share a number."""
    numbers = [path.name[:4] for path in ADRS]

    assert sorted(set(numbers)) == numbers


def test_the_glossary_has_the_seven_metaphors_and_every_word_once() -> None:
    """A word that is explained twice would have two meanings."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [cell.strip(" *") for cell in re.findall(r"^\|([^|]+)\|", page, re.MULTILINE)]
    words = [word for word in words if word not in ("word", "---")]

    assert ["tally", "diode", "odometer", "ledger", "seal", "outbox", "silhouette"] == words[:7]
    assert len(words) == len(set(words))
    assert set(range(7)) == {index for index, word in enumerate(words) if f"| **{word}** |" in page}


def test_the_shown_demo_is_the_shipped_models() -> None:
    """README.md shows an hour that headquarters could book, of the shipped model, beside the clip's own truth."""
    (payload,) = re.findall(r'^\{"schema".*\}$', README, re.MULTILINE)
    hour, truth = json.loads(payload), demo.read_truth()

    assert demo_headquarters.find_fault(payload.encode()) is None
    assert read_contract().identity == hour["model"]
    assert re.search(rf"^│ counted │ +{hour['in']} │ +{hour['out']} │$", README, re.MULTILINE)
    assert re.search(rf"^│ true    │ +{truth.in_} │ +{truth.out} │$", README, re.MULTILINE)


def test_readme_is_short() -> None:
    """A shop owner reads README.md in a minute: it has at most 120 lines."""
    assert len(README.splitlines()) <= 120


def test_no_package_index_is_promised() -> None:
    """The package is on no index, so nobody is told to install it by its name."""
    assert not re.search(r"pip install '?footfall-edge", "".join(page.read_text(encoding="utf-8") for page in PAGES))
