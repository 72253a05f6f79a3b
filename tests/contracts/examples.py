"""The examples beside the contracts: good ones as they are, bad ones as a good one with one thing changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
from counterfoil_contracts import names, schema
from referencing import Registry, Resource

EXAMPLES = Path(str(resources.files("counterfoil_contracts") / "examples"))
RECORDED = Path(__file__).parents[1] / "recorded" / "woocommerce"


@dataclass(frozen=True)
class Example:
    """name: the contract. fault: the path where it is wrong (JSON pointer, "" the whole); None: it is good."""

    name: str
    label: str
    value: Any
    fault: str | None = None

    def __str__(self) -> str:
        return f"{self.name}-{self.label}"


def good_examples() -> list[Example]:
    return [Example(name, path.stem, json.loads(path.read_bytes())) for name, path in _files("good")]


def bad_examples() -> list[Example]:
    return [Example(name, path.stem, *_spoilt(name, path)) for name, path in _files("bad")]


def _files(kind: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((EXAMPLES / kind).rglob("*.json")):
        yield path.parent.relative_to(EXAMPLES / kind).as_posix(), path


def _spoilt(name: str, path: Path) -> tuple[Any, str]:
    """A bad example: {"why", "like": a good one's label, "set": {pointer: value}, "remove": [pointer], "fault"}."""
    bad = json.loads(path.read_bytes())
    value = copy.deepcopy(json.loads((EXAMPLES / "good" / name / f"{bad['like']}.json").read_bytes()))
    for pointer, new in bad.get("set", {}).items():
        holder, last = _at(value, pointer)
        holder[last] = new
    for pointer in bad.get("remove", []):
        holder, last = _at(value, pointer)
        del holder[last]
    return value, bad["fault"]


def _at(value: Any, pointer: str) -> tuple[Any, Any]:
    *steps, last = [int(step) if step.isdigit() else step for step in pointer.split("/")[1:]]
    for step in steps:
        value = value[step]
    return value, last


def recorded_orders() -> list[tuple[str, dict[str, Any]]]:
    """All recorded orders as the data of an event: each file, each page's orders, each snapshot of a history."""
    read = {path.name: json.loads(path.read_bytes()) for path in sorted(RECORDED.glob("order*.json"))}
    orders = [
        (name, {"order": body, "refunds": []})
        for name, body in read.items()
        if isinstance(body, dict) and "line_items" in body
    ]
    for path in sorted((RECORDED / "histories").glob("*.json")):
        for index, snapshot in enumerate(json.loads(path.read_bytes())["snapshots"]):
            if "order" in snapshot:
                data = {"order": snapshot["order"], "refunds": snapshot["refunds"]}
                orders.append((f"{path.stem}[{index}]", data))
    return orders


@cache
def slow_validator(name: str) -> jsonschema.Draft202012Validator:
    """The other validator, written in Python: 300 times slower and of another author, so it checks the fast one."""
    registry: Registry[Any] = Registry().with_resources(
        [(schema(each)["$id"], Resource.from_contents(schema(each))) for each in names()]
    )
    return jsonschema.Draft202012Validator(
        schema(name), registry=registry, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
