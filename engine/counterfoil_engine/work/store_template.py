"""A new store from one that there is: its rows of the rules, copied as they are written, every write switch at preview.

    text of the rules, template, new store → text of the next rules

Comments and layout stay. Nothing secret is in the rules; the new store's secret is named in the settings and set in the
environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import yaml

from counterfoil_engine.ports import Rejected

Edit = tuple[int, int, str]
"""From one place of the text to another, and what stands there instead."""


def from_template(text: str, template: str, store: str, start_line: datetime, label: str) -> str:
    """Rules with the new store. start_line: what was created before it is not its own. label: of the new version.

    Rejects a template that isn't there, and a store that is."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    tables = {key.value: value for key, value in root.value} if isinstance(root, yaml.MappingNode) else {}
    known = [_scalar(row, "id") for row in _rows(tables.get("stores"))]
    if template not in known:
        raise Rejected(
            f"The store {template[:80]!r} is not in the rules.",
            f"Known are {', '.join(map(str, known[:10]))}.",
            slug="no-such-store",
        )
    if store in known:
        raise Rejected(f"The store {store[:80]!r} is in the rules already.", "Choose another name.", slug="request")
    edits: list[Edit] = []
    for name, table in tables.items():
        for row in _rows(table):
            if name == "stores" and _scalar(row, "id") == template:
                edits.append(_copied(text, row, [*_first_row(row, store, start_line)]))
            elif name not in ("stores", "entities", "rules") and _scalar(row, "store") == template:
                edits.append(_copied(text, row, [_instead(_value(row, "store"), store)]))
    if "rules" in tables:
        edits.append(_instead(tables["rules"], label))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _first_row(row: yaml.MappingNode, store: str, start_line: datetime) -> Iterator[Edit]:
    """The store's own row: its name, its start, and nothing written before somebody says so."""
    yield _instead(_value(row, "id"), store)
    if (line := _value(row, "start_line")) is not None:
        yield _instead(line, start_line.strftime("%Y-%m-%dT%H:%M:%SZ"))
    switches = _value(row, "switches")
    if isinstance(switches, yaml.MappingNode):
        for _, setting in switches.value:
            yield _instead(setting, "preview")


def _copied(text: str, row: yaml.MappingNode, edits: list[Edit]) -> Edit:
    """The row once more behind itself, changed."""
    start, end = row.start_mark.index, row.end_mark.index
    written = text[start:end].rstrip()
    for first, last, new in sorted(edits, reverse=True):
        written = written[: first - start] + new + written[last - start :]
    indent = " " * max(0, row.start_mark.column - 2)
    place = start + len(text[start:end].rstrip())
    return (place, place, f"\n{indent}- {written}")


def _instead(node: Any, value: str) -> Edit:
    return (node.start_mark.index, node.end_mark.index, value)


def _rows(table: Any) -> Iterator[yaml.MappingNode]:
    if isinstance(table, yaml.SequenceNode):
        yield from (row for row in table.value if isinstance(row, yaml.MappingNode))


def _value(row: yaml.MappingNode, name: str) -> Any:
    return next((value for key, value in row.value if key.value == name), None)


def _scalar(row: yaml.MappingNode, name: str) -> str | None:
    value = _value(row, name)
    return str(value.value) if isinstance(value, yaml.ScalarNode) else None
