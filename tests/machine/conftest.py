"""The machine that most tests share: booted once, with this checkout installed and a camera in its left socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.machine import pictures
from tests.machine.guest import wait_until
from tests.machine.shop import IDLE_FPS, Shop, installed, shop
from tests.machine.uvc import Camera


@pytest.fixture(scope="session")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Give a shop whose box was installed, switched off and on again, and counts."""
    scratch = tmp_path_factory.mktemp("shop")
    with shop(scratch, installed(scratch)) as made:
        made.box.power()
        made.plug(Camera(pictures.walking(), IDLE_FPS))
        made.box.wait_for_ssh()
        made.find_headquarters()
        wait_until(made.sealed, "vision to be sealed")
        yield made
