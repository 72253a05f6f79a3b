"""Versions of contracts: which one two sides speak, and whether a released one is still what it was.

Agent and engine say which versions they know when they connect, and speak the highest that both do; so the older of
two neighbouring versions still works, on either side. A released contract may grow, but what was right stays right:
`breaking_changes` tells, and a test holds every contract against its release in `contracts/released`.

    python -m counterfoil_contracts.versions events/order.v1 > contracts/released/events/order.v1.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from counterfoil_contracts import names, schema

Schema = Mapping[str, Any]


class NoCommonVersion(ValueError):
    """Two sides know a contract, but no version of it in common; cause and remedy are sentences for people."""

    def __init__(self, contract: str, ours: Sequence[int], theirs: Sequence[int]) -> None:
        self.cause = f"The contract {contract!r} is known here as {_listed(ours)}, over there as {_listed(theirs)}."
        older = "this side" if max(ours, default=0) < max(theirs, default=0) else "the other side"
        self.remedy = f"Update {older}; neighbouring versions work together."
        super().__init__(f"{self.cause} {self.remedy}")


def spoken(group: str = "events") -> dict[str, list[int]]:
    """What this side knows of a group: {"order": [1], "gone": [1], …}; the envelope is not negotiated."""
    known: dict[str, list[int]] = {}
    for name in names():
        folder, _, rest = name.partition("/")
        stem, _, version = rest.rpartition(".v")
        if folder == group and stem != "envelope" and not stem.startswith("_"):
            known.setdefault(stem, []).append(int(version))
    return {stem: sorted(versions) for stem, versions in sorted(known.items())}


def greeting() -> dict[str, list[int]]:
    """What each side says at `hello`: its events, and whether it speaks of what orders are told, and of sweeps."""
    known = spoken("feed")
    return spoken() | {"updates": known["updates"], "sweeps": known["sweep_tasks"]}


def agree(ours: Mapping[str, Sequence[int]], theirs: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The highest common version of each contract that both sides know; what one alone knows is left out.

    Raises NoCommonVersion where both know a contract, but no version of it in common.
    """
    agreed = {}
    for contract in sorted(ours.keys() & theirs.keys()):
        common = set(ours[contract]) & set(theirs[contract])
        if not common:
            raise NoCommonVersion(contract, ours[contract], theirs[contract])
        agreed[contract] = max(common)
    return agreed


