"""One engine with an ERP, a WMS, a gateway and a tax service, all of them sandboxes: from the click to the payout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from builders import a_line, a_refund, a_row, a_shipping, an_order, the_rules
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.adapters.party.http import HttpParty
from counterfoil_engine.bootstrap import Engine, PartyLine, build
from counterfoil_engine.domain.rules import Row
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.work.users import BOOTSTRAP
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.gateway import Gateway
from counterfoil_sandbox.party import PartyService
from counterfoil_sandbox.party_store import PartyStore
from counterfoil_sandbox.tax import TaxService
from counterfoil_sandbox.wms import Wms
from fakes.clock import FakeClock
from fakes.control import the_users
from fakes.databases import open_database
from fakes.events import incoming

ORDER = {"store": "eu1", "order": "1001"}
ON = dict.fromkeys(("erp", "wms", "gateway", "tax", "store"), "on")


@dataclass
class Town:
    """Everybody who takes part, on one clock."""

    engine: Engine
    clock: FakeClock
    books: Books
    wms: Wms
    gateway: Gateway
    taxes: TaxService
    seen: int = 0
    services: list[PartyService] = field(default_factory=list)

    def order(self, mugs: int = 3, refunds: Sequence[dict[str, Any]] = (), **fields: Any) -> None:
        """The store says how the order is now: 3 mugs and shipping, 17.72 EUR, paid by card."""
        self.seen += 1
        parts = (a_line("MUG", mugs, "3.33"), a_shipping("4.90"))
        order = an_order(*parts, payment_method="card", refunds=refunds, **fields)
        body = {"order": order, "refunds": list(refunds)}
        event = incoming(f"event {self.seen}", self.seen, body=json.dumps(body).encode())
        self.engine.events.append("eu1", [event._replace(transaction=body["order"]["transaction_id"] or None)])

    def run(self) -> None:
        """Until nobody has anything left to do."""
        idle = 0
        for _ in range(200):
            did = self.engine.step_facts()
            did = self.engine.step_look() or did
            did = self.engine.step_post() or did
            idle = 0 if did else idle + 1
            self.clock.pass_time(1.1)
            if idle == 4:
                return
        raise AssertionError("it never comes to rest")

    def balances(self) -> dict[str, int]:
        rows = self.books.balances("DE01").items()
        sums = {role: balance.debit_minor - balance.credit_minor for (_, role, _), balance in rows}
        return {role: minor for role, minor in sums.items() if minor}

    def cases(self) -> list[str]:
        with self.engine.records.transaction() as tx:
            return [row["cause"] for row in tx.all("select cause from cases where resolved_at is null order by id")]

    def posted(self, party: PartyStore) -> list[str]:
        return [row["kind"] for row in party._rows("select kind from documents order by id")]


def a_town(folder: Path, approvals: Sequence[Row] = (), **sequence: Any) -> Iterator[Town]:
    clock = FakeClock()
    rules = the_rules(
        approvals=approvals,
        sequence=[a_row(match={"entity": "*", "method": "*"}, wms="hub-berlin", invoice_on="shipment", **sequence)],
        payment_methods=[a_row(match={"method": "card"}, gateway="stripe")],
    )
    rules = replace(rules, stores={name: replace(store, switches=ON) for name, store in rules.stores.items()})
    books = Books(now=clock.now)
    erp = HttpErp("http://erp", "t", in_process_session(create_erp(books, "t", now=clock.now, sleep=clock.sleep)))
    stores: list[PartyStore] = [
        Wms("wms", "hub-berlin", now=clock.now, random=Random(1)),
        Gateway("gateway", "stripe", now=clock.now, random=Random(2)),
        TaxService("tax", "taxes", now=clock.now, random=Random(3)),
    ]
    services = [PartyService(one.party, one, "t", sleep=clock.sleep) for one in stores]
    lines = [
        PartyLine(
            one.party.party,  # type: ignore[arg-type]
            one.party.source,
            HttpParty(one.party.party, one.party.source, "http://party", "t", in_process_session(one)),  # type: ignore[arg-type]
            ["DE01"],
        )
        for one in services
    ]
    with open_database("sqlite", folder, clock) as database:
        engine = build(
            database,
            clock,
            {"DE01": erp},
            parse=lambda text, version: rules,
            jitter=lambda: 0.0,
            parties=lines,
        )
        engine.load_rules("rules")
        engine.events.greet("eu1", "a" * 32, "1", {"order": [1]})
        yield Town(engine, clock, books, *stores, services=services)  # type: ignore[arg-type]
        engine.give_back()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    yield from a_town(tmp_path)


def test_money_before_its_order_stands_apart_and_is_its_own_once_the_order_comes(town: Town) -> None:
    assert town.gateway.command("charge", amount_minor=1772, currency="EUR") == "ch_1"
    town.run()
    town.order()
    town.run()
    assert town.cases() == []
    assert town.balances()["deposits"] == -1772
    assert town.balances()["clearing:stripe:EUR"] == 1772 - 50
    assert town.posted(town.wms) == ["fulfilment"]


def test_an_order_is_invoiced_as_the_wms_ships_it(town: Town) -> None:
    town.order()
    town.gateway.command("charge", amount_minor=1772, currency="EUR")
    town.run()
    town.wms.command("ship", **ORDER, lines={"item:1": "1"})
    town.run()
    assert town.balances()["deposits"] == -1772 + 979
    town.wms.command("ship", **ORDER)
    town.run()
    assert town.cases() == []
    assert town.balances() == {
        "clearing:stripe:EUR": 1772 - 50,
        "gateway_fees": 50,
        "revenue:goods": -999,
        "revenue:shipping": -490,
        "tax:domestic:DE:19": -283,
    }


def test_what_is_told_twice_late_and_by_lines_that_break_comes_to_the_same(town: Town) -> None:
    for party in (town.wms, town.gateway):
        party.modes = party.modes.changed({"late_facts_s": 90.0, "doubled_facts": 3, "page_facts": 2})
    town.gateway.command("charge", amount_minor=1772, currency="EUR")
    town.order()
    for fault in ("cut_after_commit", "cut_before_commit", "fail_after_commit", "down", "rate_limit"):
        for party in (town.wms, town.gateway):
            party.modes = party.modes.changed({"fault": fault, "fault_times": 2, "fault_on": "all"})
        town.run()
        town.clock.pass_time(700)
    town.run()
    town.wms.command("ship", **ORDER)
    for _ in range(3):
        town.run()
        town.clock.pass_time(100)
    assert town.cases() == []
    assert town.posted(town.wms) == ["fulfilment"]
    assert town.balances() == {
        "clearing:stripe:EUR": 1772 - 50,
        "gateway_fees": 50,
        "revenue:goods": -999,
        "revenue:shipping": -490,
        "tax:domestic:DE:19": -283,
    }


def test_an_authorisation_is_captured_as_goods_leave(tmp_path: Path) -> None:
    for town in a_town(tmp_path, capture_on="shipment"):
        held = town.gateway.command("authorise", amount_minor=1772, currency="EUR")
        town.order(transaction_id=held, paid=None, status="processing")
        town.run()
        assert town.posted(town.wms) == ["fulfilment"] and town.posted(town.gateway) == []
        town.wms.command("ship", **ORDER)
        town.run()
        assert town.cases() == []
        assert town.posted(town.gateway) == ["capture"]
        assert town.balances()["clearing:stripe:EUR"] == 1772 - 50
        assert "deposits" not in town.balances() and "receivable" not in town.balances()


def test_a_tax_quote_is_asked_for_and_the_order_waits_for_it(tmp_path: Path) -> None:
    for town in a_town(tmp_path, tax="taxes", tax_tolerance_minor=2):
        town.taxes.modes = town.taxes.modes.changed({"fault": "down"})
        town.order()
        town.gateway.command("charge", amount_minor=1772, currency="EUR")
        town.run()
        assert town.posted(town.wms) == []
        town.taxes.modes = town.taxes.modes.changed({"fault": None})
        town.clock.pass_time(700)
        town.run()
        town.wms.command("ship", **ORDER)
        town.run()
        assert town.cases() == []
        assert town.posted(town.taxes)[0] == "tax_quote" and "tax_commit" in town.posted(town.taxes)
        assert town.balances()["revenue:goods"] == -999


# Edits that the WMS hears of too late.


def edited(town: Town, mugs: int) -> None:
    """The WMS releases all three mugs, and the merchant edits the order before anybody has heard of it."""
    town.order()
    town.gateway.command("charge", amount_minor=1772, currency="EUR")
    town.run()
    town.wms.modes = town.wms.modes.changed({"late_facts_s": 120.0})
    town.wms.command("release", **ORDER)
    town.order(mugs)
    town.run()
    town.clock.pass_time(200)
    town.run()


def test_what_the_wms_had_released_stands_and_the_order_goes_on(town: Town) -> None:
    edited(town, mugs=5)
    assert town.cases() == []
    assert town.posted(town.wms) == ["fulfilment", "fulfilment"]
    for _ in ("what was released", "the rest"):
        town.wms.command("ship", **ORDER)
        town.clock.pass_time(200)
        town.run()
    assert town.cases() == []
    assert town.balances()["revenue:goods"] == -1665 and town.balances()["receivable"] > 0


def test_what_the_wms_wont_leave_out_is_a_case_until_it_has_come_back(town: Town) -> None:
    edited(town, mugs=1)
    assert ["refused to leave out" in cause for cause in town.cases()] == [True]
    town.wms.command("ship", **ORDER)
    town.clock.pass_time(200)
    town.run()
    assert ["ships 3 of line item:1, and 1 was left" in cause for cause in town.cases()] == [True]
    assert town.balances()["revenue:goods"] == -333
    town.wms.command("receive", **ORDER, lines={"item:1": "2"})
    town.clock.pass_time(200)
    town.run()
    assert town.cases() == []


def test_what_the_wms_leaves_out_after_release_leaves_nothing_to_do(town: Town) -> None:
    town.wms.modes = town.wms.modes.changed({"stops_released": 1.0})
    edited(town, mugs=1)
    assert town.cases() == []
    town.wms.command("ship", **ORDER)
    town.clock.pass_time(200)
    town.run()
    assert town.cases() == []
    assert town.balances()["revenue:goods"] == -333 and town.balances()["refunds_owed"] == -793


# Refunds that the engine pays.


def with_two_controllers(town: Town) -> None:
    users = the_users(town.engine.database)
    for name in ("anna", "ben"):
        users.add(name, "controller", 300, BOOTSTRAP)


def test_a_refund_above_what_one_person_may_waits_for_two(tmp_path: Path) -> None:
    for town in a_town(tmp_path, refunds_by="engine"):
        with_two_controllers(town)
        town.order()
        town.gateway.command("charge", amount_minor=1772, currency="EUR")
        town.run()
        town.order(refunds=[a_refund("5.00")])
        town.run()
        assert ["is above what one person may have paid" in cause for cause in town.cases()] == [True]
        assert town.posted(town.gateway) == []
        eyes = town.engine.four_eyes()
        asked = {"store": "eu1", "order": "1001", "refund": "5001"}
        proposed = eyes.ask("refund_order", asked, Caller("anna", "controller"))
        assert proposed["summary"] == "Pay refund 5001 of eu1/1001 back: 5.00 EUR."
        with pytest.raises(Rejected, match="approving takes somebody else"):
            eyes.approve(proposed["proposal"], Caller("anna", "controller"))
        eyes.approve(proposed["proposal"], Caller("ben", "controller", token_by="operator"))
        town.run()
        assert town.cases() == [] and town.posted(town.gateway) == ["refund_order"]


def test_up_to_the_limit_of_the_rules_a_refund_goes_by_itself(tmp_path: Path) -> None:
    limits = [a_row(match={"what": "refund_order", "currency": "EUR"}, limit_minor="500")]
    for town in a_town(tmp_path, refunds_by="engine", approvals=limits):
        with_two_controllers(town)
        town.order()
        town.gateway.command("charge", amount_minor=1772, currency="EUR")
        town.order(refunds=[a_refund("5.00")])
        town.run()
        assert town.cases() == [] and town.posted(town.gateway) == ["refund_order"]
