"""What a close check reports beside balances: each gateway's clearing, gift cards, what shipped and isn't invoiced, tax
bases; and the ERP's balances as of the month's end. With a sandbox of each party."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.records import close as close_records
from counterfoil_sandbox.erp_by_hand import ByHand
from counterfoil_sandbox.erp_journal import Line
from work.test_with_parties import ORDER, Town, a_town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    yield from a_town(tmp_path)


def check(town: Town, period: str = "2026-11") -> list[dict[str, Any]]:
    return town.engine.close().check("DE01", period)["lines"]


def told(town: Town, name: str, period: str = "2026-11") -> dict[str, Any]:
    return {line["detail"]: line["ours"] for line in check(town, period) if line["name"] == name}


def paid_and_shipped(town: Town) -> None:
    town.order()
    town.gateway.command("charge", amount_minor=1772, currency="EUR")
    town.run()
    town.wms.command("ship", **ORDER)
    town.run()


def test_a_gateways_clearing_is_told_line_by_line_with_what_waits_for_its_payout(town: Town) -> None:
    paid_and_shipped(town)
    assert told(town, "clearing") == {
        "stripe: opening": 0,
        "stripe: captures": 1772,
        "stripe: fees": 50,
        "stripe: closing": 1722,
        "stripe: in no payout yet, up to 30 days": 1722,
        "stripe: in no payout and not open": 0,
    }
    later = told(town, "clearing", "2026-12")
    assert later["stripe: opening"] == later["stripe: closing"] == 1722 and "stripe: captures" not in later


def test_the_balances_of_the_months_end_are_compared_with_the_erps_and_not_those_of_today(town: Town) -> None:
    paid_and_shipped(town)
    closing = {line["detail"]: line for line in check(town) if line["name"] == "closing balance"}
    assert closing["revenue:goods"]["ours"] == closing["revenue:goods"]["erps"] == -999
    assert told(town, "ledger to date") == {}
    by_hand = ByHand(town.books)
    by_hand.book("DE01", date(2026, 12, 1), "EUR", "EUR", moved(5))
    assert [line for line in check(town) if line["needs_somebody"]] == []
    by_hand.book("DE01", date(2026, 11, 30), "EUR", "EUR", moved(7))
    off = {line["detail"]: line["difference"] for line in check(town) if line["name"] == "closing balance"}
    assert {role: minor for role, minor in off.items() if minor} == {"revenue:goods": 7, "suspense": -7}


def moved(amount_minor: int) -> list[Line]:
    """By hand from revenue to nowhere."""
    return [Line("suspense", amount_minor, 0, amount_minor, 0), Line("revenue:goods", 0, amount_minor, 0, amount_minor)]


def test_an_erp_that_says_its_balances_to_date_alone_is_compared_so(town: Town, monkeypatch: Any) -> None:
    paid_and_shipped(town)
    monkeypatch.setattr(HttpErp, "balances_until", lambda self, entity, last: None)
    assert told(town, "ledger to date")["revenue:goods"] == -999
    assert {line["erps"] for line in check(town) if line["name"] == "closing balance"} == {None}


def test_goods_that_left_without_an_invoice_are_named(town: Town) -> None:
    paid_and_shipped(town)
    assert told(town, "shipments not invoiced") == {}
    with town.engine.records.transaction() as tx:
        tx.run("update intents set state = 'withdrawn' where kind = 'invoice'")
        rows = close_records.not_invoiced(tx, ["eu1"], town.clock.now())
        assert [row["subject"] for row in rows] == ["order eu1/1001"]
        assert close_records.not_invoiced(tx, ["us1"], town.clock.now()) == []


def test_the_base_of_a_tax_is_what_was_invoiced_less_what_was_credited(town: Town) -> None:
    paid_and_shipped(town)
    assert told(town, "base of the period's tax") == {"tax:domestic:DE:19": 1489}
    assert told(town, "tax of the period") == {"tax:domestic:DE:19": 283}
