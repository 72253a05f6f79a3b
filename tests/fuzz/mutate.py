"""Turns good JSON into bad: in its tree, where one value becomes another, and in its bytes.

All of it is drawn from a `random.Random`, so that a seed tells the whole story.
"""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from typing import Any

Json = Any


@dataclass(frozen=True)
class Raw:
    """A piece of JSON text that no encoder would write."""

    text: bytes


def deep(levels: int) -> Raw:
    return Raw(b"[" * levels + b"]" * levels)


def deep_object(levels: int) -> Raw:
    return Raw(b'{"a":' * levels + b"1" + b"}" * levels)


TEXTS = (
    "", " ", "\x00", "a\x00b", "\n", "\u202e\u0000", "\ufeff", "\U0001f4a9" * 50, "é" * 300, "٣", "１２", "İ", "ß" * 99,
    "' OR 1=1 --", "'; DROP TABLE events; --", "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://x}", "%s%n%d",
    "{0}{__class__}", "../../../../etc/passwd", "A" * 5_000, "9" * 401, "1e5", "1E-400", "NaN", "-Infinity", "1,50",
    "1.005", "-0.00", "+1", " 1", "1 ", "0x10", "1_000", "1" * 39 + ".1", "EUR\n", "eur", "XTS", "€", "null", "true",
    "0000-00-00", "0000-00-00T00:00:00", "9999-12-31T23:59:59", "2026-02-30", "2026-11-23T25:00:00Z", "1969-12-31",
    "2026-11-23T10:00:00+99:99", "0001-01-01T00:00:00+14:00", "2026-11-23T10:00:00", "20261123", "/stores/eu2",
    "/stores/eu1", "order/1", "order/" + "9" * 90, "counterfoil.order.v9", "counterfoil.gone.v1", "urn:x", "-", "*",
)  # fmt: skip
ALIKE = (
    "0", "0.00", "1.00", "-1.00", "9.09", "0.005", "1.999", "1000000000000.00", "999999999999999.99", "-0.01",
    "19.0000", "EUR", "JPY", "KWD", "USD", "XTS", "DE", "FR", "AQ", "completed", "refunded", "cancelled", "trash",
    "on-hold", "failed", "bacs", "stripe", "klarna", "", "taxable", "none", "2026-11-23T09:10:36",
    "2036-01-01T00:00:00", "1970-01-01T00:00:00", "2026-03-29T02:30:00", "9999-12-31T23:59:59", "DE-MWST 19%-1",
    "FR-TVA 20%-1", "a/b", "ch_1001", "flat_rate", "simple", "_reduced_stock", "Gift card", "O'Neill", "1001",
    "x" * 60,
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**18, 10**30, 10**390,
    0.1, -0.0, 1.5, 1e22, 1e-7, 3008.0, 1.7976931348623157e308, 5e-324,
)  # fmt: skip
RAWS = (
    Raw(b"NaN"), Raw(b"Infinity"), Raw(b"-Infinity"), Raw(b"1e999"), Raw(b"-1e999"), Raw(b"1E-999"), Raw(b"-0"),
    Raw(b"01"), Raw(b"1."), Raw(b".5"), Raw(b"+1"), Raw(b"0x1F"), Raw(b"'a'"), Raw(b"undefined"), Raw(b"9" * 401),
    Raw(b"9" * 5_000), Raw(b"1" * 300 + b"." + b"1" * 300), Raw(b"1e" + b"9" * 30), Raw(rb'"\ud800"'),
    Raw(rb'"\udc00\ud800"'), Raw(rb'"\u0000"'), Raw(rb'"\x41"'), Raw(b'"\xff\xfe"'), Raw(b'"\xed\xa0\x80"'),
    Raw(b'"\xc0\xaf"'), Raw(b'"a\x01b"'), Raw(b'{"a":1,"a":2}'), Raw(b'{"id":1,"id":2}'), Raw(rb'{"a":1,"\u0061":2}'),
    Raw(b'{"":{"":{}}}'), deep(63), deep(64), deep(65), deep(500), deep(2_000), deep_object(70), deep_object(1_200),
)  # fmt: skip
BIG = (
    deep(100_000),
    Raw(b'"' + b"x" * 300_000 + b'"'),
    Raw(json.dumps(list(range(20_000))).encode()),
    Raw(json.dumps({f"k{n}": n for n in range(5_000)}).encode()),
    Raw(b"[" + b"{}," * 20_000 + b"{}]"),
    Raw(b"9" * 200_000),
    Raw(json.dumps([[[]] * 50] * 200).encode()),
)


def hostile(randomly: random.Random, big: bool = False) -> Json:
    """A value that hardly any field was made for."""
    if big and randomly.random() < 0.04:
        return randomly.choice(BIG)
    kind = randomly.randrange(10)
    if kind < 4:
        return randomly.choice(TEXTS)
    if kind < 6:
        return randomly.choice(NUMBERS)
    if kind < 8:
        return randomly.choice(RAWS)
    return copy.deepcopy(randomly.choice((None, True, False, [], {}, [None], [[]], {"": None}, [1, "a", {}])))


