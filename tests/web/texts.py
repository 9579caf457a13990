"""Which sentences of reports and mails a catalog has to hold: what stands in the code and in the templates."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "edge"
_SOURCES = (*sorted((ROOT / "headquarters").rglob("*.py")), ROOT / "web" / "language.py")
_TEMPLATES = sorted((ROOT / "web" / "templates").glob("report_*.*"))
_STRING = r'"((?:[^"\\]|\\.)*)"'


def texts() -> dict[str, str | None]:
    """Return each sentence, and its plural if it has one."""
    found: dict[str, str | None] = {}
    for path in _SOURCES:
        found |= dict(_in_python(path))
    for path in _TEMPLATES:
        text = path.read_text(encoding="utf-8")
        found |= dict.fromkeys(re.findall(rf"\b_\({_STRING}", text))
        found |= dict(re.findall(rf"\.plural\({_STRING}, {_STRING}", text))
    return found


def _in_python(path: Path) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        values = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        strings = [value for value in values if isinstance(value, str)]
        if re.search(r"\.plural$", name) and len(strings) == 2:
            yield strings[0], strings[1]
        elif re.search(r"(^|\.)(_|words|self)$", name) and len(strings) == 1:
            yield strings[0], None
