"""Which database this is and where it was made: a copy elsewhere, or a restored one, writes nowhere until a person says
so, and learns from each ERP what was written since (R4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from counterfoil_engine.records.database import Database, Transaction, as_time

SLACK = timedelta(hours=1)  # clocks of engine and ERP may disagree by as much when documents are listed after a restore


def place_of(database: Database, host: str) -> str:
    """Where a database stands: the file on its host, or the cluster, its time line and the database in it."""
    if database.is_sqlite:
        path = Path(database.url.split(":///", 1)[1])
        inode = path.stat().st_ino if path.exists() else 0
        return json.dumps({"host": host, "path": str(path.resolve()) if inode else str(path), "inode": inode})
    with database.transaction() as tx:
        row = tx.one(
            "select (select cast(system_identifier as text) from pg_control_system()) as cluster,"
            " (select timeline_id from pg_control_checkpoint()) as timeline,"
            " (select cast(oid as text) from pg_database where datname = current_database()) as oid,"
            " current_database() as name"
        )
        assert row is not None
        return json.dumps(dict(row), sort_keys=True)


def establish(tx: Transaction, place: str, new_id: str, witnessed_starts: int) -> Mapping[str, Any]:
    """Called once at each start. A first start makes the identity and trusts it; one whose place is another, or that
    has lived less than its witness saw, is a copy or a restore: not confirmed.

    witnessed_starts: its starts and signs of life, by a note kept outside it; 0 where there is none."""
    row = read(tx)
    if row is None:
        tx.run(
            "insert into identity (one, id, place, engine_epoch, starts, confirmed, reason, written_until)"
            " values (1, %s, %s, 1, 1, 1, '', %s) on conflict do nothing",
            new_id,
            place,
            tx.now(),
        )
    else:
        reason = row["reason"]
        if row["place"] != place and row["confirmed"]:
            reason = "The database stands in another place than where it was made: a copy, or moved."
        elif row["starts"] < witnessed_starts and row["confirmed"]:
            reason = "The database has lived less long than was noted beside it: restored from a backup."
        tx.run(
            "update identity set starts = starts + 1, confirmed = %s, reason = %s where one = 1",
            int(not reason),
            reason,
        )
    kept = read(tx)
    assert kept is not None
    return kept


def read(tx: Transaction) -> Mapping[str, Any] | None:
    return tx.one("select * from identity where one = 1")


def is_confirmed(tx: Transaction) -> bool:
    row = read(tx)
    return row is None or bool(row["confirmed"])


def engine_epoch(tx: Transaction) -> int:
    """Which life of the engine this is: the first, or one after so many restores."""
    row = read(tx)
    return int(row["engine_epoch"]) if row else 1


def life(tx: Transaction) -> int | None:
    """As `engine_epoch`; None while nobody has said that this database is the one that writes."""
    row = read(tx)
    return None if row is not None and not row["confirmed"] else int(row["engine_epoch"]) if row else 1


def doubt(tx: Transaction, reason: str) -> None:
    """A person says that this database was restored or copied: all switches are at preview."""
    tx.run("update identity set confirmed = 0, reason = %s where one = 1", reason)


def confirm(tx: Transaction, place: str) -> int:
    """This is the one that writes, from here: a new engine epoch, in which nothing is posted to a party before what it
    holds since the last sign of life is adopted. The new epoch."""
    row = read(tx)
    until = as_time(row["written_until"]) if row else None
    assert until is not None
    tx.run(
        "update identity set confirmed = 1, reason = '', place = %s, engine_epoch = engine_epoch + 1, adopt_since = %s"
        " where one = 1",
        place,
        until - SLACK,
    )
    row = read(tx)
    assert row is not None
    return int(row["engine_epoch"])


def alive(tx: Transaction) -> int:
    """A sign of life, so that a restore knows since when to ask each ERP; the count of starts and of these, 0 while in
    doubt. A note of it beside the database tells a backup that is put back, even between two starts."""
    row = tx.one(
        "update identity set written_until = %s, starts = starts + 1 where one = 1 and confirmed = 1 returning starts",
        tx.now(),
    )
    return int(row["starts"]) if row else 0


def to_adopt(tx: Transaction, party: str, entity: str) -> datetime | None:
    """Since when the party's documents have to be listed before anything is posted to it; None: nothing to do."""
    row = read(tx)
    if row is None or row["engine_epoch"] == 1:
        return None
    done = tx.one(
        "select adopted_at from adoptions where party = %s and entity = %s and engine_epoch = %s",
        party,
        entity,
        row["engine_epoch"],
    )
    if done:
        return None
    return as_time(row["adopt_since"])


def adopted(tx: Transaction, party: str, entity: str, since: datetime, found_count: int) -> None:
    row = read(tx)
    assert row is not None
    tx.run(
        "insert into adoptions (party, entity, engine_epoch, since, adopted_at, found_count)"
        " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
        party,
        entity,
        row["engine_epoch"],
        since,
        tx.now(),
        found_count,
    )
