"""Each order's amounts as its latest fact says them: what a store's totals are compared with.

Derived from facts, read up to the watermark, and only counted while the fact itself is there: an order whose
fact is missing is missing here too.
"""

from __future__ import annotations

from datetime import date

import msgspec

from counterfoil_engine.domain.order_sweep import Control, control_of
from counterfoil_engine.records.database import Row, Transaction
from counterfoil_engine.records.sequences import current_epoch, watermark_of

_ORDER, _GONE = "counterfoil.order.v1", ("counterfoil.gone.v1", "counterfoil.gone.v2")
_AT_ONCE = 2_000  # events of one transaction
_BODY = "coalesce(e.body, h.body) as body, coalesce(h.event_id, e.event_id) as fact, "


class _Data(msgspec.Struct):
    order: msgspec.Raw


_data = msgspec.json.Decoder(_Data)


def catch_up(tx: Transaction, store: str) -> bool:
    """Read what was stored since, up to the watermark, below which nothing comes late; whether more is left."""
    read = tx.one("select epoch, n from order_controls_read where store = %s", store) or {"epoch": 0, "n": 0}
    epoch = current_epoch(tx, store)
    if epoch is None:
        return False
    mark = watermark_of(epoch)
    rows = _stored(tx, store, (read["epoch"], read["n"]), "e.n <= p.stored_through")
    is_all = len(rows) < _AT_ONCE
    if is_all:  # what stands above a hole counts too, and is read again until the watermark has passed it
        rows = [*rows, *_stored(tx, store, (mark.epoch, mark.n), "e.n > p.stored_through")]
    tx.run_many(_UPSERT, [values for row in rows if (values := _values(store, row))])
    tx.run(
        "insert into order_controls_read (store, epoch, n) values (%s, %s, %s)"
        " on conflict (store) do update set epoch = excluded.epoch, n = excluded.n",
        store,
        *((mark.epoch, mark.n) if is_all else (rows[-1]["epoch"], rows[-1]["n"])),
    )
    return not is_all


def _stored(tx: Transaction, store: str, after: tuple[int, int], where: str) -> list[Row]:
    return tx.all(
        f"select e.subject, e.epoch, e.n, e.type, {_BODY}"
        " coalesce(h.occurred_on, e.occurred_on) as fact_on from events e"
        f" join epochs p on p.store = e.store and p.epoch = e.epoch and {where}"
        " left join events h on h.store = e.store and h.event_id = e.same_as and h.subject = e.subject"
        " where e.store = %s and (e.epoch > %s or (e.epoch = %s and e.n > %s)) and e.verdict = 'stored'"
        " and e.type in (%s, %s, %s) order by e.epoch, e.n limit %s",
        store,
        after[0],
        *after,
        _ORDER,
        *_GONE,
        _AT_ONCE,
    )


_UPSERT = (
    "insert into order_controls (store, order_id, epoch, n, fact, fact_on, day, currency, total_minor, refunds_minor,"
    " tax_minor, is_there) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (store, order_id)"
    " do update set epoch = excluded.epoch, n = excluded.n, fact = excluded.fact, fact_on = excluded.fact_on,"
    " day = coalesce(excluded.day, order_controls.day),"
    " currency = coalesce(excluded.currency, order_controls.currency), total_minor = excluded.total_minor,"
    " refunds_minor = excluded.refunds_minor, tax_minor = excluded.tax_minor, is_there = excluded.is_there"
    " where excluded.epoch > order_controls.epoch"
    " or (excluded.epoch = order_controls.epoch and excluded.n >= order_controls.n)"
)


def _values(store: str, row: Row) -> tuple[object, ...] | None:
    order_id = str(row["subject"]).rpartition("/")[2]
    place = (store, order_id, row["epoch"], row["n"], row["fact"], row["fact_on"])
    if row["type"] != _ORDER:
        return (*place, None, None, None, None, None, False)
    if row["body"] is None:
        return None
    said = control_of(order_id, msgspec.json.decode(_data.decode(bytes(row["body"])).order))
    if said is None:
        return None
    one = said.control
    return (*place, said.day, one.currency, *one.amounts, one.is_there)


def of_days(tx: Transaction, store: str, first: date, last: date) -> list[tuple[str, Control]]:
    """(day of creation, amounts) of the orders whose fact is there."""
    rows = tx.all(
        "select c.* from order_controls c where c.store = %s and c.day >= %s and c.day <= %s and exists"
        " (select 1 from events e where e.store = c.store and e.event_id = c.fact and e.occurred_on = c.fact_on)"
        " order by c.day, c.order_id",
        store,
        first.isoformat(),
        last.isoformat(),
    )
    return [
        (
            row["day"],
            Control(
                row["order_id"],
                row["currency"] or "",
                row["total_minor"],
                row["refunds_minor"],
                row["tax_minor"],
                bool(row["is_there"]),
            ),
        )
        for row in rows
    ]
