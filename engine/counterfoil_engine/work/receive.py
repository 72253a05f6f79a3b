"""Receiving what the stores' agents send: a verdict per event, everything of a request in one commit before the answer.

An event that breaks its contract is kept and answered with the reason, and its neighbours go on. Only what has no place
in the sequence, or speaks for another store, is refused; what can't be cut into events at all is rejected whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from counterfoil_contracts import MOST_DIGITS, can_be_deep, contract_of, faults, parse
from counterfoil_contracts.versions import NoCommonVersion, agree, greeting

from counterfoil_engine.ports import Clock, EventLog, Incoming, Rejected, Verdict, Watermark

_NO_DAY = date(
    1970, 1, 1
)  # of an event whose own day can't be read: fixed, so that it is a duplicate when it comes again
_MOST_FAULTS = 3  # told in a reason
_LONGEST_REASON = 500
_MOST_BYTES_CUT_BY_HAND = 4_194_304  # some seconds' work; who sends more is asked for smaller parts
_BIGGEST_EPOCH = 2**31 - 1
_BIGGEST_N = 2**53 - 1
_MOST_ORDERS = 1000  # told at the start of an epoch

_ID = re.compile(r"[!-}]{1,64}")  # printable ASCII; `~` is kept for the names of conflicts
_TYPE = re.compile(r"[!-~]{1,100}")
_TRANSACTION = re.compile(r"[!-~]{1,200}")
_SUBJECT = re.compile(r"([a-z][a-z_]{0,40})/([A-Za-z0-9_.:-]{1,100})")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},]', re.DOTALL)

_ALL_DIGITS_NINE = bytes.maketrans(b"012345678", b"999999999")
_TOO_MANY_DIGITS = b"9" * (MOST_DIGITS + 1)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_Store = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")]
_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
_Words = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]*\Z", min_length=1, max_length=300)]


class _Last(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(ge=0, le=_BIGGEST_N)]
    id: Annotated[str, msgspec.Meta(max_length=64)] | None


class _Known(msgspec.Struct):
    """How far the agent still has what the engine stored: nothing of later numbers or epochs is sure to be there."""

    epoch: Annotated[int, msgspec.Meta(ge=0, le=_BIGGEST_EPOCH)] = 0
    n: Annotated[int, msgspec.Meta(ge=0, le=_BIGGEST_N)] = 0


class _Hello(msgspec.Struct):
    store: _Store
    installation: _Hex
    agent_version: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,40}\Z")]
    contracts: Annotated[
        dict[
            Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,40}\Z")],
            Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=9999)]], msgspec.Meta(max_length=100)],
        ],
        msgspec.Meta(max_length=100),
    ]
    epoch: Annotated[int, msgspec.Meta(ge=1, le=_BIGGEST_EPOCH)] | None = None
    last: _Last | None = None
    known: _Known | None = None


class _EpochAsked(msgspec.Struct):
    store: _Store
    installation: _Hex
    epoch: Annotated[int, msgspec.Meta(ge=1, le=_BIGGEST_EPOCH)]
    reason: _Words
    known: _Known | None = None


class Receiver:
    """The use cases behind an agent's requests. store: the one whose signature the request bears."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        most_events: int = 500,
        retain_s: int = 604_800,
        feed_url: str | None = None,
    ) -> None:
        self._log, self._clock = log, clock
        self._most_events, self._retain_s, self._feed_url = most_events, retain_s, feed_url

    def hello(self, store: str, raw: bytes) -> dict[str, Any]:
        """Which epoch the agent is in, how far it is stored, and which contracts to speak."""
        asked = _read(raw, _Hello, store)
        try:
            agreed = agree(greeting(), asked.contracts)
        except NoCommonVersion as error:
            raise Rejected(error.cause, error.remedy, slug="contracts") from None
        watermark = self._log.greet(store, asked.installation, asked.agent_version, asked.contracts)
        return {
            "epoch": watermark.epoch,
            "stored_through": _through(watermark),
            "contracts": agreed,
            "retain_s": self._retain_s,
            "server_time": self._now(),
            **({"feed_url": self._feed_url} if self._feed_url else {}),
            **self._unknown_orders(store, watermark, asked.known),
        }

    def new_epoch(self, store: str, raw: bytes) -> dict[str, Any]:
        """The next epoch, for an agent whose rows are not those that were stored (E2)."""
        asked = _read(raw, _EpochAsked, store)
        watermark = self._log.grant_epoch(store, asked.installation, asked.epoch, asked.reason)
        return {
            "epoch": watermark.epoch,
            "stored_through": _through(watermark),
            "server_time": self._now(),
            **self._unknown_orders(store, watermark, asked.known),
        }

    def _unknown_orders(self, store: str, watermark: Watermark, known: _Known | None) -> dict[str, Any]:
        """At the start of a later epoch: the orders that the agent may have forgotten, for it to read again. One that
        the store has deleted since would else stand for ever, since who never knew it can't miss it."""
        if known is None or watermark.n > 0 or watermark.epoch == 1:
            return {}
        return {"orders": self._log.orders_after(store, known.epoch, known.n, _MOST_ORDERS)}

    def events(self, store: str, raw: bytes) -> dict[str, Any]:
        """A verdict per event, in their order, and how far the epoch is stored."""
        parts = _cut_batch(raw)
        if not 1 <= len(parts) <= self._most_events:
            raise Rejected(
                f"The batch has {len(parts)} events; 1 to {self._most_events} are taken at once.",
                "Send it in smaller parts.",
                slug="too-large" if parts else "request",
            )
        is_plain = _is_plain(raw)
        judged = _once_per_number([judge(store, part, is_plain) for part in parts])
        appended = self._log.append(store, [each for each in judged if isinstance(each, Incoming)])
        kept = iter(appended.verdicts)
        verdicts = [next(kept) if isinstance(each, Incoming) else each for each in judged]
        return {
            "verdicts": [{"n": n, "id": id_, "verdict": what, "reason": why} for n, id_, what, why in verdicts],
            "stored_through": _through(appended.watermark),
            "holes": [list(hole) for hole in appended.holes],
            "server_time": self._now(),
        }

    def heartbeat(self, store: str, raw: bytes) -> dict[str, Any]:
        """Keep a heartbeat; it has no number and so no verdict."""
        wrong = [str(fault) for fault in faults("events/envelope.v1", raw)]
        event = {} if wrong else parse(raw)
        if not wrong and event["source"] != f"/stores/{store}":
            raise _other_store(event["source"], store)
        if not wrong and event["type"] != "counterfoil.heartbeat.v1":
            wrong = [f"/type: {event['type']} is no heartbeat"]
        wrong = wrong or [f"/data{fault}" for fault in faults("events/heartbeat.v1", event["data"])]
        if wrong:
            raise Rejected(
                f"The heartbeat breaks its contract: {_reason(wrong)}.",
                "Update the agent to a version that fits this engine.",
                slug="contract",
            )
        watermark = self._log.beat(store, bytes(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])["data"]))
        return {"stored_through": _through(watermark), "server_time": self._now()}

    def _now(self) -> str:
        return self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def judge(store: str, part: bytes, is_plain: bool = False) -> Incoming | Verdict:
    """One event as it came: what is to be kept of it, or its refusal. is_plain: the whole batch is (`_is_plain`)."""
    event = _opened(part, is_plain)
    n, epoch, event_id = event.fields.get("n"), event.fields.get("epoch"), event.fields.get("id")
    clean_id = event_id if isinstance(event_id, str) and _ID.fullmatch(event_id) else None
    clean_n = n if type(n) is int and 1 <= n <= _BIGGEST_N else None
    if clean_n is None or type(epoch) is not int or not 1 <= epoch <= _BIGGEST_EPOCH:
        why = event.wrong or ["it has no number in an epoch, or none that can be read"]
        return Verdict(clean_n, clean_id, "refused", f"The event has no place in the sequence: {_reason(why)}")
    source = event.fields.get("source")
    if isinstance(source, str) and source != f"/stores/{store}":
        other = _other_store(source, store)
        return Verdict(clean_n, clean_id, "refused", _clean(str(other)))
    body_hash = hashlib.sha256(event.body).hexdigest()
    reason = _reason(event.wrong or _broken(event.fields, not can_be_deep(part))) or None
    return Incoming(
        event_id=clean_id or f"broken-{body_hash[:32]}",
        occurred_on=_day(event.fields.get("occurredon")),
        epoch=epoch,
        n=clean_n,
        type=_text(event.fields.get("type"), _TYPE) or "unknown",
        subject=_subject(store, event.fields.get("subject")),
        occurred_at=_moment(event.fields.get("time")),
        body=event.body,
        body_hash=body_hash,
        reason=reason,
        transaction=_transaction(event.fields) if reason is None else None,
        traceparent=event.fields.get("traceparent") if reason is None else None,
    )


