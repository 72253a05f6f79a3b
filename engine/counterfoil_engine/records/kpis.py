"""Key figures of each day, as they are kept, and as they are measured out of the records once a day is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from counterfoil_engine.domain.kpis import BASELINE_DAYS, Figures
from counterfoil_engine.records import sweeps
from counterfoil_engine.records.database import Transaction, as_time

BY_ITSELF = ("settings", "engine", "sweep", "rehearsal")  # who stands in the audit log and is nobody


def measure(tx: Transaction, day: date, pools: Mapping[str, str]) -> list[Figures]:
    """What a day came to, UTC; figures without anything to measure are left out. pools: that of each store."""
    begin = datetime.combine(day, time(), UTC)
    end = begin + timedelta(days=1)
    found = [
        *_accuracy(tx, day, begin, end, pools),
        *_latency(tx, day, begin, end, "order_latency", ("sales_order",)),
        *_failed(tx, day, begin, end),
        *_latency(tx, day, begin, end, "refund_completion", ("credit_note", "refund_payment")),
        *_manual(tx, day, begin, end),
        *_close(tx, day, begin, end),
        *_resolved(tx, day, begin, end),
    ]
    return [figures for figures in found if figures.denominator]


def _accuracy(
    tx: Transaction, day: date, begin: datetime, end: datetime, pools: Mapping[str, str]
) -> Iterator[Figures]:
    """Of stores that were swept on that day: breaks that stand now, of the SKUs that their pool sells."""
    swept = tx.all(
        "select distinct store from sweeps where sweep = 'stock' and state = 'done' and ended_at >= %s"
        " and ended_at < %s order by store",
        begin,
        end,
    )
    standing = {
        row["store"]: int(row["skus"])
        for row in tx.all(
            "select store, count(distinct subject) as skus from breaks where sweep = 'stock'"
            " and state not in ('healed', 'accepted') and found_at < %s group by store",
            end,
        )
    }
    skus = {pool: sweeps.sold_skus(tx, pool) for pool in sorted(set(pools.values()))}
    for row in swept:
        sold = skus.get(pools.get(row["store"], ""), 0)
        agreed = max(0, sold - standing.get(row["store"], 0))
        yield Figures("inventory_accuracy", row["store"], day, agreed, sold)


def _latency(
    tx: Transaction, day: date, begin: datetime, end: datetime, kpi: str, kinds: Sequence[str]
) -> Iterator[Figures]:
    """Seconds from the event that made a document due (the last one before it was made) to its result."""
    heard = "(select max(e.received_at) from events e where e.subject = i.about and e.received_at <= i.made_at)"
    is_kind, named = tx.among("kind", kinds)
    for row in tx.all(
        f"select store, sum(took_s) as seconds, count(took_s) as documents from (select i.store,"
        f" {_seconds(tx, 'i.result_at', heard)} as took_s from intents i where i.made_at >= %s and i.made_at < %s"
        f" and i.state = 'done' and i.reverses is null and i.class <> 'history' and i.origin <> 'taken_over'"
        f" and {is_kind}) as each_of group by store",
        begin,
        end,
        *named,
    ):
        yield Figures(kpi, row["store"], day, round(row["seconds"] or 0), row["documents"])


def _failed(tx: Transaction, day: date, begin: datetime, end: datetime) -> Iterator[Figures]:
    refused = {
        row["store"]: int(row["documents"])
        for row in tx.all(
            "select store, count(distinct about_key) as documents from cases where origin = 'post' and opened_at >= %s"
            " and opened_at < %s group by store",
            begin,
            end,
        )
    }
    for row in tx.all(
        "select store, count(*) as documents from intents where made_at >= %s and made_at < %s"
        " and state <> 'withdrawn' group by store",
        begin,
        end,
    ):
        yield Figures("failed_rate", row["store"], day, refused.get(row["store"], 0), row["documents"])


def _manual(tx: Transaction, day: date, begin: datetime, end: datetime) -> Iterator[Figures]:
    is_nobody, nobody = tx.among("who", BY_ITSELF)
    done = tx.one(
        f"select count(*) as many from audit where at >= %s and at < %s and not ({is_nobody})", begin, end, *nobody
    )
    orders = tx.one(
        "select count(distinct about) as many from intents where made_at >= %s and made_at < %s"
        " and kind = 'sales_order'",
        begin,
        end,
    )
    assert done is not None and orders is not None
    yield Figures("manual_work", "", day, done["many"], orders["many"])


def _close(tx: Transaction, day: date, begin: datetime, end: datetime) -> Iterator[Figures]:
    rows = tx.all("select period, locked_at from period_locks where locked_at >= %s and locked_at < %s", begin, end)
    seconds = 0
    for row in rows:
        year, month = (int(part) for part in row["period"].split("-"))
        over = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        locked = as_time(row["locked_at"])
        assert locked is not None
        seconds += round((locked - over).total_seconds())
    yield Figures("close_time", "", day, seconds, len(rows))


def _resolved(tx: Transaction, day: date, begin: datetime, end: datetime) -> Iterator[Figures]:
    for row in tx.all(
        f"select store, sum({_seconds(tx, 'resolved_at', 'opened_at')}) as seconds, count(*) as cases from cases"
        " where resolved_at >= %s and resolved_at < %s group by store",
        begin,
        end,
    ):
        yield Figures("time_to_resolve", row["store"], day, round(row["seconds"]), row["cases"])


def _seconds(tx: Transaction, later: str, earlier: str) -> str:
    if tx.is_sqlite:
        return f"((julianday({later}) - julianday({earlier})) * 86400)"
    return f"extract(epoch from ({later} - {earlier}))"


# As kept


def last_day(tx: Transaction) -> date | None:
    row = tx.one("select max(day) as day from kpi_days")
    return date.fromisoformat(row["day"]) if row and row["day"] else None


def keep(tx: Transaction, day: date, figures: Sequence[Figures], stores_on: frozenset[str]) -> None:
    """A day's figures, which nothing changes any more. stores_on: those whose documents go to the ERP."""
    tx.run("insert into kpi_days (day) values (%s) on conflict do nothing", day.isoformat())
    tx.run_many(
        "insert into kpis (kpi, store, day, numerator, denominator, mode) values (%s, %s, %s, %s, %s, %s)"
        " on conflict do nothing",
        [
            (
                one.kpi,
                one.store,
                day.isoformat(),
                one.numerator,
                one.denominator,
                "on" if one.store in stores_on or (not one.store and stores_on) else "preview",
            )
            for one in figures
        ],
    )


