"""Which module may know which: looked at in the source, and in fresh interpreters."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "edge").rglob("*.py"))
}
PICTURES = {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", "edge.vision"}
NETWORK = {"ssl", "_ssl", "paho", "http", "urllib.request", "sqlite3", "edge.publisher"}


def room(module: str) -> str:
    """Return the package of `edge/` that *module* belongs to: vision, publisher, ...; "" for `edge` itself."""
    parts = module.split(".")
    if parts[1:2] == ["__main__"]:
        return "__main__"
    is_package = len(parts) > 1 and (ROOT / "edge" / parts[1]).is_dir()
    return parts[1] if is_package else ""


_SHARED = {"", "core", "config", "sandbox"}
MAY_KNOW: dict[str, set[str]] = {
    "": set(),
    "core": {""},
    "config": {"", "core"},
    "sandbox": {"", "core"},
    "web": {"", "core"},
    "mqtt": _SHARED,
    "vision": _SHARED,
    "publisher": {*_SHARED, "mqtt"},
    "evaluation": {*_SHARED, "web", "vision"},
    "headquarters": {*_SHARED, "mqtt", "web", "publisher"},
    "technician": {*_SHARED, "mqtt", "web", "vision", "publisher", "evaluation"},
}
"""Which packages of `edge/` each may import besides itself: from the ground up."""
MAY_KNOW["cli"] = set(MAY_KNOW)
MAY_KNOW["__main__"] = {"cli"}


class _WithoutTypes(ast.NodeTransformer):
    """Leaves out what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.If | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def imported_by(module: str, *, for_types: bool = True) -> Iterator[str]:
    """Yield every module of ours that *module* imports, wherever in it."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree if for_types else _WithoutTypes().visit(tree)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written in full"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES:
                    yield full
                elif node.module in MODULES:
                    yield str(node.module)


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after *statement*."""
    said = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    )
    return set(json.loads(said.stdout.splitlines()[-1]))


def among(loaded: set[str], banned: set[str]) -> set[str]:
    """Return those of *banned* that were loaded."""
    return {name for name in banned if name in loaded}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    """Each package imports only those below it; vision and publisher never know each other."""
    assert [] == [other for other in imported_by(module) if room(other) not in {*MAY_KNOW[room(module)], room(module)}]


REHEARSAL = {"edge.headquarters.boxes", "edge.headquarters.rehearsal"}
"""What stands in for boxes, and so needs their spread and their retrying; not a copy of them."""


def test_only_the_rehearsal_of_headquarters_knows_the_publisher() -> None:
    """Headquarters knows the contract, which is in core; only its rehearsal knows a box's own parts."""
    taken = {
        (module, other)
        for module in MODULES
        if room(module) == "headquarters"
        for other in imported_by(module)
        if room(other) == "publisher"
    }

    assert {module for module, _ in taken} <= REHEARSAL
    assert {other for _, other in taken} <= {
        "edge.publisher.hours", "edge.publisher.outbox", "edge.publisher.ledger.view",
    }  # fmt: skip


def test_no_module_is_imported_in_a_circle() -> None:
    """Each module can be read with those that it imports known already."""
    known: set[str] = set()
    waiting = {module: set(imported_by(module, for_types=False)) - {module} for module in MODULES}
    while waiting:
        ready = {module for module, needs in waiting.items() if needs <= known}
        assert ready, f"a circle among {sorted(waiting)}"
        known |= ready
        waiting = {module: needs for module, needs in waiting.items() if module not in ready}


@pytest.mark.processes
def test_the_publisher_can_not_see() -> None:
    """The process that talks loads no array, no picture library and no interpreter for models."""
    loaded = loaded_by("import edge.publisher.process")

    assert "edge.publisher.outbox" in loaded
    assert set() == among(loaded, PICTURES)


@pytest.mark.processes
def test_vision_can_not_talk() -> None:
    """The process that sees loads no TLS, no MQTT and no database."""
    loaded = loaded_by("import edge.vision.process")

    assert "cv2" in loaded
    assert set() == among(loaded, NETWORK)


@pytest.mark.processes
def test_headquarters_needs_no_camera() -> None:
    """What runs at the other end needs no camera's libraries; only its report, and what is made of it, have arrays."""
    names = [module for module in MODULES if room(module) == "headquarters"]
    with_arrays = ("report", "alerts", "retention")
    reports = [name for name in names if name.split(".")[2:3] and name.split(".")[2] in with_arrays]
    others = loaded_by("\n".join(f"import {name}" for name in names if name not in reports))
    loaded = loaded_by("\n".join(f"import {name}" for name in reports))

    assert set() == among(others, PICTURES)
    assert {"numpy"} == among(loaded, PICTURES)


@pytest.mark.processes
def test_the_commands_load_nothing_before_they_run() -> None:
    """Help and completion wait for no library but click's: every command is there, and nothing that it runs."""
    names = [module for module in MODULES if room(module) == "cli"]
    loaded = loaded_by("import edge.__main__\n" + "\n".join(f"import {name}" for name in names))

    assert "edge.cli.headquarters" in loaded
    assert set() == among(
        loaded,
        {
            *PICTURES, *NETWORK, "pydantic", "yaml", "rich", "argparse", "edge.config.schema",
            "jinja2", "markupsafe", "segno",
        },
    )  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("process", ["edge.vision.process", "edge.publisher.process", "edge.headquarters.collect"])
def test_services_load_no_templates(process: str) -> None:
    """What makes HTML is loaded by the commands that write it, and by no service."""
    assert set() == among(loaded_by(f"import {process}"), {"jinja2", "markupsafe", "segno", "edge.web"})


@pytest.mark.processes
@pytest.mark.parametrize(
    ("command", "banned"),
    [("publisher --config /nonexistent", PICTURES), ("vision door --config /nonexistent", NETWORK)],
)
def test_a_service_loads_its_own_command_only(command: str, banned: set[str]) -> None:
    """The way through the command line brings no other command along, nor the words for faults of a config."""
    others = {module for module in MODULES if room(module) == "cli"} - {
        "edge.cli", "edge.cli.command", "edge.cli.exit_codes", "edge.cli.options", "edge.cli.program",
        "edge.cli.services", "edge.cli.types",
    }  # fmt: skip
    loaded = loaded_by(f"from edge.__main__ import main\nassert 78 == main({command.split()!r})")

    assert "edge.config.schema" in loaded
    assert set() == among(loaded, {*banned, *others, "rich", "difflib", "edge.config.yaml_faults"})
