"""
How sure an audit is: the interval in which the true share lies, and how many people are needed for a narrow one.

Wilson's interval for a share of counted people, at 95 %. It never leaves 0 to 1 and holds for small numbers too, where
the usual "plus or minus" calls ten of ten people certain.
"""

from __future__ import annotations

import math

_Z = 1.959964
"""A normal distribution lies within so many standard deviations of its mean in 95 of 100 cases."""
GOALS = (0.90, 0.95, 0.99)
"""The shares for which a report says how many people show them."""


def interval(right: int, people: int) -> tuple[float, float]:
    """
    Return between which shares, 0 to 1, the true one lies with 95 % certainty.

    Args:
        right: How many people were counted right, 0 to *people*.
        people: How many there were, at least 1.
    """
    share = right / people
    weight = _Z**2 / people
    middle = share + weight / 2
    half = _Z * math.sqrt((share * (1 - share) + weight / 4) / people)
    low = 0.0 if right == 0 else (middle - half) / (1 + weight)
    high = 1.0 if right == people else (middle + half) / (1 + weight)
    return low, high


def needed(share: float) -> int:
    """Return how many people, all counted right, show with 95 % certainty that at least *share*, below 1, are."""
    return math.ceil(_Z**2 * share / (1 - share))


def in_words(right: int, people: int) -> str:
    """Return the interval as a report writes it, such as "59.6 to 98.2 %"."""
    # Rounded outwards, so that the words never say more than the interval.
    low, high = interval(right, people)
    return f"{math.floor(1000 * low) / 10:.1f} to {math.ceil(1000 * high) / 10:.1f} %"


def advice() -> str:
    """Return the sentence that says how many people show which share."""
    shown = [f"{needed(goal)} show at least {100 * goal:.0f} %" for goal in GOALS]
    return f"With nobody counted wrong, {', '.join(shown[:-1])} and {shown[-1]}, each with 95 % certainty."