class _Opened(NamedTuple):
    """fields: the attributes that can be read; body: the bytes of data, else of all; wrong: why not all can be read."""

    fields: Mapping[str, Any]
    body: bytes
    wrong: list[str]


def _opened(part: bytes, is_plain: bool) -> _Opened:
    try:
        fields = _parsed_at_once(part, is_plain) or parse(part)
        if not isinstance(fields, dict):
            return _Opened({}, part, ["it is no object"])
        raw = _members.decode(part)  # takes no half surrogate pair
        return _Opened(fields, bytes(raw.get("data", part)), [])
    except ValueError as error:
        return _salvaged(part, str(error))


def _is_plain(raw: bytes) -> bool:
    """Whether no number in it can be too long, and no colon is written as an escape."""
    return _TOO_MANY_DIGITS not in raw.translate(_ALL_DIGITS_NINE) and b"\\u003" not in raw


def _parsed_at_once(part: bytes, is_plain: bool = False) -> Any:
    """What `parse` would read, several times quicker; None where only `parse` can tell, or say what is wrong.

    msgspec refuses all that `parse` refuses, except numbers that are too long, which are looked for first, and equal
    keys, of which it keeps the last. A member that was dropped took at least its own colon along: so what was read is
    written again, and the colons are counted. Only a colon written as an escape could hide that."""
    if not is_plain and not _is_plain(part):
        return None
    try:
        fields = msgspec.json.decode(part)
        return fields if msgspec.json.encode(fields).count(b":") == part.count(b":") else None
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def _salvaged(part: bytes, wrong: str) -> _Opened:
    """An event that can't be read as a whole: its attributes one by one, so that at least its number counts."""
    fields: dict[str, Any] = {}
    body = part
    for member in _cut(part) or ():
        key, _, value = member.partition(b":")
        if key.strip() == b'"data"':
            body = value.strip()
            continue
        try:
            fields |= parse(b"{" + member + b"}")
        except ValueError:
            continue
    return _Opened(fields, body, [wrong])


