"""The shop that the tests of a box share: booted once for each Debian."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import boxes
from tests.system.headquarters import headquarters
from tests.system.shop import Shop

CRASH_LOG = Path("/proc/sys/debug/exception-trace")
"""A switch of the kernel, which a container has from this machine and can't set; an installation sets it on a box."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests with a box of their own first: the shop's box keeps its cable and address until the session ends."""
    items.sort(key=lambda item: "shop" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", params=boxes.SUITES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Give a shop whose box is a plain Debian."""
    scratch = tmp_path_factory.mktemp("shop")
    before = CRASH_LOG.read_text()
    CRASH_LOG.write_text("0")
    try:
        with boxes.box(request.param) as box, headquarters(scratch) as hq:
            box.boot()
            made = Shop(box, hq, scratch)
            yield made
            made.witness.close()
    finally:
        CRASH_LOG.write_text(before)


@pytest.fixture
def counting(shop: Shop) -> Shop:
    """Give the shop with this checkout installed, if nothing else is."""
    shop.install()
    return shop
