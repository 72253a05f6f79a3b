"""Reading exported data: files and folders into histories, one per order, each snapshot verbatim.

Known: an order, a list page (with or without headers), a webhook delivery with headers, a refund or a list of them, a
history. Anything else is listed as skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from counterfoil_agent.snapshot import LARGEST_ID

from counterfoil_engine.domain.errors import CounterfoilError

FILE_BYTES_MAX = 256 * 1024 * 1024
FILES_MAX = 200_000
_Raw = msgspec.Raw
_UNKNOWN = "neither an order, a refund, a delivery nor a history"


@dataclass
class Snapshot:
    """One reading of an order as exported: verbatim JSON, or gone; where it came from, and how it sorts."""

    order_id: int
    kind: str  # order | gone
    raw: bytes
    refunds: list[bytes]
    source: str
    after: str = ""
    modified: str = ""
    listed: int = -1  # its place in a history, -1 for a snapshot on its own

    @property
    def place(self) -> tuple[str, int, str]:
        return (self.modified, len(self.refund_ids), self.source)

    @property
    def refund_ids(self) -> list[int]:
        """The ids of the refunds that the order's summary lists."""
        if self.kind != "order":
            return []
        summary = _object(self.raw).get("refunds")
        entries = _list(summary) if summary else []
        return [refund_id for entry in entries if isinstance(refund_id := _value(_object(entry).get("id")), int)]


@dataclass
class Exports:
    """All that was read: histories by order id, refunds by id, and what was skipped ({"path", "reason"})."""

    snapshots: list[Snapshot] = field(default_factory=list)
    refunds: dict[int, list[bytes]] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)
    refund_sources: dict[int, str] = field(default_factory=dict)

    def skip_refunds_of_nothing(self) -> None:
        """A refund that no order of the data lists is told, not left out in silence."""
        listed = {refund_id for snapshot in self.snapshots for refund_id in snapshot.refund_ids}
        for refund_id, source in self.refund_sources.items():
            if refund_id not in listed:
                self.skipped.append({"path": source, "reason": "a refund that no order here lists"})

    def histories(self) -> dict[int, list[Snapshot]]:
        """Each order's snapshots: as a history lists them, else by `date_modified_gmt`, refunds and path."""
        by_order: dict[int, list[Snapshot]] = {}
        for snapshot in self.snapshots:
            by_order.setdefault(snapshot.order_id, []).append(snapshot)
        for snapshots in by_order.values():
            for snapshot in snapshots:
                snapshot.refunds = self._in_full(snapshot)
            snapshots[:] = list(_merged(snapshots))
        return dict(sorted(by_order.items()))

    def _in_full(self, snapshot: Snapshot) -> list[bytes]:
        """The refunds that come with the snapshot, and those of its summary that are found by id elsewhere.

        Copies that say the same are one; where two differ both go on, for a proof to find.
        """
        found = [raw for refund_id in snapshot.refund_ids for raw in self.refunds.get(refund_id, ())]
        return list(
            {msgspec.json.encode(_value(raw), order="sorted"): raw for raw in (*found, *snapshot.refunds)}.values()
        )


def _merged(snapshots: Sequence[Snapshot]) -> Iterator[Snapshot]:
    """A history keeps its own order; snapshots on their own are put in by their time."""
    listed = sorted((s for s in snapshots if s.listed >= 0), key=lambda s: (s.source, s.listed))
    single = sorted((s for s in snapshots if s.listed < 0), key=lambda s: s.place)
    for snapshot in listed:
        while single and single[0].modified < snapshot.modified:
            yield single.pop(0)
        yield snapshot
    yield from single


def read_exports(paths: Sequence[Path]) -> Exports:
    """Read files and folders (all *.json below them). Raises CounterfoilError where a path doesn't exist."""
    exports = Exports()
    for path in _files(paths):
        if path.suffix.lower() != ".json":
            exports.skipped.append({"path": _name(path), "reason": "not a .json file"})
            continue
        try:
            _read_file(path, exports)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OSError, _Unreadable) as error:
            exports.skipped.append({"path": _name(path), "reason": f"not readable as JSON: {str(error)[:200]}"})
    exports.skip_refunds_of_nothing()
    return exports


def _name(path: Path) -> str:
    """A path as text that can be printed; names of files may hold any bytes."""
    return str(path).encode(errors="replace").decode()


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    count = 0
    for path in paths:
        if not path.exists():
            raise CounterfoilError(
                f"There is no file or folder {str(path)!r}.",
                "Name exported JSON files or folders that hold them.",
                "contract",
            )
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not file.is_file() or (path.is_dir() and file.suffix.lower() != ".json"):
                continue
            count += 1
            if count > FILES_MAX:
                raise CounterfoilError(f"There are more than {FILES_MAX} files.", "Rehearse in parts.", "contract")
            yield file


class _Unreadable(Exception):
    pass


def _read_file(path: Path, exports: Exports) -> None:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise _Unreadable(f"larger than {FILE_BYTES_MAX // 1024 // 1024} MiB")
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    msgspec.json.decode(raw)  # the whole document is well-formed before any part of it is taken
    _take(raw, _name(path), exports)