def _broken(fields: Mapping[str, Any], is_shallow: bool) -> list[str]:
    """How an event breaks its contracts: the envelope's, then its data's."""
    data = fields.get("data")
    bare = {**fields, "data": {}} if isinstance(data, dict) else fields  # data has its own contract, checked below
    wrong = [str(fault) for fault in faults("events/envelope.v1", bare, _MOST_FAULTS, is_shallow)]
    if wrong:
        return wrong
    if _moment(fields["time"]) is None:
        return [f"/time: {fields['time']} is no moment that can be kept"]
    contract = contract_of(fields["type"])
    if contract is None:
        return [f"/type: {fields['type']} is not known to this engine; update it"]
    if fields["dataschema"] != "urn:counterfoil:" + contract.replace("/", ":").replace(".v", ":"):
        return [f"/dataschema: {fields['dataschema']} is not that of {fields['type']}"]
    wrong = [f"/data{fault}" for fault in faults(contract, data, _MOST_FAULTS, is_shallow)]
    return wrong or _about_another(fields)


def _about_another(fields: Mapping[str, Any]) -> list[str]:
    """Whether the event's subject is another order than its data."""
    data = fields["data"]
    order_id = data["order"]["id"] if "order" in data else data.get("order_id")
    named = fields["subject"]
    contract = contract_of(fields["type"])
    if contract in ("events/order.v1", "events/gone.v1", "events/gone.v2") and named != f"order/{order_id}":
        return [f"/subject: {named} is not the order that data is about"]
    return []


