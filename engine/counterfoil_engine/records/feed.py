"""What the feed tells stores: the latest number of each SKU that changed, with each store's own basis and cap.

All stores that ask for what came after one version are answered from one reading: a thousand stores that wait for one
SKU cost a few statements. Read in one snapshot (`ats.snapshot`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from counterfoil_engine.ports import FeedRow
from counterfoil_engine.records import ats
from counterfoil_engine.records.database import Row, Transaction, as_time

_Places = Mapping[str, tuple[int, int]]
_bases = msgspec.json.Decoder(dict[str, tuple[int, int]])


class Page(NamedTuple):
    """Numbers as they are published, in the order of versions. more: others follow them."""

    rows: Sequence[Row]
    more: bool


def page(tx: Transaction, pool: str, version: int, limit: int) -> Page:
    """The latest numbers of SKUs that changed after a version, so many at most."""
    rows = tx.all(
        "select a.*, case when exists (select 1 from stock_dirty d where d.pool = a.pool and d.sku_key = a.sku_key)"
        " then 1 else 0 end as is_dirty from ats a where a.pool = %s and a.version > %s order by a.version limit %s",
        pool,
        version,
        limit + 1,
    )
    return Page(rows[:limit], len(rows) > limit)


def told(tx: Transaction, pool: str, rows: Sequence[Row], stores: Sequence[str]) -> dict[str, list[FeedRow]]:
    """A page's rows as each of the pool's stores is told them: its cap applied, with its own basis.

    A row of which it can't be said which of the store's sales it counts ends the store's part: it is being computed
    anew, with a version above all others, and who asks goes on from the last version that it was told."""
    keys = [row["sku_key"] for row in rows]
    published = _published_bases(tx, pool, {row["publication"] for row in rows})
    present = _present_bases(tx, stores)
    left = _left(tx, pool, keys, set(stores))
    sold = ats.sold(tx, [(store, key) for store in stores for key in keys])
    now = tx.now()
    found: dict[str, list[FeedRow]] = {}
    for store in stores:
        own: list[FeedRow] = []
        for row in rows:
            basis = published.get(row["publication"], {}).get(store)
            if basis is None and row["is_dirty"]:
                break
            place = (store, row["sku_key"])
            own.append(_feed_row(row, basis or present.get(store), left.get(place), sold.get(place, 0), now))
        found[store] = own
    return found


def _published_bases(tx: Transaction, pool: str, ids: set[int]) -> dict[int, _Places]:
    """publication → the basis of each store that its numbers count up to; those that are kept no more are absent."""
    if not ids:
        return {}
    which, params = tx.among("id", ids, "bigint")
    rows = tx.all(f"select id, basis from publications where pool = %s and {which}", pool, *params)
    return {row["id"]: _bases.decode(row["basis"]) for row in rows}


def _present_bases(tx: Transaction, stores: Sequence[str]) -> dict[str, tuple[int, int]]:
    """What is right for a number that no move has touched since it was published."""
    known = ats.bases(tx, stores)
    if missing := set(stores) - known.keys():
        which, params = tx.among("store", missing)
        rows = tx.all(f"select store, max(epoch) as epoch from epochs where {which} group by store", *params)
        known |= {row["store"]: (row["epoch"], 0) for row in rows}
    return known


def _left(tx: Transaction, pool: str, keys: Sequence[str], stores: set[str]) -> dict[tuple[str, str], int]:
    """(store, key) → what is left of the store's cap."""
    if not keys or tx.one("select 1 as has from ats_caps where pool = %s limit 1", pool) is None:
        return {}
    which, params = tx.among("sku_key", keys)
    rows = tx.all(f"select store, sku_key, left_units from ats_caps where pool = %s and {which}", pool, *params)
    return {(row["store"], row["sku_key"]): row["left_units"] for row in rows if row["store"] in stores}


def _feed_row(row: Row, basis: tuple[int, int] | None, left: int | None, sold: int, now: datetime) -> FeedRow:
    silence = row["silence_hours"]
    return FeedRow(
        row["sku"],
        row["sku_key"],
        row["version"],
        row["number"] if left is None else min(row["number"], left),
        basis,
        as_time(row["changed_as_of"] or row["stock_as_of"] or row["published_at"]),
        now + timedelta(hours=silence) if silence is not None else None,
        row["silence_share"],
        bool(row["backorders"]),
        bool(row["excluded"]),
        sold,
    )
