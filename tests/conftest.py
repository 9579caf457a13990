"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no fault of an example.
settings.register_profile("footfall", deadline=None)
settings.load_profile("footfall")
