"""What the technician's tests share: one Chromium, in which each page is a browser of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.technician import chromium
from tests.technician.chromium import Browser
from tests.technician.visit import write_config


@pytest.fixture(scope="session", name="browser_of_all")
def _browser_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium.PROGRAM is None:
        pytest.skip("NO CHROMIUM: the technician's page is NOT tested; run: sudo apt install chromium")
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(name="browser")
def _browser(browser_of_all: Browser) -> Iterator[Browser]:
    """Return a Chromium with no tab open; tabs that the test opens are closed at its end."""
    yield browser_of_all
    browser_of_all.close_tabs()


@pytest.fixture(name="config_file")
def _config_file(tmp_path: Path) -> Path:
    return write_config(tmp_path)
