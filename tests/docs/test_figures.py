"""Figures and quotations of the pages follow from the code that they speak of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.technician import head_size
from edge.technician.audit.certainty import interval
from edge.technician.plan import drawing
from edge.technician.plan.geometry import TALL_M, USUAL_M, Door, choose_lens, judge
from edge.technician.privacy import kept

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """Return a page's text."""
    return (DOCS / name).read_text(encoding="utf-8")


def test_what_is_kept_is_told_as_the_code_has_it() -> None:
    """privacy.md has the table that `footfall privacy --kept` prints, row by row."""
    assert kept.table() in page("privacy.md")


def test_the_table_of_heights_is_computed() -> None:
    """mounting.md's table is what `footfall plan` computes, and its drawings are those of the doors that it names."""
    rows = re.findall(r"^\| ([\d.]+) m \|(.*)\|$", page("mounting.md"), re.MULTILINE)
    lenses = [
        int(lens)
        for lens in re.findall(r" (\d+)° ", page("mounting.md").split("| height of the lens |")[1].split("\n")[0])
    ]
    assert rows
    for height, told in rows:
        doors = [Door(float(height), 1.0, lens) for lens in lenses]
        computed = [f"{door.covered_m(TALL_M):.1f} m, {640 * door.head_share(USUAL_M):.0f} px" for door in doors]

        assert computed == [cell.strip() for cell in told.split("|")]
    for name, door in (("plan.svg", Door(3.2, 2.4, 90)), ("plan-tilted.svg", Door(2.8, 1.0, 90, 25))):
        assert drawing.draw(door) == (DOCS / "images" / name).read_text(encoding="utf-8")


def test_head_sizes_are_those_of_the_verdicts() -> None:
    """The px that mounting.md calls good, small and too large are those of `plan` and `setup`."""
    good, small, large = (round(640 * share) for share in (head_size.GOOD, head_size.SMALLEST, head_size.LARGEST))

    assert f"- **{good} px or more** is good" in page("mounting.md")
    assert f"- **{small} to {good} px**" in page("mounting.md")
    assert f"- **Over {large} px**" in page("mounting.md")


@pytest.mark.parametrize(("height", "width", "lens"), [(3.2, 1.5, 78), (3.2, 2.4, 90), (3.6, 2.5, 90)])
def test_the_three_sets_fit(height: float, width: float, lens: float) -> None:
    """What hardware.md offers for a door is what `plan` calls good, down to the lens that it would choose."""
    assert {"ok"} == {answer.state for answer in judge(Door(height, width, lens))}
    assert choose_lens(height, width) <= lens
    assert f"{lens} degrees" in page("hardware.md")
    assert f"{height:g} m" in page("hardware.md")


def test_recall_by_size_is_the_model_cards() -> None:
    """36, 50 and 70 of 100 heads are what the card's table says of heads under 8, 8 to 16 and 16 to 24 px."""
    card = (ROOT / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")
    table = card.split("Rendered, by the head's diameter")[1].split("Rendered, by how far")[0]
    found = {size: (int(heads), float(recall)) for size, heads, recall in
             re.findall(r"^\| (\S+) \| (\d+) \| \S+ \| (\S+) \|$", table, re.MULTILINE)}  # fmt: skip
    middle = [found[size] for size in ("8-12", "12-16")]
    middle_recall = sum(heads * recall for heads, recall in middle) / sum(heads for heads, _ in middle)

    assert (36, 50, 70) == tuple(round(100 * share) for share in (found["0-8"][1], middle_recall, found["16-24"][1]))
    for share in (36, 50, 70):
        assert f"{share} of 100" in page("mounting.md")


DEVELOPMENT = {
    "door", "haris-pavement", "intel-one-by-one", "kiwana-yard", "watershed-night", "pcds-bus-003", "pcds-bus-005"
}  # fmt: skip
"""The demo clip, and the six doors that were used in development."""


def test_of_100_people() -> None:
    """people.md's figures of 100 follow from tests/golden, and README.md names the same crossings."""
    clips = json.loads((ROOT / "tests" / "golden" / "expected.json").read_text(encoding="utf-8"))["clips"]
    strangers = [figures for clip, figures in clips.items() if clip not in DEVELOPMENT]
    assert len(strangers) == 15
    true, right, false = (sum(figures[key] for figures in strangers) for key in ("true", "right", "wrong"))
    low, high = interval(right, true)

    assert f"{right} of {true} right, {false} false" in (ROOT / "README.md").read_text(encoding="utf-8")
    for what, share in (
        ("counted in the right direction", right / true), ("missed", 1 - right / true),
        ("crossings counted that were none", false / true), ("so the total says", (right + false) / true),
    ):  # fmt: skip
        assert f"| {what} | {100 * share:.0f} |" in page("people.md")
    assert f"lies between {100 * low:.0f} and {100 * high:.0f} of 100" in page("people.md")


def test_the_development_doors_of_100_people() -> None:
    """The six doors' figures are those of the model's own results."""
    results = json.loads((ROOT / "models" / "results.json").read_text(encoding="utf-8"))
    doors = json.dumps(results)

    assert "67 of 68 crossings, 2 in vain" in page("people.md")
    assert "| all | 68 | 69 | 67 | 0.9781 |" in (ROOT / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "0.978" in doors


def test_a_months_traffic_is_added_up_rightly() -> None:
    """network.md's sums follow from the bytes that were measured, and 104 bytes of headers a packet and its answer."""
    text = page("network.md")
    told = [
        re.findall(rf"^\| {what}.*?\| (\d+) bytes \| (\d+) bytes \|$", text, re.MULTILINE)
        for what in ("one hour", "keepalive")
    ]
    hour, ping = ([int(number) for number in numbers] for ((*numbers,),) in told)
    for every_s, form in ((60, "| **{:.1f} MB** | **{:.1f} MB** |"), (600, "{:.1f} MB up and {:.1f} MB down")):
        sums = [(720 * (of_hour + 104) + 30 * 86_400 // every_s * (of_ping + 104)) / 1e6
                for of_hour, of_ping in zip(hour, ping, strict=True)]  # fmt: skip

        assert form.format(*sums) in text


SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for folder in ("edge", "deploy") for kind in ("*.py", "*.js", "*.html", "*.sh")
    for path in sorted((ROOT / folder).rglob(kind))
)  # fmt: skip


@pytest.mark.parametrize(
    "words",
    sorted(set(re.findall(r'"([^"|]+)"', page("troubleshooting.md")))),
)
def test_what_the_symptom_page_quotes_is_said_somewhere(words: str) -> None:
    """Each sentence that a reader is told to look for is one that the program or a page says."""
    said = words.partition("…")[0].strip().rstrip(",")
    if said.startswith("in the picture"):
        said = "in the picture, `in` is"
    elif said in ("at least 90 %", "at least 95 %"):
        return

    assert said.lower() in SOURCES.lower()
