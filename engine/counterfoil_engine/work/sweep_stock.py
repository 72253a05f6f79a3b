"""The sweep of a store's stock: digests by bucket, opened only where they differ, then what each SKU means (S1)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import msgspec

from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.stock import sku_key
from counterfoil_engine.domain.stock_sweep import (
    Bucket,
    Expected,
    Held,
    bucket_of,
    buckets_of,
    differing,
    digest_of,
    judge,
    next_asks,
    price_in,
)
from counterfoil_engine.ports import EPOCH_BITS, Facts, IdentityRecords
from counterfoil_engine.work.sweep import Impossible, Question, Row, Run

BEHIND_SHARE_PERCENT = (
    20  # where more of the pool's numbers than this aren't at the store yet, there is nothing to compare
)
MOST_PRICED = 200  # breaks of one answer whose price is looked for
_COUNTER = (1 << EPOCH_BITS) - 1


class NumberRecords(Protocol):
    """What a store ought to have (`records/sweeps.py`, `records/ats.py`)."""

    def numbers(self, tx: Any, pool: str, store: str, epoch: int) -> list[Expected]: ...
    def behind(self, tx: Any, pool: str, version: int) -> int: ...
    def dirty_of(self, tx: Any, pool: str, keys: Sequence[str]) -> set[str]: ...
    def last_edit(self, tx: Any, store: str, key: str) -> Row | None: ...
    def last_sold_in(self, tx: Any, store: str, key: str) -> str | None: ...


class Counted(Protocol):
    """Versions and sales of a pool (`records/ats.py`)."""

    def versions(self, tx: Any) -> dict[str, int]: ...
    def sold(self, tx: Any, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]: ...


class _Tree:
    """A pool's numbers for a store at one version. Buckets are read in the order of their names, so that what is opened
    costs what it holds."""

    def __init__(self, rows: Sequence[Expected]) -> None:
        self.rows = rows
        digests: dict[str, tuple[int, int]] = {}
        for row in rows:
            leaf = bucket_of(row.key)
            count, digest = digests.get(leaf, (0, 0))
            digests[leaf] = (count + 1, digest ^ digest_of(row.key, row.number))
        self._digests = digests

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._digests)

    @cached_property
    def _leaves(self) -> dict[str, list[Expected]]:
        leaves: dict[str, list[Expected]] = {}
        for row in self.rows:
            leaves.setdefault(bucket_of(row.key), []).append(row)
        return leaves

    def digests(self, prefixes: Sequence[str]) -> dict[str, tuple[int, int]]:
        """(SKUs, digest) of the deepest buckets in these."""
        if prefixes == [""]:
            return self._digests
        return {name: self._digests[name] for name in self._inside(prefixes)}

    def below(self, prefixes: Sequence[str]) -> dict[str, Expected]:
        """Numbers in these buckets, by key."""
        return {row.key: row for name in self._inside(prefixes) for row in self._leaves[name]}

    def _inside(self, prefixes: Sequence[str]) -> Iterator[str]:
        for prefix in prefixes:
            first = bisect_left(self._names, prefix)
            yield from self._names[first : bisect_left(self._names, prefix + "~")]


class StockSweep:
    """Keeps the tree of what was compared last, since an opened bucket is asked for moments later."""

    def __init__(self, identity: IdentityRecords, numbers: NumberRecords, counted: Counted, facts: Facts) -> None:
        self._identity, self._numbers, self._counted, self._facts = identity, numbers, counted, facts
        self._lock = threading.Lock()
        self._kept: tuple[tuple[Any, ...], _Tree] | None = None

    def begin(self, tx: Any, run: Run) -> Sequence[Question]:
        self._pool(run)
        self._epoch(tx)
        return [Question("stock_digest", {"prefixes": [""], "pause_s": run.pause_s})]

    def take(self, tx: Any, run: Run, task: Row, said: Mapping[str, Any]) -> Sequence[Question]:
        pool, epoch = self._pool(run), self._epoch(tx)
        fed_through = self._fed_through(tx, run, pool, epoch, said)
        tree = self._tree(tx, pool, run.store, epoch)
        asked = msgspec.json.decode(task["body"])["prefixes"]
        if task["kind"] == "stock_items":
            self._compare(tx, run, pool, tree, asked, said, fed_through)
            return ()
        told = self._buckets(run, asked, said)
        if asked == [""]:
            run.notes["compared"] = len(tree.rows)
            behind = self._numbers.behind(tx, pool, fed_through & _COUNTER)
            if behind * 100 > len(tree.rows) * BEHIND_SHARE_PERCENT:
                raise Impossible(
                    f"{behind} of {len(tree.rows)} numbers have not been read by the agent of {run.store} yet.",
                    "Nothing to do: it is swept again once they are. See how far it is: counterfoil status.",
                    "outage",
                )
        ours = buckets_of(tree.digests(asked), asked)
        asks = next_asks(differing(ours, told), max(len(ours), len(told)))
        return [
            *(Question("stock_digest", {"prefixes": part, "pause_s": run.pause_s}) for part in asks.open),
            *(Question("stock_items", {"prefixes": part, "pause_s": run.pause_s}) for part in asks.listed),
        ]

    # What may be compared at all

    def _pool(self, run: Run) -> str:
        pool = run.rules.store(run.store).pool
        if pool not in run.rules.pools:
            raise Impossible(
                f"The rules in force name no pool for the store {run.store!r}: it is told no stock.",
                "Name one in the rules (stores: pool) if it is to be.",
                "missing_mapping",
            )
        return pool

    def _epoch(self, tx: Any) -> int:
        life = self._identity.life(tx)
        if life is None:
            raise Unavailable(
                "Nobody has said yet that this engine's database is the one that writes.",
                "After a restore or a move: counterfoil confirm.",
            )
        return life

    def _fed_through(self, tx: Any, run: Run, pool: str, epoch: int, said: Mapping[str, Any]) -> int:
        """The last version that the agent has read, which this engine has to have told it."""
        through, version = int(said.get("fed_through", 0)), self._counted.versions(tx).get(pool, 0)
        is_mine = said.get("engine_epoch") == epoch and through >> EPOCH_BITS == epoch and through & _COUNTER <= version
        if not is_mine and through:
            raise Impossible(
                f"The numbers that {run.store} holds were told by another engine, or by this one before it went back.",
                "Let its agent read them anew: counterfoil confirm, on the engine that writes.",
                "conflict",
            )
        return through

    def _buckets(self, run: Run, asked: Sequence[str], said: Mapping[str, Any]) -> list[Bucket]:
        """The buckets as they were told, which have to lie in what was asked, and be all of it."""
        told = [Bucket(name, count, int(digest, 16)) for name, count, digest in said.get("buckets", ())]
        inside = tuple(asked)
        is_strange = any(not one.bucket.startswith(inside) for one in told) or len({b.bucket for b in told}) < len(told)
        if is_strange or ("count" in said and asked == [""] and sum(one.count for one in told) != said["count"]):
            raise Impossible(
                f"{run.store} told half an answer, or another than was asked: its buckets don't add up.",
                "Sweep again. If it stays, look for a cache or a plugin that changes the shop's REST answers.",
                "contract",
            )
        return told

    # SKU by SKU

    def _compare(
        self,
        tx: Any,
        run: Run,
        pool: str,
        tree: _Tree,
        asked: Sequence[str],
        said: Mapping[str, Any],
        fed_through: int,
    ) -> None:
        ours, inside = tree.below(asked), tuple(asked)
        theirs = {one.key: one for one in map(_held, said.get("items", ()))}
        if any(not bucket_of(key).startswith(inside) for key in theirs):
            raise Impossible(
                f"{run.store} listed SKUs of other buckets than were asked for.", "Update its agent.", "contract"
            )
        keys = [key for key in ours.keys() | theirs.keys() if _may_differ(ours.get(key), theirs.get(key))]
        dirty = self._numbers.dirty_of(tx, pool, keys)
        over_rest = [(run.store, key) for key in keys if key in theirs and theirs[key].sold is not None]
        sold = self._counted.sold(tx, over_rest)
        for key in sorted(keys):
            one = judge(
                run.store,
                pool,
                ours.get(key),
                theirs.get(key),
                fed_through,
                key in dirty,
                sold.get((run.store, key), 0),
            )
            if isinstance(one, Found):
                one = self._with_who(tx, run.store, key, one)
                run.found.append(self._with_price(tx, run, key, one))
            elif one is not None:
                run.in_flight.append(one)

    def _with_who(self, tx: Any, store: str, key: str, found: Found) -> Found:
        """A manual edit says who made it and when, where the store's plugin has written that down."""
        edit = self._numbers.last_edit(tx, store, key) if found.kind == "manual_edit_store" else None
        if edit is None:
            return found
        detail = {
            **found.detail,
            "edited": {"at": _text(edit["at"]), "units": edit["units"], **_who(edit["body"], key)},
        }
        return replace(found, detail=detail)

    def _with_price(self, tx: Any, run: Run, key: str, found: Found) -> Found:
        """Its units at the price that one was last sold for; of the first of a run, since each has to be looked for."""
        if not found.units or len(run.found) >= MOST_PRICED:
            return found
        order_id = self._numbers.last_sold_in(tx, run.store, key)
        snapshots = self._facts(tx, run.store, order_id).snapshots if order_id else ()
        price = price_in(snapshots[-1].body.get("order") or {}, key) if snapshots else None
        return replace(found, amount_minor=found.units * price[0], currency=price[1]) if price else found

    # Numbers as a tree

    def _tree(self, tx: Any, pool: str, store: str, epoch: int) -> _Tree:
        """Of the pool's present version; only the last one is kept, and none in between is missed: a number that
        changes gets a version."""
        state = (pool, store, epoch, self._counted.versions(tx).get(pool, 0))
        with self._lock:
            if self._kept is None or self._kept[0] != state:
                self._kept = None
                self._kept = (state, _Tree(self._numbers.numbers(tx, pool, store, epoch)))
            return self._kept[1]


def _may_differ(ours: Expected | None, theirs: Held | None) -> bool:
    return ours is None or theirs is None or theirs.number != str(ours.number)


def _held(said: Mapping[str, Any]) -> Held:
    return Held(
        sku_key(said["sku"]),
        _plain(said["number"]),
        said["written"],
        said["version"],
        said["known"],
        said["waits"],
        said.get("sold"),
    )


def _plain(number: str | None) -> str | None:
    return number.rstrip("0").rstrip(".") if number is not None and "." in number else number


class _Move(msgspec.Struct):
    kind: str = ""
    sku: str = ""
    how: str | None = None
    user_id: int | None = None


class _Edited(msgspec.Struct):
    moves: list[_Move] = []


def _who(body: Any, key: str) -> dict[str, Any]:
    """How and by whom the stock was set, as far as the event says so."""
    try:
        moves = msgspec.json.decode(bytes(body or b"{}"), type=_Edited).moves
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    one = next((move for move in reversed(moves) if move.kind == "set" and sku_key(move.sku) == key), None)
    return {"how": one.how, "user_id": one.user_id} if one is not None else {}


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