def place(value: Json, randomly: random.Random, keep: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """The path of some value within, by a walk downwards that may end anywhere; () where there is none."""
    path: tuple[Any, ...] = ()
    while isinstance(value, dict | list) and value and (not path or randomly.random() < 0.8):
        keys = [key for key in (value if isinstance(value, dict) else range(len(value))) if path or key not in keep]
        if not keys:
            break
        path = (*path, randomly.choice(keys))
        value = value[path[-1]]
    return path


def changed(value: Json, randomly: random.Random, most: int = 3, big: bool = False, keep: tuple[str, ...] = ()) -> Json:
    """A copy with one to `most` changes; top-level members named in keep stay as they are."""
    value = _copied(value)
    for _ in range(randomly.randint(1, most)):
        path = place(value, randomly, keep)
        if not path:
            return value if keep else hostile(randomly, big)
        _change(value, path, randomly, big)
    return value


def plausible(value: Json, randomly: random.Random, keep: tuple[str, ...] = ()) -> Json:
    """A copy in which some values became others of their own type: what passes a schema, and is wrong all the same."""
    value = _copied(value)
    for _ in range(randomly.randint(1, 4)):
        path = place(value, randomly, keep)
        if path:
            holder = value
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = _alike(holder[path[-1]], randomly)
    return value


def _alike(old: Json, randomly: random.Random) -> Json:
    if isinstance(old, bool):
        return not old
    if isinstance(old, str):
        return randomly.choice(ALIKE if randomly.random() < 0.8 else TEXTS)[:60]
    if isinstance(old, int):
        return randomly.choice((0, 1, 2, 7, 99, 4600, 2**31, 2**53 - 1, -1, old + 1, -old))
    if isinstance(old, float):
        return randomly.choice((0.0, -0.5, 0.1, 1e15, 1e-9, old * 2))
    if isinstance(old, list):
        return randomly.choice((old[::-1], old[:-1], old + _copied(old), [], old[:1] * 30))
    if isinstance(old, dict):
        return {name: child for name, child in old.items() if randomly.random() < 0.9}
    return randomly.choice((None, "2026-11-23T10:00:00", "1.00", 1))


def _copied(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _copied(child) for name, child in value.items()}
    return [_copied(child) for child in value] if isinstance(value, list) else value


def _change(value: Json, path: tuple[Any, ...], randomly: random.Random, big: bool) -> None:
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key, how = path[-1], randomly.randrange(12)
    old = holder[key]
    if how < 6:
        holder[key] = hostile(randomly, big)
    elif how == 6:
        del holder[key]
    elif how == 7:
        holder[key] = [old] if randomly.random() < 0.5 else {str(key): old}
    elif how == 8 and isinstance(holder, dict):
        holder[randomly.choice(TEXTS)] = holder.pop(key)
    elif how == 9 and isinstance(holder, list):
        holder.extend(copy.deepcopy([old] * randomly.choice((1, 3, 50))))
    elif how == 10 and isinstance(old, str):
        holder[key] = randomly.choice((old + "\x00", old[:-1], old * 50, old.upper(), f" {old} ", old[::-1]))
    elif how == 10 and isinstance(old, int) and not isinstance(old, bool):
        holder[key] = randomly.choice(
            (-old, old + 1, str(old)[:500], old / 3 if abs(old) < 2**63 else 0, old * 10**15, not old)
        )
    else:
        holder[key] = _twice(old)


def _twice(old: Json) -> Raw:
    """An object with a member that stands twice."""
    text = encoded(old)
    return Raw(b'{"a":' + text + b',"a":' + text + b"}")


def encoded(value: Json) -> bytes:
    """As JSON; pieces of Raw as they are."""
    raws: list[bytes] = []

    def placed(part: object) -> str:
        assert isinstance(part, Raw)
        raws.append(part.text)
        return f"\uf8ff{len(raws) - 1}\uf8ff"

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=placed).encode("utf-8", "surrogatepass")
    mark = "\uf8ff".encode()
    for number, raw in enumerate(raws):
        text = text.replace(b'"%s%d%s"' % (mark, number, mark), raw)
    return text


def garbled(body: bytes, randomly: random.Random) -> bytes:
    """Other bytes than were meant."""
    how, at = randomly.randrange(14), randomly.randrange(len(body) + 1)
    if how == 0:
        return body[:at]
    if how == 1:
        return body[at:]
    if how == 2:
        return body + randomly.choice((b"\x00", b"]", b"}", body[:50], b" // more", b"\xff"))
    if how == 3:
        return randomly.choice((b"\xef\xbb\xbf", b"\xff\xfe", b")]}',\n", b"\x00")) + body
    if how in (4, 5, 6):
        flipped = bytearray(body)
        for _ in range(randomly.choice((1, 2, 20))):
            if flipped:
                flipped[randomly.randrange(len(flipped))] = randomly.randrange(256)
        return bytes(flipped)
    if how == 7:
        return body.decode("utf-8", "replace").encode(randomly.choice(("utf-16", "utf-32", "utf-7", "utf-16-le")))
    if how == 8:
        return body[:at] + randomly.choice((b"\xff", b"\x00", b"[", b'"', b"\\", b"{" * 300)) + body[at:]
    if how == 9:
        return randomly.choice((b"", b" ", b"null", b"[]", b"{}", b"0", b'""', b"[[]]", b"[null]", b"[{}]", b"\x00"))
    if how == 10:
        return body.replace(b",", b",,", 1) if randomly.random() < 0.5 else body.replace(b":", b"=", 1)
    if how == 11:
        return body[:at] + body
    if how == 12:
        return randomly.randbytes(randomly.choice((1, 20, 2_000)))
    return body.replace(b'"', b"'")
