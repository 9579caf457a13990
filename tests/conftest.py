"""
What holds for every test: which lane it runs in, and that a busy machine is no fault of an example.

The lanes are markers, described in pyproject.toml and CONTRIBUTING.md. A test without a marker is a unit test: it
starts no program. An audit hook holds it to that.
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

settings.register_profile("footfall", deadline=None)
settings.load_profile("footfall")

STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
"""Audit events of the interpreter with which a program starts."""

MAY_START = ("processes", "browser")
"""Markers of tests that may start programs."""

PROGRAMS = {"mosquitto", "own_mosquitto", "postgres", "spawn", "rpicam"}
"""Fixtures that start programs, so that a test that uses one is marked `processes`."""


class _UnitTest:
    """The unit test that runs now, if one does."""

    name: str | None = None


def _refuse_programs(event: str, _: object) -> None:
    if _UnitTest.name is not None and event in STARTS:
        raise AssertionError(f"{_UnitTest.name} starts a program: mark it with `processes`")


sys.addaudithook(_refuse_programs)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> object:
    """Let only marked tests start programs. Fixtures that others share have run before."""
    if not any(item.get_closest_marker(name) for name in MAY_START):
        _UnitTest.name = item.nodeid
    try:
        return (yield)
    finally:
        _UnitTest.name = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark tests by the fixtures that they use, and keep those that share a module's fixture on one worker.

    Slow ones come first, so that no worker begins one when the others have nothing left to do.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "browser" in fixtures:
            item.add_marker(pytest.mark.browser)
        if fixtures & PROGRAMS:
            item.add_marker(pytest.mark.processes)
        if item.get_closest_marker("host"):
            item.add_marker(pytest.mark.xdist_group("host"))
        elif fixtures & _of_a_module(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose group pytest-xdist has lost: it would run beside others that share the host."""
    parallel = getattr(item.config.option, "loadgroup", False)
    if parallel and item.get_closest_marker("xdist_group") and not _grouped(item):
        pytest.fail("pytest-xdist has lost this test's group; see docs/adr/0080-tests-in-lanes.md", pytrace=False)


def _grouped(item: pytest.Item) -> bool:
    return item.nodeid.rfind("@") > item.nodeid.rfind("]")


def _of_a_module(item: pytest.Item) -> set[str]:
    """Return the names of the fixtures, among those that *item* uses, that are made once for a module."""
    known = getattr(item, "_fixtureinfo", None)
    return {name for name, made in known.name2fixturedefs.items() if made[-1].scope == "module"} if known else set()
