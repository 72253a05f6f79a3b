"""The contracts between agent, engine and ERP: JSON Schemas 2020-12, and the one validator that both sides use.

A contract is named by its file without `.json`: `events/order.v1`. Validators are built once, when first asked for, and
know these files alone: a reference to anything else is an error, never a request over the network. Where a contract may
carry personal data, what a fault says never repeats the value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any, NoReturn

import jsonschema_rs

MOST_FAULTS = 20  # told of one value; who sends thousands of faults learns enough from these
MOST_DIGITS = 400  # in one number; beyond that nothing of ours can hold it
MOST_LEVELS = 64  # of nesting; an order has some ten
_LONGEST = 300  # characters of a message or a path

_NESTING = frozenset({dict, list})

# What people write about their own company may be repeated to them; what comes from shoppers may not.
_SPOKEN_FREELY = ("config/",)


@dataclass(frozen=True)
class Fault:
    """One way in which a value breaks its contract.

    path: JSON pointer into the value (`/order/total`; "" is the whole). message: what is wrong there.
    schema_path: where the contract says so (`properties/total/type`); its last part is the keyword.
    """

    path: str
    message: str
    schema_path: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.message}"


def names() -> list[str]:
    """All contracts: `events/order.v1`, …; those that only hold shared definitions too."""
    return sorted(_all())


def schema(name: str) -> dict[str, Any]:
    """The contract as JSON Schema. Raises KeyError for an unknown name. To be read, not changed."""
    return _all()[name]


def contract_of(event_type: str) -> str | None:
    """The contract of an event's data by the event's type: `counterfoil.order.v1` → `events/order.v1`; else None."""
    first, _, rest = event_type.partition(".")
    name = f"events/{rest}"
    return name if first == "counterfoil" and name != "events/envelope.v1" and name in _all() else None


def faults(name: str, value: Any, most: int = MOST_FAULTS, is_shallow: bool = False) -> list[Fault]:
    """How a value breaks its contract; empty: it doesn't. Never raises, whatever the value.

    value: JSON as bytes (UTF-8; equal keys, NaN and infinite numbers are faults), or what was parsed from it, with
    dict, list, str, int, float, Decimal, bool and None. most: faults told at most. is_shallow: the caller has seen that
    it has no more than MOST_LEVELS levels (see `can_be_deep`), which spares looking for them.
    """
    validator = _validator(name)
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = parse(bytes(value))
        except ValueError as error:
            return [Fault("", str(error), "json")]
    if not is_shallow and _is_deeper(value, MOST_LEVELS):
        return [Fault("", f"This is nested too deeply: at most {MOST_LEVELS} levels can be read.", "json")]
    try:
        if validator.is_valid(value):  # takes two thirds of the time
            return []
        return [_fault(error) for error in islice(validator.iter_errors(value), most)]
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        # What is no JSON at all: sets, keys that aren't text, half a surrogate pair, hundreds of levels.
        return [Fault("", f"This is no JSON that can be read: {str(error)[:_LONGEST]}", "json")]


def parse(raw: bytes) -> Any:
    """JSON, read strictly: UTF-8, no equal keys in an object, no NaN or infinity. Raises ValueError with a sentence."""
    try:
        return json.loads(
            raw.decode(), object_pairs_hook=_object, parse_constant=_refuse, parse_int=_whole, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"This is not UTF-8: byte {error.start} can't be read.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"This is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise ValueError(f"This is nested too deeply: at most {MOST_LEVELS} levels can be read.") from None


def can_be_deep(raw: bytes) -> bool:
    """Whether JSON may have more than MOST_LEVELS levels: each takes a bracket of its own."""
    return raw.count(b"{") + raw.count(b"[") > MOST_LEVELS


def _is_deeper(value: Any, levels: int) -> bool:
    """Level by level, so that hostile nesting can't exhaust the stack (a reader's neighbour in it would pay)."""
    level = [value] if type(value) in _NESTING else []
    for _ in range(levels):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _NESTING
        ]
        if not level:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"The key {twice[:80]!r} stands twice in one object.")
    return read


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON.")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"A number has {len(digits)} digits; at most {MOST_DIGITS} can be read.")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("A number is too large to be read.")
    return number


def _fault(error: Any) -> Fault:
    return Fault(_pointer(error.instance_path), error.message[:_LONGEST], "/".join(map(str, error.schema_path)))


def _pointer(path: list[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)[:_LONGEST]


@cache
def _all() -> dict[str, dict[str, Any]]:
    return dict(_read())


def _read() -> Iterator[tuple[str, dict[str, Any]]]:
    for group in resources.files(__package__).iterdir():
        if not group.is_dir() or group.name.startswith(("_", ".")) or group.name == "examples":
            continue
        for entry in group.iterdir():
            if entry.name.endswith(".json") and ".openapi." not in entry.name:
                yield f"{group.name}/{entry.name.removesuffix('.json')}", json.loads(entry.read_bytes())


@cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(each["$id"], each) for each in _all().values()], retriever=_unknown)


def _unknown(uri: str) -> NoReturn:
    raise LookupError(f"The contract {uri} is not in this package, and nothing is fetched.")


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema(name),
        registry=_registry(),
        retriever=_unknown,
        validate_formats=True,
        mask=None if name.startswith(_SPOKEN_FREELY) else "the value",
    )
