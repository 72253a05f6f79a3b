"""Lanes: 64 fixed buckets per party and entity, each served by one poster at a time (K4, K5).

On PostgreSQL a bucket is held by a session advisory lock on the poster's own connection, and dies with it; on SQLite,
where one process serves all, by a registry that is passed in. A row per bucket remembers its holder: still set when the
bucket is taken, it was not handed back cleanly, and the last holder's call may yet commit.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import LaneLost
from counterfoil_engine.records.database import Database, Transaction
from counterfoil_engine.records.intents import BUCKETS

LEADER = 7032  # the advisory lock of the schedule's leader
RETAKE_S = 5.0  # how often a poster asks again for buckets that another one holds
_SESSION = "counterfoil.lanes"  # a setting of the session that took the locks: no other session can answer with it


def dealt(lane: int, lanes: int) -> list[int]:
    """The buckets of lane i of n: the number of lanes only says how buckets are dealt out."""
    return [bucket for bucket in range(BUCKETS) if bucket % lanes == lane]


@dataclass
class Registry:
    """Who holds which bucket within one process (SQLite)."""

    _held: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: tuple[str, str, int], holder: str) -> bool:
        with self._lock:
            return self._held.setdefault(key, holder) == holder

    def give_back(self, holder: str) -> None:
        with self._lock:
            for key in [key for key, held_by in self._held.items() if held_by == holder]:
                del self._held[key]


class Hold:
    """What one poster serves of a party and entity. holder: a name that no other poster ever has."""

    def __init__(self, database: Database, registry: Registry, party: str, entity: str, holder: str) -> None:
        self._database, self._registry = database, registry
        self.party, self.entity, self.holder = party, entity, holder
        self._not_before: dict[int, datetime] = {}
        self._session = ""
        self._ask_again_at: datetime | None = None

    def take(self, buckets: Sequence[int], commit_lag_s: float) -> list[int]:
        """Take what is free of these buckets; all that are held now. One that was not handed back cleanly rests
        commit_lag_s before its first look-up and post."""
        wanted = [bucket for bucket in buckets if bucket not in self._not_before]
        if wanted:
            with self._database.transaction() as tx:
                if self._ask_again_at is not None and tx.now() < self._ask_again_at:
                    return sorted(self._not_before)
                self._ask_again_at = tx.now() + timedelta(seconds=RETAKE_S)
                for bucket in wanted:
                    if self._lock(tx, bucket):
                        self._not_before[bucket] = self._remember(tx, bucket, commit_lag_s)
        return sorted(self._not_before)

    def usable(self, tx: Transaction) -> list[int]:
        """The buckets whose rest is over."""
        now = tx.now()
        return sorted(bucket for bucket, moment in self._not_before.items() if moment <= now)

    def confirm(self, tx: Transaction) -> None:
        """Raises LaneLost unless this very connection holds the locks; called before intents are marked sent."""
        if self._database.is_sqlite:
            return
        row = tx.one(f"select current_setting('{_SESSION}', true) as holder")
        if row is None or not row["holder"] or row["holder"] != self._session:
            raise LaneLost(self.holder)

    def give_back(self) -> None:
        """Hand all buckets back cleanly: the next poster needn't wait."""
        if not self._not_before:
            return
        with self._database.transaction() as tx:
            self.confirm(tx)
            tx.run(
                "update lanes set holder = null where party = %s and entity = %s and holder = %s",
                self.party,
                self.entity,
                self.holder,
            )
        if not self._database.is_sqlite:
            with self._database.transaction() as tx:
                for bucket in self._not_before:
                    tx.one("select pg_advisory_unlock(%s)", lock_number(self.party, self.entity, bucket))
        self.forget()

    def forget(self) -> None:
        """The connection is gone, and the locks with it; the rows keep saying that nothing was handed back."""
        self._not_before.clear()
        self._ask_again_at = None
        self._registry.give_back(self.holder)

    def _lock(self, tx: Transaction, bucket: int) -> bool:
        if not self._registry.take((self.party, self.entity, bucket), self.holder):
            return False
        if tx.is_sqlite:
            return True
        self._session = _session(tx, self.holder)
        row = tx.one("select pg_try_advisory_lock(%s) as taken", lock_number(self.party, self.entity, bucket))
        return bool(row and row["taken"])

    def _remember(self, tx: Transaction, bucket: int, commit_lag_s: float) -> datetime:
        now = tx.now()
        before = tx.one(
            "select holder from lanes where party = %s and entity = %s and bucket = %s",
            self.party,
            self.entity,
            bucket,
        )
        tx.run(
            "insert into lanes (party, entity, bucket, holder, taken_at) values (%s, %s, %s, %s, %s)"
            " on conflict (party, entity, bucket) do update set holder = excluded.holder, taken_at = excluded.taken_at",
            self.party,
            self.entity,
            bucket,
            self.holder,
            now,
        )
        clean = before is None or before["holder"] is None
        return now if clean else now + timedelta(seconds=commit_lag_s)


def _session(tx: Transaction, holder: str) -> str:
    """The name of this connection, given by the first hold on it: several lanes may share one."""
    row = tx.one(f"select current_setting('{_SESSION}', true) as name")
    if row and row["name"]:
        return str(row["name"])
    tx.one("select set_config(%s, %s, false)", _SESSION, holder)
    return holder


def lock_number(party: str, entity: str, bucket: int) -> int:
    """The advisory lock of a bucket: 64 bits of a hash, signed."""
    digest = hashlib.sha256(f"counterfoil lane {party} {entity} {bucket}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def leads(database: Database) -> bool:
    """Whether this connection leads the schedule: one process at a time does, and hands over by dying."""
    if database.is_sqlite:
        return True
    with database.transaction() as tx:
        held = tx.one(
            "select 1 as held from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and objid = %s"
            " and classid = 0 and granted",
            LEADER,
        )
        return bool(held) or bool((tx.one("select pg_try_advisory_lock(%s) as taken", LEADER) or {})["taken"])


def refuse_poolers(database: Database, other: Database) -> None:
    """Session locks need sessions: with a pooler in transaction mode, two connections share one between transactions.

    other: a second Database of the same address, opened by another thread or object. Raises CounterfoilError."""
    if database.is_sqlite:
        return
    first = _backend(database)
    with other.transaction() as tx:
        row = tx.one("select pg_backend_pid() as pid")
        shared = row is not None and row["pid"] == first
        moved = _backend(database) != first
    if shared or moved:
        raise CounterfoilError(
            "A connection pooler in transaction mode stands in front of PostgreSQL.",
            "Give posters a direct connection or a pooler in session mode: lanes are held by session locks.",
            "contract",
        )


def _backend(database: Database) -> int:
    with database.transaction() as tx:
        row = tx.one("select pg_backend_pid() as pid")
        assert row is not None
        return int(row["pid"])