def _take(raw: bytes, source: str, exports: Exports) -> None:
    """Sort one JSON document, or one part of one, into what it is."""
    if raw.lstrip()[:1] == b"[":
        _take_list(_list(raw), source, exports)
        return
    if raw.lstrip()[:1] != b"{":
        exports.skipped.append({"path": source, "reason": "neither an object nor a list"})
        return
    fields = _object(raw)
    if "snapshots" in fields:
        _take_history(fields, source, exports)
    elif "raw_body" in fields:
        _take_delivery(fields, source, exports)
    elif "headers" in fields and "body" in fields:
        _take(fields["body"], source, exports)
    elif "order_key" in fields and "status" in fields:
        _take_order(raw, source, exports)
    elif "amount" in fields and "line_items" in fields:
        refund_id = _value(fields.get("id"))
        if _is_id(refund_id):
            exports.refunds.setdefault(refund_id, []).append(raw)
            exports.refund_sources[refund_id] = source
        else:
            exports.skipped.append({"path": source, "reason": "a refund without an id"})
    else:
        exports.skipped.append({"path": source, "reason": _UNKNOWN})


def _take_list(entries: Sequence[bytes], source: str, exports: Exports) -> None:
    """A list page; one that holds nothing known is skipped as a whole."""
    before = len(exports.skipped)
    for index, entry in enumerate(entries):
        _take(entry, f"{source}[{index}]", exports)
    if len(exports.skipped) - before == len(entries):
        del exports.skipped[before:]
        exports.skipped.append({"path": source, "reason": f"{_UNKNOWN}, in a list of {len(entries)}"})


def _take_order(raw: bytes, source: str, exports: Exports, listed: int = -1, after: str = "") -> Snapshot | None:
    fields = _object(raw)
    order_id = _value(fields.get("id"))
    if not _is_id(order_id):
        reason = f"an order whose id is no whole number from 1 to {LARGEST_ID}"
        exports.skipped.append({"path": source, "reason": reason})
        return None
    modified = _value(fields.get("date_modified_gmt"))
    snapshot = Snapshot(
        order_id, "order", raw, [], source, after, modified if isinstance(modified, str) else "", listed
    )
    exports.snapshots.append(snapshot)
    return snapshot


def _take_delivery(fields: Mapping[str, bytes], source: str, exports: Exports) -> None:
    """A webhook delivery: its body is an order, or only a hint."""
    headers = _value(fields.get("headers"))
    topic = ""
    if isinstance(headers, dict):
        topic = str(next((value for name, value in headers.items() if name.lower() == "x-wc-webhook-topic"), ""))
    body = _value(fields["raw_body"])
    if not topic:
        exports.skipped.append({"path": source, "reason": "a webhook's ping: no topic"})
        return
    try:
        raw = str(body).encode()
        order = _object(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        exports.skipped.append({"path": source, "reason": "a delivery whose body isn't JSON"})
        return
    if "order_key" in order and "status" in order:
        _take_order(raw, source, exports)
    elif "code" in order:
        reason = "a delivery that carries an error: the order was gone when it was built (only a hint)"
        exports.skipped.append({"path": source, "reason": reason})
    else:
        exports.skipped.append({"path": source, "reason": f"a delivery of {topic} without an order (only a hint)"})


def _take_history(fields: Mapping[str, bytes], source: str, exports: Exports) -> None:
    order_id, modified = 0, ""
    steps = _list(fields["snapshots"])
    if not steps:
        exports.skipped.append({"path": source, "reason": "a history without snapshots"})
    for index, entry in enumerate(steps):
        step = _object(entry)
        after = _value(step.get("after"))
        name = f"{source}#{index + 1}"
        if "order" in step:
            snapshot = _take_order(step["order"], name, exports, index, after if isinstance(after, str) else "")
            if snapshot is None:
                continue
            refunds = step.get("refunds")
            snapshot.refunds = _list(refunds) if refunds and refunds.lstrip()[:1] == b"[" else []
            snapshot.source = source
            snapshot.modified = modified = max(modified, snapshot.modified)
            order_id = snapshot.order_id
        elif _value(step.get("status")) == 404 and order_id:
            gone = step.get("body", b"{}")
            exports.snapshots.append(Snapshot(order_id, "gone", gone, [], source, str(after or ""), modified, index))
        else:
            exports.skipped.append({"path": name, "reason": "a step that is neither an order nor a 404 after one"})


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_ID


def _object(raw: bytes) -> dict[str, bytes]:
    """A JSON object's fields, each verbatim; not an object: none."""
    if raw.lstrip()[:1] != b"{":
        return {}
    return {name: bytes(value) for name, value in msgspec.json.decode(raw, type=dict[str, _Raw]).items()}


def _list(raw: bytes) -> list[bytes]:
    if raw.lstrip()[:1] != b"[":
        return []
    return [bytes(value) for value in msgspec.json.decode(raw, type=list[_Raw])]


def _value(raw: bytes | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)
