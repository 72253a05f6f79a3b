"""The feed: a store's agent learns what changed since the version that it holds, and says what became of it.

    POST /v1/feed          version held → the latest number of each SKU above it, with the store's basis and cap
    POST /v1/feed/writes   verdicts of the store, manual edits that were found, SKUs that nobody knows

A version as it is told is (engine epoch << 40) + the pool's own: after a restore of the engine it is above all that
were told before (R4), so that no store takes a number of before for newer. While nobody has said that this database is
the one that writes, nothing is told at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec
from counterfoil_contracts import faults, parse

from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.stock import sku_key
from counterfoil_engine.ports import (
    EPOCH_BITS,
    AtsRecords,
    Drifted,
    FeedRecords,
    FeedRow,
    IdentityRecords,
    Rejected,
    RulesBook,
    Transactions,
    WriteRecords,
    Written,
)
from counterfoil_engine.work.feed_cases import FeedCases

ROWS_AT_ONCE = 20_000  # of all answers of one reading: a thread is busy with one no longer than some 100 ms
ANSWER_BYTES = 3_000_000  # rows of one answer, about


class Edits(Protocol):
    """Stock that a store has other than it was written, as its agent found it by itself."""

    def note(self, tx: Any, store: str, pool: str, written: Sequence[Written], drifted: Sequence[Drifted]) -> None: ...


class Asked(NamedTuple):
    """What a store's agent asks. version: the last it holds, as it was told; 0: none."""

    store: str
    version: int
    engine_epoch: int | None
    wait_s: float
    limit: int


class Answered(NamedTuple):
    """An answer as it is sent. rows: how many. again: what came after is computed anew at this moment."""

    pool: str
    body: bytes
    rows: int
    resync: bool = False
    again: bool = False

    @property
    def says_nothing(self) -> bool:
        return not self.rows and not self.resync