def read(tx: Transaction, since: date, until: date, store: str | None = None) -> list[Mapping[str, Any]]:
    """Rows of kpi, day, numerator, denominator: those of one store, or all stores together."""
    which, named = (" and store = %s", [store]) if store is not None else ("", [])
    rows = tx.all(
        "select kpi, day, sum(numerator) as numerator, sum(denominator) as denominator from kpis"
        f" where day >= %s and day <= %s{which} group by kpi, day order by kpi, day",
        since.isoformat(),
        until.isoformat(),
        *named,
    )
    return [{**row, "numerator": int(row["numerator"]), "denominator": int(row["denominator"])} for row in rows]


def baseline(tx: Transaction, store: str | None = None) -> dict[str, tuple[int, int]]:
    """What each figure was in the first days of each store in preview, from its first such day on."""
    which, named = (" and k.store = %s", [store]) if store is not None else ("", [])
    over = f"date(first.day, '+{BASELINE_DAYS} days')" if tx.is_sqlite else f"(first.day::date + {BASELINE_DAYS})::text"
    rows = tx.all(
        "select k.kpi, sum(k.numerator) as numerator, sum(k.denominator) as denominator from kpis k"
        " join (select store, min(day) as day from kpis where mode = 'preview' group by store) as first"
        f" on first.store = k.store where k.mode = 'preview' and k.day < {over}{which} group by k.kpi",
        *named,
    )
    return {row["kpi"]: (int(row["numerator"]), int(row["denominator"])) for row in rows}