def _once_per_number(judged: Sequence[Incoming | Verdict]) -> list[Incoming | Verdict]:
    """Refuse the second of two events that one batch puts under one number."""
    first: dict[int, str] = {}
    once: list[Incoming | Verdict] = []
    for each in judged:
        if isinstance(each, Incoming) and first.setdefault(each.n, each.event_id) != each.event_id:
            each = Verdict(each.n, each.event_id, "refused", f"Another event of this batch has the number {each.n}.")
        once.append(each)
    return once


def _cut_batch(raw: bytes) -> list[bytes]:
    """A JSON array into its events, unread."""
    try:
        return [bytes(part) for part in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    parts = _cut(raw) if raw.lstrip()[:1] == b"[" and len(raw) <= _MOST_BYTES_CUT_BY_HAND else None
    if parts is None:
        raise Rejected(
            "The body is no JSON array of events in UTF-8.",
            "Send it in smaller parts; what still fails alone is sent wrapped.",
            slug="json",
        )
    return parts


def _cut(raw: bytes) -> list[bytes] | None:
    """The elements of an array, or the members of an object, whatever is in them; None where brackets don't match.

    For what no parser takes: one event that is nested a thousand deep must not cost its neighbours theirs."""
    parts: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(raw):
        sign = token.group()
        if sign in (b"[", b"{"):
            depth += 1
            start = token.end() if depth == 1 else start
        elif sign in (b"]", b"}"):
            depth -= 1
        if (depth == 0 and sign in (b"]", b"}")) or (depth == 1 and sign == b","):
            parts.append(raw[start : token.start()].strip())
            start = token.end()
        if depth == 0:
            return None if raw[token.end() :].strip() else parts
    return None


def _read(raw: bytes, kind: type[Any], store: str) -> Any:
    """A request of hello's or epoch's shape, of the store that signed it."""
    try:
        asked = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Rejected(
            f"The request is not what this path takes: {_clean(str(error))}.",
            "Update the agent to a version that fits this engine.",
            slug="contract",
        ) from None
    if asked.store != store:
        raise _other_store(asked.store, store)
    return asked


def _other_store(named: str, store: str) -> Rejected:
    return Rejected(
        f"The store {store!r} signed what speaks for {_clean(named)[:100]!r}.",
        "Each store's agent sends its own store's events, signed with that store's secret.",
        slug="other-store",
    )


def _through(watermark: Watermark) -> dict[str, Any]:
    return {"n": watermark.n, "id": watermark.id}


def _reason(wrong: Sequence[str]) -> str:
    return _clean("; ".join(wrong[:_MOST_FAULTS]))


def _clean(text: str) -> str:
    """Bounded, and nothing in it that a text column or a terminal can't hold."""
    return _UNPRINTABLE.sub("\ufffd", text)[:_LONGEST_REASON]


def _text(value: object, pattern: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _subject(store: str, value: object) -> str | None:
    """`order/1001` as the engine names it: `order eu1/1001`."""
    match = _SUBJECT.fullmatch(value) if isinstance(value, str) else None
    return f"{match[1]} {store}/{match[2]}" if match else None


def _transaction(fields: Mapping[str, Any]) -> str | None:
    """The gateway's transaction that an order bears: one that a gateway's fact can name."""
    order = fields["data"].get("order")
    return _text(order.get("transaction_id"), _TRANSACTION) if isinstance(order, dict) else None


def _day(value: object) -> date:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else _NO_DAY
    except ValueError:
        return _NO_DAY


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
