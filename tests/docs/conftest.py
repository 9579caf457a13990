"""What the pages' tests share with the technician's: one Chromium."""

from tests.technician.conftest import _browser

__all__ = ["_browser"]
