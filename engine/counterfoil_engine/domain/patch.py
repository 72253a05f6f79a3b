"""A correction of JSON as a few operations (RFC 6902: add, replace, remove), and what differs between two values.

Numbers stay as they were written: a body goes through here without any float.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError

OPERATIONS = ("add", "replace", "remove")
OPERATIONS_MOST = 1_000


def patched(value: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """The value with these operations done, in their order; the value itself stays as it is."""
    value = copy.deepcopy(value)
    if len(operations) > OPERATIONS_MOST:
        raise _refused(f"It has more than {OPERATIONS_MOST} operations", "Correct the order in the store")
    for operation in operations:
        _apply(value, operation)
    return value


def difference(before: Any, after: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """The operations that make the one the other: lists of another length are replaced as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield {"op": "remove", "path": inner}
            elif name not in before:
                yield {"op": "add", "path": inner, "value": after[name]}
            else:
                yield from difference(before[name], after[name], inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from difference(one, other, f"{path}/{index}")
    elif type(before) is not type(after) or before != after:
        yield {"op": "replace", "path": path, "value": after}


def written(value: Any) -> str:
    """The value as JSON, its numbers as they are."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(each) for each in value) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def _apply(value: Any, operation: Mapping[str, Any]) -> None:
    op, path = operation.get("op"), operation.get("path")
    if op not in OPERATIONS or not isinstance(path, str) or not path.startswith("/"):
        raise _refused(f"{str(dict(operation))[:80]} is no operation", f"Use {', '.join(OPERATIONS)} and a path")
    if op != "remove" and "value" not in operation:
        raise _refused(f"The operation at {path[:80]} has no value", "Give it one")
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    for part in parents:
        value = value[_place(value, part, path)]
    place = _place(value, last, path, is_new=op == "add")
    if op == "remove":
        del value[place]
    elif op == "add" and isinstance(value, list):
        value.insert(place, operation["value"])
    else:
        value[place] = operation["value"]


def _place(value: Any, part: str, path: str, is_new: bool = False) -> Any:
    """The name or index of a part of a path."""
    if isinstance(value, dict) and (part in value or is_new):
        return part
    if isinstance(value, list):
        if is_new and part == "-":
            return len(value)
        if part.isascii() and part.isdecimal() and len(part) < 7 and int(part) < len(value) + is_new:
            return int(part)
    raise _refused(f"There is nothing at {path[:80]}", "Compare it with what the store said")


def _refused(cause: str, remedy: str) -> CounterfoilError:
    return CounterfoilError(f"The correction can't be made: {cause}.", f"{remedy}.", "contract")
