"""
Fills the door sign's template: one printed page a language.

The texts are information and not legal advice: whoever puts up the sign answers for what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from edge.web.render import render

TEXTS = Path(__file__).with_name("texts.yaml")

Size = Literal["a4", "a5"]


@dataclass(frozen=True, slots=True)
class Shop:
    """
    What the sign says of the shop itself.

    Attributes:
        controller: Name and address of whoever is responsible.
        contact: Where questions go: a mail address, a telephone number.
        basis: Legal basis, in place of the one that the language's text names; None for that one.
    """

    controller: str
    contact: str
    basis: str | None = None


@cache
def texts() -> Mapping[str, Mapping[str, str | None]]:
    """Return the texts: language tag: {key: text}."""
    read: dict[str, dict[str, str | None]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return read


def page(shop: Shop, languages: Sequence[str], size: Size) -> str:
    """
    Return the signs as one HTML file.

    Args:
        shop: What is filled in.
        languages: Tags, each of which `texts` has; a page each, in this order.
        size: Of the paper.
    """
    signs = [(tag, texts()[tag]) for tag in languages]
    return render("sign.html", shop=shop, signs=signs, size=size)


def run(file: Path, shop: Shop, languages: Sequence[str], size: Size) -> None:
    """Write the signs into *file*; raises OSError if that can't be written."""
    file.write_text(page(shop, languages, size), encoding="utf-8")
    print(f"written: {file}; print it at 100 %, {size.upper()}, one page a language")
    if any(texts()[tag]["basis_text"] is None for tag in languages) and shop.basis is None:
        print("In Chinese the legal basis is a line to fill in: the law leaves it to you. --basis TEXT fills it in.")
    print("This is information about a product and not legal advice.")