def whole(name: str) -> dict[str, Any]:
    """The contract with all it refers to written out: the form in which a release is kept."""
    return cast(dict[str, Any], _inlined(schema(name), schema(name)))


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What in `new` breaks those who speak `old`, a sentence each; both with their references written out.

    What an old sender says must pass the new contract, and no property may go. What the engine sends is read by ERPs
    that know only the old contract, so there what is new must pass the old one too.
    """
    changes = [f"{change} ({kind})" for kind, change in _narrower(old, new, "")]
    if new.get("x-sent-by") == "engine":
        changes += [
            f"{change} (seen from the old reader: it refuses what is now allowed)"
            for kind, change in _narrower(new, old, "")
            if kind == "refused"
        ]
    return changes


def _inlined(part: Any, root: Schema) -> Any:
    """A reference becomes what it points to, with what stands beside it (here only ever a description) on top."""
    if isinstance(part, list):
        return [_inlined(inner, root) for inner in part]
    if not isinstance(part, Mapping):
        return part
    beside = {key: _inlined(inner, root) for key, inner in part.items() if key not in ("$ref", "$defs")}
    if "$ref" not in part:
        return beside
    urn, _, pointer = part["$ref"].partition("#")
    root = next(each for each in map(schema, names()) if each["$id"] == urn) if urn else root
    target: Any = root
    for step in pointer.split("/")[1:]:
        target = target[step]
    written_out = _inlined(target, root)
    if clash := {key for key in beside.keys() & written_out.keys() if key not in _NOTES}:
        raise ValueError(f"Beside a reference to {part['$ref']} stand {_listed(clash)} too; put both into allOf.")
    return {**written_out, **beside}


Change = tuple[Literal["refused", "removed"], str]
_NOTES = {"$schema", "$id", "$defs", "title", "description", "x-status", "x-sent-by", "examples", "default", "$comment"}
_FLOORS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_CEILINGS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_INSIDE = ("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames", "contains")
_WALKED = {*_FLOORS, *_CEILINGS, *_INSIDE, "type", "enum", "const", "required", "properties", "allOf", "anyOf", "oneOf"}


def _narrower(old: Any, new: Any, path: str) -> Iterator[Change]:
    """Every place where `new` refuses what `old` took, or no longer names a property."""
    if old is False or new is True or new == {}:
        return
    if new is False:
        yield "refused", f"{path or '/'}: nothing is allowed any more"
        return
    old = {} if old is True else old
    yield from _values(old, new, path)
    yield from _bounds(old, new, path)
    yield from _properties(old, new, path)
    for keyword in _INSIDE:
        if keyword in new:
            yield from _narrower(old.get(keyword, True), new[keyword], f"{path}/{keyword}")
    yield from _combined(old, new, path)
    for keyword in sorted(new.keys() - _WALKED - _NOTES):
        if _plain(old.get(keyword)) != _plain(new[keyword]):
            yield "refused", f"{path or '/'}: {keyword} is new or another"


def _values(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    old_types, new_types = _types(old), _types(new)
    if not old_types <= new_types:
        yield "refused", f"{path or '/'}: the types {_listed(old_types - new_types)} are no longer allowed"
    if (new_values := _allowed(new)) is None:
        return
    if (old_values := _allowed(old)) is None:
        yield "refused", f"{path or '/'}: only some values are allowed now"
    elif gone := [value for value in old_values if value not in new_values]:
        yield "refused", f"{path or '/'}: the values {_listed(gone)} are no longer allowed"


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    for keyword in _FLOORS:
        if keyword in new and (keyword not in old or old[keyword] < new[keyword]):
            yield "refused", f"{path or '/'}: {keyword} rose from {old.get(keyword, 'none')} to {new[keyword]}"
    for keyword in _CEILINGS:
        if keyword in new and (keyword not in old or old[keyword] > new[keyword]):
            yield "refused", f"{path or '/'}: {keyword} fell from {old.get(keyword, 'none')} to {new[keyword]}"


def _properties(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    if demanded := sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield "refused", f"{path or '/'}: {_listed(demanded)} must be there now"
    new_properties = new.get("properties", {})
    for name, inner in old.get("properties", {}).items():
        here = f"{path}/{name}"
        if name in new_properties:
            yield from _narrower(inner, new_properties[name], here)
        elif new.get("additionalProperties", True) is False or new.get("unevaluatedProperties", True) is False:
            yield "refused", f"{here}: the property is no longer allowed"
        else:
            yield "removed", f"{here}: the property is no longer described"


def _combined(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    """allOf, anyOf and oneOf, member by member: their order is part of the contract."""
    for keyword, may_shrink in (("allOf", True), ("anyOf", False), ("oneOf", False)):
        before, after = old.get(keyword, []), new.get(keyword, [])
        for index, member in enumerate(after):
            yield from _narrower(
                before[index] if index < len(before) else (keyword == "allOf" or not before),
                member,
                f"{path}/{keyword}/{index}",
            )
        if after and len(after) < len(before) and not may_shrink:
            yield "refused", f"{path or '/'}: {keyword} has fewer members"


def _types(of: Schema) -> set[str]:
    said = of.get("type", ["null", "boolean", "object", "array", "number", "string"])
    types = {said} if isinstance(said, str) else set(said)
    return types | {"integer"} if "number" in types else types


def _allowed(of: Schema) -> list[Any] | None:
    if "const" in of:
        return [of["const"]]
    return list(of["enum"]) if "enum" in of else None


def _plain(value: Any) -> Any:
    """A keyword's value without what is only said to people."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if key not in _NOTES}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in (sorted(values) if isinstance(values, set) else values)) or "none"


if __name__ == "__main__":
    print(json.dumps(whole(sys.argv[1]), indent=1, ensure_ascii=False))
