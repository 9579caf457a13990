"""How large heads must be in the picture to be found: one rule for `plan` and for the page of `setup`."""

from __future__ import annotations

from typing import Literal

SMALLEST = 8 / 384
"""Least diameter of a head, as a share of the picture's width: 8 px at the model's input of 384 px. Of smaller heads
the model finds 36 of 100 on rendered pictures (models/MODEL_CARD.md)."""
GOOD = 16 / 384
"""From this diameter on, a share of the picture's width, heads are large enough. Of heads of 16 to 24 px at the model's
input it finds 70 of 100 on a single picture, of 8 to 16 px 50 of 100 (models/MODEL_CARD.md)."""
LARGEST = 0.2
"""Largest diameter of a head, as a share of the picture's width. A larger one is in the picture for too short a walk:
clips with heads of a quarter of the picture's width are among the worst that were tried (README.md)."""

Verdict = Literal["ok", "small", "too small", "too large"]


def judge(share: float) -> Verdict:
    """Return how heads fit whose diameter is this *share* of the picture's width."""
    if share > LARGEST:
        return "too large"
    if share < SMALLEST:
        return "too small"
    return "ok" if share >= GOOD else "small"


def describe(diameter_px: float, width_px: int) -> tuple[Verdict, str]:
    """Return the verdict on heads of *diameter_px* in a picture of *width_px*, and a sentence with what to do."""
    share = diameter_px / width_px
    verdict = judge(share)
    found = f"Heads here are {diameter_px:.0f} px of {width_px}, {100 * share:.1f} % of the picture's width: "
    return verdict, found + {
        "ok": "large enough.",
        "small": f"small, so some are missed. {100 * GOOD:.0f} % or more is better: hang the camera lower, or take a "
        "narrower lens.",
        "too small": f"too small to be found. {100 * GOOD:.0f} % or more is needed: hang the camera lower, or take a "
        "narrower lens.",
        "too large": f"too large. At most {100 * LARGEST:.0f} % fits: hang the camera higher, or take a wider lens.",
    }[verdict]
