"""What the pages' tests share with the technician's: one Chromium."""

from tests.technician.conftest import _browser, _browser_of_all

__all__ = ["_browser", "_browser_of_all"]
