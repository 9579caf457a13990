"""
A YAML file as plain values that remember on which line they stand; nothing in here knows what a file should hold.

A key is the text that is written: YAML itself would take 010 for the number 8, and `on` for true.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class Document:
    """A YAML document as plain values, with the line on which each key stands."""

    def __init__(self, text: str) -> None:
        self.faults: list[tuple[int, str, int]] = []
        """Keys that stand twice in a section: line, key, line of the first."""
        self._lines: dict[tuple[str, ...], int] = {}
        self._scalars: dict[tuple[str, ...], str] = {}
        self._written: dict[int, set[int]] = {}
        """The keys of each section that stood in it before others were merged into it, both by id."""
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            self.value: Any = self._build(loader, node, ()) if node is not None else {}
        finally:
            loader.dispose()

    def _build(self, loader: yaml.SafeLoader, node: yaml.Node, path: tuple[str, ...]) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._build_section(loader, node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*path, str(index))) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            self._scalars.setdefault(path, node.value)
        return _value(loader, node)

    def _build_section(
        self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: tuple[str, ...]
    ) -> dict[Hashable, Any]:
        """Return a section's values. What was merged into it with `<<` may stand in it again, what was written not."""
        written = self._written.setdefault(id(node), {id(key_node) for key_node, _ in node.value})
        loader.flatten_mapping(node)
        section: dict[Hashable, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = _key(loader, key_node), key_node.start_mark.line + 1
            if id(key_node) in written:
                if key in first:
                    self.faults.append((line, ".".join((*path, key)), first[key]))
                    continue
                first[key] = line
            self._lines[*path, key] = line
            section[key] = self._build(loader, value_node, (*path, key))
        return section

    def written(self, location: tuple[int | str, ...]) -> str | None:
        """Return the text of the value at *location*, as it stands in the file; None of a section or a list."""
        return self._scalars.get(tuple(str(part) for part in location))

    def empty_before(self, location: tuple[int | str, ...]) -> str | None:
        """Return the key just above the one at *location*, if nothing stands below it; else None."""
        section = self.value
        for part in location[:-1]:
            section = section[part]
        keys = list(section)
        index = keys.index(location[-1])
        return str(keys[index - 1]) if index and section[keys[index - 1]] is None else None

    def place(self, location: tuple[int | str, ...]) -> tuple[int, str]:
        """Return the line and the written key that are nearest to a validation error's *location*."""
        keys = tuple(str(part) for part in location if part != "[key]")
        nearest = keys
        while nearest and nearest not in self._lines:
            nearest = nearest[:-1]
        return self._lines.get(nearest, 1), ".".join(keys) or "the file"


def _key(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else str(_value(loader, node))


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """Return the plain value of *node*; what only looks like a date or a number, as 2026-99-99 does, is text."""
    try:
        return loader.construct_object(node, deep=True)
    except ValueError:
        return node.value
