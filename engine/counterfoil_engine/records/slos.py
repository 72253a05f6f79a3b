"""What objectives judge, out of the records, and the counts that are kept of it, by five minutes.

Each thing is judged once, when it has had its time: an order `within_s` after something was heard of it. So what is
stuck counts as bad when it should have been done, not when it is done at last, and nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from counterfoil_engine.domain.figures import Figure
from counterfoil_engine.domain.slo import Count, Indicator, Objective
from counterfoil_engine.records.database import Row, Transaction, as_time

SLOT_S = 300


def judge(
    tx: Transaction,
    objective: Objective,
    since: datetime,
    until: datetime,
    stores_on: Sequence[str],
    figures: Iterable[Figure],
) -> Count:
    """What had its time between the two moments. stores_on: those whose documents go to the ERP: in preview nothing is
    posted, so nothing is late. figures: how the fleet stands now, for what is judged by every look."""
    if objective.indicator == "stock_fresh":
        ages = [figure.value for figure in figures if figure.name == "store_stock_age_seconds"]
        return Count(sum(age <= objective.within_s for age in ages), len(ages))
    if objective.indicator == "stores_heard":
        return _heard(figures, objective.within_s)
    had = timedelta(seconds=objective.within_s)
    return _BY_EVENTS[objective.indicator](tx, since - had, until - had, stores_on, had)


def _heard(figures: Iterable[Figure], within_s: int) -> Count:
    silent: dict[str, float] = {}
    missing: dict[str, float] = {}
    for figure in figures:
        if figure.name == "store_silent_seconds":
            silent[figure.labels[0]] = figure.value
        elif figure.name == "store_missing_numbers":
            missing[figure.labels[0]] = figure.value
    return Count(sum(age <= within_s and not missing.get(store) for store, age in silent.items()), len(silent))


def _orders(tx: Transaction, since: datetime, until: datetime, stores_on: Sequence[str], had: timedelta) -> Count:
    """Orders of which something was heard: no look is owed since then, none failed, no case holds it, and nothing made
    due waits. What a newer event made due, in the second half of the time, is that one's. History isn't hurried."""
    is_on, on = tx.among("e.store", stores_on)
    return _count(
        tx.one(
            "select count(*) as total, coalesce(sum(case when bad then 1 else 0 end), 0) as bad from ("
            " select e.subject, ("
            "  exists (select 1 from work w where w.subject = e.subject and w.due_at <= %s and w.class <> 'history')"
            "  or exists (select 1 from failures f where f.subject = e.subject)"
            "  or exists (select 1 from cases c where c.subject = e.subject and c.resolved_at is null)"
            "  or exists (select 1 from intents i where i.about = e.subject and i.party = 'erp'"
            "   and i.state in ('ready', 'sent') and i.made_at <= %s and i.class <> 'history')) as bad"
            " from (select distinct subject from events e where received_at > %s and received_at <= %s"
            f" and subject like 'order %%' and verdict = 'stored' and same_as is null and {is_on}) as e) as judged",
            until,
            until + had / 2,
            since,
            until,
            *on,
        )
    )


def _documents(
    tx: Transaction, since: datetime, until: datetime, stores_on: Sequence[str], had: timedelta, only: str = ""
) -> Count:
    is_on, on = tx.among("store", stores_on)
    return _count(
        tx.one(
            "select count(*) as total, coalesce(sum(case when state = 'done' then 0 else 1 end), 0) as bad from intents"
            f" where made_at > %s and made_at <= %s and state <> 'withdrawn' and class <> 'history'{only} and {is_on}",
            since,
            until,
            *on,
        )
    )


def _refunds(tx: Transaction, since: datetime, until: datetime, stores_on: Sequence[str], had: timedelta) -> Count:
    only = " and kind in ('credit_note', 'refund_payment') and reverses is null"
    return _documents(tx, since, until, stores_on, had, only)


def _cases(tx: Transaction, since: datetime, until: datetime, stores_on: Sequence[str], had: timedelta) -> Count:
    return _count(
        tx.one(
            "select count(*) as total, coalesce(sum(case when resolved_at is null then 1 else 0 end), 0) as bad"
            " from cases where opened_at > %s and opened_at <= %s",
            since,
            until,
        )
    )


def _count(row: Row | None) -> Count:
    assert row is not None
    return Count(int(row["total"]) - int(row["bad"]), int(row["total"]))


_BY_EVENTS: Mapping[Indicator, Callable[[Transaction, datetime, datetime, Sequence[str], timedelta], Count]] = {
    "orders_carried": _orders,
    "documents_posted": _documents,
    "refunds_completed": _refunds,
    "cases_resolved": _cases,
}


# Counts


def judged_until(tx: Transaction, slo: str) -> datetime | None:
    row = tx.one("select until from slo_judged where slo = %s", slo)
    return as_time(row["until"]) if row else None


def keep(tx: Transaction, slo: str, count: Count, until: datetime) -> None:
    """Add a judgement to its five minutes; the next one begins where this one ends."""
    at = datetime.fromtimestamp(int(until.timestamp()) // SLOT_S * SLOT_S, until.tzinfo)
    tx.run(
        "insert into slo_judged (slo, until) values (%s, %s) on conflict (slo) do update set until = excluded.until",
        slo,
        until,
    )
    if count.total:
        tx.run(
            "insert into slo_counts (slo, at, good, total) values (%s, %s, %s, %s) on conflict (slo, at) do update set"
            " good = slo_counts.good + excluded.good, total = slo_counts.total + excluded.total",
            slo,
            at,
            *count,
        )


def counts(tx: Transaction, objective: Objective) -> dict[int, Count]:
    """What was judged in each of its windows, by the window in seconds."""
    now, windows = tx.now(), objective.windows_s
    parts = ", ".join(
        f"coalesce(sum(case when at > %s then good end), 0) as good{place},"
        f" coalesce(sum(case when at > %s then total end), 0) as total{place}"
        for place in range(len(windows))
    )
    begins = [now - timedelta(seconds=window + SLOT_S) for window in windows]
    row = tx.one(
        f"select {parts} from slo_counts where slo = %s and at > %s",
        *(begin for begin in begins for _ in range(2)),
        objective.name,
        min(begins),
    )
    assert row is not None
    return {window: Count(int(row[f"good{place}"]), int(row[f"total{place}"])) for place, window in enumerate(windows)}


def prune(tx: Transaction, before: datetime) -> int:
    return tx.run("delete from slo_counts where at < %s", before)


# Alerts, and what is to be told of them


def standing(tx: Transaction) -> dict[str, Any]:
    """The open alerts, by objective."""
    return {row["slo"]: _alert(row) for row in tx.all("select * from alerts where resolved_at is null order by slo")}


def listed(tx: Transaction, is_all: bool, limit: int) -> list[dict[str, Any]]:
    which = "" if is_all else " where resolved_at is null"
    return [_alert(row) for row in tx.all(f"select * from alerts{which} order by id desc limit %s", limit)]


def open_alert(tx: Transaction, slo: str, severity: str, cause: str, runbook: str, sinks: Sequence[str]) -> None:
    row = tx.one(
        "insert into alerts (slo, severity, cause, runbook, opened_at) values (%s, %s, %s, %s, %s)"
        " on conflict (slo) where resolved_at is null do nothing returning id",
        slo,
        severity,
        cause,
        runbook,
        tx.now(),
    )
    if row:
        _tell(tx, row["id"], "opened", sinks)


def resolve(tx: Transaction, slo: str, sinks: Sequence[str]) -> None:
    row = tx.one(
        "update alerts set resolved_at = %s where slo = %s and resolved_at is null returning id", tx.now(), slo
    )
    if row:
        _tell(tx, row["id"], "resolved", sinks)


def _tell(tx: Transaction, alert_id: int, what: str, sinks: Sequence[str]) -> None:
    now = tx.now()
    for sink in sinks:
        tx.run(
            "insert into alert_messages (alert_id, what, sink, made_at, due_at) values (%s, %s, %s, %s, %s)",
            alert_id,
            what,
            sink,
            now,
            now,
        )


def messages_due(tx: Transaction, limit: int = 100) -> list[dict[str, Any]]:
    """What is to be told now, with its alert; the first of each first."""
    rows = tx.all(
        "select a.*, m.what, m.sink, m.tries, m.made_at from alert_messages m join alerts a on a.id = m.alert_id"
        " where m.sent_at is null and m.gave_up_at is null and m.due_at <= %s"
        " order by m.made_at, a.id, case m.what when 'opened' then 0 else 1 end limit %s",
        tx.now(),
        limit,
    )
    return [
        {**_alert(row), "what": row["what"], "sink": row["sink"], "tries": row["tries"], "made_at": row["made_at"]}
        for row in rows
    ]


def sent(tx: Transaction, alert_id: int, what: str, sink: str) -> None:
    tx.run(
        "update alert_messages set sent_at = %s, tries = tries + 1, error = null"
        " where alert_id = %s and what = %s and sink = %s",
        tx.now(),
        alert_id,
        what,
        sink,
    )


def failed(
    tx: Transaction, alert_id: int, what: str, sink: str, error: str, again_at: datetime, gives_up: bool
) -> None:
    tx.run(
        "update alert_messages set tries = tries + 1, error = %s, due_at = %s, gave_up_at = %s"
        " where alert_id = %s and what = %s and sink = %s",
        error,
        again_at,
        tx.now() if gives_up else None,
        alert_id,
        what,
        sink,
    )


def untold(tx: Transaction) -> list[Mapping[str, Any]]:
    """What has failed to be told, by sink: how many messages, and why the last time."""
    return tx.all(
        "select sink, count(*) as messages, max(error) as error from alert_messages"
        " where sent_at is null and tries > 0 group by sink order by sink"
    )


def _alert(row: Row) -> dict[str, Any]:
    resolved_at = as_time(row["resolved_at"])
    opened_at = as_time(row["opened_at"])
    assert opened_at is not None
    return {
        "id": row["id"],
        "slo": row["slo"],
        "severity": row["severity"],
        "cause": row["cause"],
        "runbook": row["runbook"],
        "opened_at": opened_at.isoformat(),
        "resolved_at": resolved_at.isoformat() if resolved_at else None,
    }