class Feed:
    """The use cases of the feed, over one database; to be called from any thread."""

    def __init__(
        self,
        database: Transactions,
        book: RulesBook,
        identity: IdentityRecords,
        ats: AtsRecords,
        feed: FeedRecords,
        writes: WriteRecords,
        cases: FeedCases,
        edits: Edits | None = None,
    ) -> None:
        """edits: what becomes of stock that somebody edited; None: its number is written again, whatever it is."""
        self._database, self._book, self._identity = database, book, identity
        self._ats, self._feed, self._writes, self._cases, self._edits = ats, feed, writes, cases, edits

    # What changed

    def asked(self, store: str, raw: bytes) -> Asked:
        """A question as it was sent. Raises Rejected."""
        said = read_as("feed/ask.v1", raw)
        return Asked(store, said["version"], said.get("engine_epoch"), float(said["wait_s"]), said["limit"])

    def answers(self, asked: Sequence[Asked]) -> dict[int, Answered | Rejected]:
        """The answer to each, by its place, from one snapshot. Where rows are many, only the first are answered, and
        the others have to ask again. Raises Unavailable."""
        found: dict[int, Answered | Rejected] = {}
        with self._database.transaction() as tx:
            self._ats.snapshot(tx)
            epoch = self._epoch(tx)
            rules, versions = self._rules(tx), self._ats.versions(tx)
            groups: dict[tuple[str, int, int], list[int]] = {}
            for place, one in enumerate(asked):
                pool = _pool_of(rules, one.store)
                if pool is None:
                    found[place] = _no_pool(one.store)
                elif _is_of_another_life(one, epoch, versions.get(pool, 0)):
                    found[place] = _answered(pool, epoch, 0, [], resync=True)
                else:
                    groups.setdefault((pool, one.version & _COUNTER, one.limit), []).append(place)
            room = ROWS_AT_ONCE
            for (pool, version, limit), places in groups.items():
                room -= self._page(tx, asked, found, (pool, epoch, version, limit), places, room)
                if room <= 0:
                    break
        return found

    def _page(
        self,
        tx: Any,
        asked: Sequence[Asked],
        found: dict[int, Answered | Rejected],
        where: tuple[str, int, int, int],
        places: Sequence[int],
        room: int,
    ) -> int:
        """Answer those who ask for one page; how many rows that were."""
        pool, epoch, version, limit = where
        page = self._feed.page(tx, pool, version, limit)
        part = places[: max(1, room // len(page.rows))] if page.rows else places
        own = self._feed.told(tx, pool, page.rows, sorted({asked[place].store for place in part}))
        for place in part:
            rows = own[asked[place].store]
            is_cut = len(rows) < len(page.rows)
            found[place] = _answered(
                pool, epoch, version, rows, more=page.more and not is_cut, again=is_cut and not rows
            )
        return len(page.rows) * len(part)

    def versions(self) -> Mapping[str, int]:
        """The last version of each pool, for who waits for a change."""
        with self._database.transaction() as tx:
            return self._ats.versions(tx)

    # What became of it

    def writes(self, store: str, raw: bytes) -> dict[str, Any]:
        """Keep what a store answered; let be written again what somebody edited there (A10). Raises Rejected."""
        said = read_as("feed/writes.v1", raw)
        with self._database.transaction() as tx:
            epoch, pool = self._epoch(tx), _pool_of(self._rules(tx), store)
            if pool is None:
                raise _no_pool(store)
            written = self._with_ages(tx, pool, epoch, [_written(one) for one in said["writes"]])
            self._writes.note(tx, store, written)
            drifted = [
                Drifted(sku_key(one["sku"]), one["sku"], one["expected"], _kept(one["found"]), words_of(one["status"]))
                for one in said["drift"]
            ]
            if drifted:
                self._writes.note_drift(tx, store, drifted, is_marked=self._edits is None)
            if self._edits is not None:
                self._edits.note(tx, store, pool, written, drifted)
            self._cases.note(tx, store, pool, said, written)
        return {"noted": len(written) + len(drifted)}

    def _with_ages(self, tx: Any, pool: str, epoch: int, written: Sequence[Written]) -> list[Written]:
        """Where the agent doesn't say since when the owner says so: as it is known of the number's present version."""
        places = {
            one.key: one.version & _COUNTER
            for one in written
            if one.as_of is None and one.version >> EPOCH_BITS == epoch
        }
        known = self._writes.changed_as_of(tx, pool, places)
        return [one if one.as_of else one._replace(as_of=known.get(one.key)) for one in written]

    # Rules and lives

    def _rules(self, tx: Any) -> Rules | None:
        try:
            return self._book.current(tx)
        except Unavailable:
            return None

    def _epoch(self, tx: Any) -> int:
        life = self._identity.life(tx)
        if life is None:
            raise Unavailable(
                "Nobody has said yet that this engine's database is the one that writes: it tells no numbers.",
                "After a restore or a move: counterfoil confirm. A copy stays like this.",
            )
        return life


def told_version(epoch: int, version: int) -> int:
    """A pool's own version as it is told."""
    return (epoch << EPOCH_BITS) + version


_COUNTER = (1 << EPOCH_BITS) - 1
_MOST_UNITS = 10**15
_LONGEST_WORDS = 300
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_encoder = msgspec.json.Encoder()


def _pool_of(rules: Rules | None, store: str) -> str | None:
    one = rules.stores.get(store) if rules is not None else None
    return one.pool if one is not None and rules is not None and one.pool in rules.pools else None


def _is_of_another_life(one: Asked, epoch: int, version: int) -> bool:
    """Whether the version held was told by another life of the engine, or before it went back."""
    if not one.version:
        return False
    other = one.engine_epoch is not None and one.engine_epoch != epoch
    return other or one.version >> EPOCH_BITS != epoch or one.version & _COUNTER > version


class _Basis(msgspec.Struct):
    epoch: int
    n: int


class _Row(msgspec.Struct):
    sku: str
    version: int
    number: int
    basis: _Basis | None
    as_of: str | None
    expires_at: str | None
    silence_share: str | None
    backorders: bool
    excluded: bool
    sold: int


def _answered(
    pool: str,
    epoch: int,
    version: int,
    rows: Sequence[FeedRow],
    *,
    more: bool = False,
    resync: bool = False,
    again: bool = False,
) -> Answered:
    """version: of the pool; that of the last row where there are any."""
    parts: list[bytes] = []
    size_bytes = 0
    for row in rows:
        part = _encoder.encode(_row(row, epoch))
        size_bytes += len(part) + 1
        if parts and size_bytes > ANSWER_BYTES:
            more = True
            break
        parts.append(part)
        version = row.version
    head = {"pool": pool, "engine_epoch": epoch, "version": told_version(epoch, version) if version else 0}
    tail = {"more": more, "resync": resync}
    body = _encoder.encode(head)[:-1] + b',"rows":[' + b",".join(parts) + b"]," + _encoder.encode(tail)[1:]
    return Answered(pool, body, len(parts), resync, again)


def _row(row: FeedRow, epoch: int) -> _Row:
    return _Row(
        row.sku,
        told_version(epoch, row.version),
        row.number,
        _Basis(*row.basis) if row.basis else None,
        _moment(row.as_of),
        _moment(row.expires_at),
        row.silence_share if row.expires_at else None,
        row.backorders,
        row.excluded,
        row.sold,
    )


def _moment(value: datetime | None) -> str | None:
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _written(said: Mapping[str, Any]) -> Written:
    return Written(
        sku_key(said["sku"]),
        said["version"],
        said["number"],
        said["verdict"],
        _kept(said["stock"]),
        words_of(said["reason"]),
        _when(said["at"]),
        _when(said.get("as_of")),
    )


def _kept(units: int | None) -> int | None:
    """A store's own quantity, however large it says that it is, as a column can hold it."""
    return None if units is None else max(-_MOST_UNITS, min(_MOST_UNITS, units))


def words_of(text: str | None) -> str | None:
    """A store's own words, as a column and a terminal can hold them."""
    return None if text is None else _UNPRINTABLE.sub("\ufffd", text)[:_LONGEST_WORDS]


def _when(text: str | None) -> datetime | None:
    """A moment that can be kept; None where there is no such day, or none in UTC."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


def read_as(contract: str, raw: bytes) -> Any:
    wrong = [str(fault) for fault in faults(contract, raw)]
    if wrong:
        raise Rejected(
            f"The request breaks its contract ({contract}): {'; '.join(wrong[:3])[:500]}.",
            "Update the agent to a version that fits this engine.",
            slug="contract",
        )
    return parse(raw)


def _no_pool(store: str) -> Rejected:
    return Rejected(
        f"The rules in force name no pool for the store {store!r}: it is told no stock.",
        "Name one in the rules (stores: pool) if it is to be; the agent asks again by itself.",
        slug="no-pool",
    )
