"""Key figures of a day out of the records, and the days in preview as the baseline."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from counterfoil_engine.domain.kpis import Figures
from counterfoil_engine.records import kpis
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.kpis import Kpis
from counterfoil_engine.work.rules_file import parse_rules
from fakes.clock import FakeClock
from simulation.rules import rules_text

DAY = date(2026, 11, 23)


def put(tx: Any, table: str, **values: Any) -> None:
    names = ", ".join(values)
    tx.run(f"insert into {table} ({names}) values ({', '.join(['%s'] * len(values))})", *values.values())


def heard(tx: Any, order: str, n: int, at: Any) -> None:
    put(
        tx,
        "events",
        store="eu1",
        event_id=f"{n:032x}",
        occurred_on=at.date(),
        epoch=1,
        n=n,
        type="counterfoil.order.v1",
        subject=f"order eu1/{order}",
        arrival=n,
        received_at=at,
        body=b"{}",
        body_hash="h",
        verdict="stored",
    )


def made(tx: Any, kind: str, order: str, at: Any, done_at: Any = None, **more: Any) -> None:
    row = {
        "party": "erp",
        "entity": "DE01",
        "key": f"eu1/{order}/{kind}/x/r1",
        "slot": f"eu1/{order}/{kind}/x",
        "kind": kind,
        "store": "eu1",
        "subject": f"order eu1/{order}",
        "about": f"order eu1/{order}",
        "class": "live",
        "bucket": 1,
        "state": "done" if done_at else "ready",
        "content_hash": "h",
        "amount_minor": 1,
        "currency": "EUR",
        "book_minor": 1,
        "day": str(DAY),
        "after": "[]",
        "rules_version": "one",
        "made_at": at,
        "ever_sent": 1,
        "released": 0,
        "attempts": 1,
        "due_at": at,
        "result_at": done_at,
        "origin": "look",
    }
    put(tx, "intents", **(row | more))


def case(tx: Any, opened_at: Any, resolved_at: Any = None, origin: str = "look", key: str = "k") -> None:
    named = {"category": "data", "fingerprint": key, "cause": "c", "remedy": "r", "missing_rows": "[]"}
    put(tx, "cases", subject=f"order {key}", store="eu1", origin=origin, about_key=key, opened_at=opened_at,
        seen_at=opened_at, resolved_at=resolved_at, **named)  # fmt: skip


@pytest.fixture
def day(clock: FakeClock) -> Any:
    """A moment of the day that is measured."""
    return clock.now().replace(year=2026, month=11, day=23, hour=9)


def measured(database: Database) -> dict[str, tuple[str, int, int]]:
    with database.transaction() as tx:
        found = kpis.measure(tx, DAY, {"eu1": "eu"})
    return {one.kpi: (one.store, one.numerator, one.denominator) for one in found}


def test_an_order_s_latency_counts_from_what_was_heard_last_before_its_document_was_made(
    database: Database, day: Any
) -> None:
    with database.transaction() as tx:
        heard(tx, "1001", 1, day - timedelta(hours=5))
        heard(tx, "1001", 2, day)
        made(tx, "sales_order", "1001", day + timedelta(seconds=2), day + timedelta(seconds=12))
        heard(tx, "1001", 3, day + timedelta(hours=1))
    assert measured(database)["order_latency"] == ("eu1", 12, 1)


def test_a_refund_s_documents_are_its_own_figure(database: Database, day: Any) -> None:
    with database.transaction() as tx:
        heard(tx, "1001", 1, day)
        made(tx, "credit_note", "1001", day, day + timedelta(seconds=60))
        made(tx, "refund_payment", "1001", day, day + timedelta(seconds=20))
    assert measured(database)["refund_completion"] == ("eu1", 80, 2)


def test_what_was_refused_is_told_of_all_that_was_made(database: Database, day: Any) -> None:
    with database.transaction() as tx:
        made(tx, "invoice", "1001", day, day)
        made(tx, "invoice", "1002", day)
        made(tx, "invoice", "1003", day, state="withdrawn")
        case(tx, day, origin="post", key="eu1/1002/invoice/x/r1")
    assert measured(database)["failed_rate"] == ("eu1", 1, 2)


def test_by_hand_is_what_people_did_and_not_what_the_settings_did(database: Database, day: Any) -> None:
    with database.transaction() as tx:
        made(tx, "sales_order", "1001", day, day)
        for who, what in (("settings", "load rules"), ("anna", "retry"), ("operator", "switch")):
            put(tx, "audit", at=day, who=who, what=what, detail="{}")
    assert measured(database)["manual_work"] == ("", 2, 1)


def test_a_case_s_life_counts_on_the_day_on_which_it_ends(database: Database, day: Any) -> None:
    with database.transaction() as tx:
        case(tx, day - timedelta(days=2), day)
        case(tx, day, key="open")
    assert measured(database)["time_to_resolve"] == ("eu1", 2 * 86_400, 1)


def test_a_period_s_close_counts_from_its_last_day(database: Database, day: Any) -> None:
    with database.transaction() as tx:
        put(
            tx,
            "period_locks",
            entity="DE01",
            period="2026-10",
            locked_at=day.replace(hour=0, minute=0, second=0, microsecond=0),
            locked_by="a",
        )
    assert measured(database)["close_time"] == ("", 22 * 86_400, 1)


def test_accuracy_is_of_stores_that_were_swept_on_that_day(database: Database, day: Any) -> None:
    with database.transaction() as tx:
        for sku in ("mug", "cup", "pen", "hat"):
            put(tx, "ats", pool="eu", sku_key=sku, sku=sku, version=hash(sku) % 10**6, number=1, excluded=False,
                backorders=False, silence_share="1", publication=1, published_at=day)  # fmt: skip
        put(tx, "breaks", sweep="stock", store="eu1", subject="stock eu/mug", to_zero=False, cause="c", remedy="r",
            detail="{}", state="proposed", policy="p", recurring=False, found_at=day, seen_at=day, changed_at=day,
            **{"class": "manual_edit_store"})  # fmt: skip
    assert "inventory_accuracy" not in measured(database)
    with database.transaction() as tx:
        put(tx, "sweeps", sweep="stock", store="eu1", state="done", dry_run=False, who="a", started_at=day,
            ended_at=day, progress="{}")  # fmt: skip
    assert measured(database)["inventory_accuracy"] == ("eu1", 3, 4)


def test_a_day_with_nothing_to_measure_has_no_figures_and_is_not_measured_again(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "now", clock.now)
    records = records_over(database)
    book = Book(parse_rules)
    daily = Kpis(records, kpis, book)
    assert daily.step() == 0, "there are no rules yet"
    with database.transaction() as tx:
        tx.run(
            "insert into rules_versions (version, body, loaded_at, loaded_by) values ('one', %s, %s, 'a')",
            rules_text(),
            tx.now(),
        )
    assert (daily.step(), daily.step()) == (1, 0)
    clock.pass_time(3 * 86_400)
    assert daily.step() == 3
    assert {line["value"] for line in daily.show()["kpis"]} == {None}


def test_the_first_fourteen_days_in_preview_are_the_baseline_and_stay_it(database: Database) -> None:
    first = date(2026, 9, 1)
    with database.transaction() as tx:
        for ahead in range(20):  # in preview, two of a hundred fail, and ten of a hundred later
            figures = [Figures("failed_rate", "eu1", first, 2 if ahead < 14 else 10, 100)]
            kpis.keep(tx, first + timedelta(days=ahead), figures, frozenset())
        kpis.keep(tx, DAY, [Figures("failed_rate", "eu1", DAY, 1, 100)], frozenset({"eu1"}))
        assert kpis.baseline(tx) == kpis.baseline(tx, "eu1") == {"failed_rate": (28, 1400)}
        assert kpis.baseline(tx, "us1") == {}
        assert kpis.read(tx, DAY, DAY) == [
            {"kpi": "failed_rate", "day": "2026-11-23", "numerator": 1, "denominator": 100}
        ]


def test_what_was_measured_once_is_never_changed(database: Database) -> None:
    with database.transaction() as tx:
        kpis.keep(tx, DAY, [Figures("failed_rate", "eu1", DAY, 1, 100)], frozenset())
        kpis.keep(tx, DAY, [Figures("failed_rate", "eu1", DAY, 9, 100)], frozenset())
        assert kpis.read(tx, DAY, DAY)[0]["numerator"] == 1
