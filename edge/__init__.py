"""Footfall: counts heads at a shop's door, forgets every picture, tells headquarters a few integers an hour."""

__version__ = "0.1.0"
