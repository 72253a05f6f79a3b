"""From the click to the payout: sandbox gateway and its report, engine, sandbox ERP; and the clearing ties out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from builders import a_line, a_row, an_order, the_rules
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.adapters.party.http import HttpParty
from counterfoil_engine.bootstrap import Engine, PartyLine, build
from counterfoil_engine.records.database import Database
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.gateway import Gateway
from counterfoil_sandbox.party import PartyService
from domain.settlement.reports import STRIPE_HEADER
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, open_database
from fakes.events import incoming

_CATEGORY = {"charge": "charge", "refund": "refund", "fee": "fee", "dispute": "dispute"}


@dataclass
class Town:
    """Everybody who takes part, on one clock. engine: anew after a restart; books, gateway, folder stay."""

    database: Database
    clock: FakeClock
    books: Books
    gateway: Gateway
    service: PartyService
    drop: Path
    engine: Engine
    seen: int = 0

    def order(self, number: int, **fields: Any) -> None:
        self.seen += 1
        body = {"order": an_order(a_line("MUG", 2, "9.90"), id=number, payment_method="card", **fields), "refunds": []}
        event = incoming(f"event {self.seen}", self.seen, number, body=json.dumps(body).encode())
        self.engine.events.append("eu1", [event._replace(transaction=body["order"]["transaction_id"] or None)])

    def run(self, steps: int = 300) -> None:
        """Until nobody has anything left to do, or so many steps."""
        idle = 0
        for _ in range(steps):
            did = self.engine.step_facts()
            did = self.engine.step_payouts() or did
            did = self.engine.step_look() or did
            did = self.engine.step_post() or did
            idle = 0 if did else idle + 1
            self.clock.pass_time(1.1)
            if idle == 5:
                return

    def restarts(self) -> None:
        """The process dies where it is; another one starts on the same database."""
        self.engine = an_engine(self)

    def clearing(self) -> dict[str, Any]:
        answer = self.engine.finances().finance.clearing("stripe")
        assert answer["not_asked"] == []
        return answer["days"][-1]

    def report(self, payout: str) -> bytes:
        """The sandbox gateway's report of a payout, written as Stripe writes it."""
        said = self.gateway.report(payout)
        assert said is not None
        rows = [STRIPE_HEADER]
        for item in said["items"]:
            amount, of = _major(item["amount_minor"]), item["transaction"] or ""
            at = item["at"][:19].replace("T", " ")
            rows.append(
                f"{item['item']},{at},eur,{amount},0.00,{amount},{_CATEGORY[item['type']]},{of},{payout},"
                f"{said['paid_on']} 00:00:00"
            )
        paid = _major(-said["amount_minor"])
        rows.append(
            f"{payout},{said['paid_on']} 00:00:00,eur,{paid},0.00,{paid},payout,,{payout},{said['paid_on']} 00:00:00"
        )
        return "\n".join([*rows, ""]).encode()


def _major(amount_minor: int) -> str:
    return f"{'-' if amount_minor < 0 else ''}{abs(amount_minor) // 100}.{abs(amount_minor) % 100:02d}"


def an_engine(town: Town) -> Engine:
    rules = the_rules(payment_methods=[a_row(match={"method": "card"}, gateway="stripe")])
    on = {"erp": "on"}
    rules = replace(rules, stores={name: replace(store, switches=on) for name, store in rules.stores.items()})
    asked = create_erp(town.books, "t", now=town.clock.now, sleep=town.clock.sleep)
    erp = HttpErp("http://erp", "t", in_process_session(asked, town.clock.now))
    line = PartyLine(
        "gateway", "stripe", HttpParty("gateway", "stripe", "http://g", "t", in_process_session(town.service))
    )
    engine = build(
        town.database,
        town.clock,
        {"DE01": erp},
        parse=lambda text, version: rules,
        jitter=lambda: 0.0,
        parties=[line],
        payout_folder=town.drop,
    )
    engine.load_rules("rules")
    return engine


@pytest.fixture(params=DIALECTS)
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    clock = FakeClock()
    gateway = Gateway("gateway", "stripe", now=clock.now, random=Random(2))
    (tmp_path / "drop" / "stripe").mkdir(parents=True)
    with open_database(request.param, tmp_path, clock) as database:
        database.now = clock.now  # type: ignore[method-assign]
        service = PartyService(gateway.party, gateway, "t", sleep=clock.sleep)
        town = Town(database, clock, Books(now=clock.now), gateway, service, tmp_path / "drop", None)  # type: ignore[arg-type]
        town.engine = an_engine(town)
        town.engine.events.greet("eu1", "a" * 32, "1", {"order": [1]})
        yield town


@pytest.mark.parametrize("report_first", [False, True])
def test_a_payout_posts_once_and_its_clearing_is_zero_whoever_speaks_first_and_whenever_it_restarts(
    town: Town, report_first: bool
) -> None:
    charges = {number: town.gateway.on_charge(2356, "EUR") for number in (1001, 1002, 1003)}
    if not report_first:
        for number, charge in charges.items():
            town.order(number, transaction_id=charge)
        town.run()
    town.gateway.on_refund(charges[1002], 500)
    (payout,) = town.gateway.on_payout()
    (town.drop / "stripe" / "november.csv").write_bytes(town.report(payout))
    for steps in (2, 3, 4, 5):
        town.run(steps)
        town.restarts()
    for number, charge in charges.items() if report_first else ():
        town.order(number, transaction_id=charge)
    town.clock.pass_time(60)
    town.run()
    (town.drop / "stripe" / "again.csv").write_bytes(town.report(payout).replace(b"\n", b"\r\n"))
    town.clock.pass_time(120)
    town.run()

    last = town.clearing()
    assert (last["closing_minor"], last["erp_minor"], last["unexplained_minor"]) == (0, 0, 0)
    with town.database.transaction() as tx:
        payouts = tx.all("select key, state from intents where kind = 'payout' and reverses is null and state = 'done'")
    assert [row["key"] for row in payouts] == [f"DE01/-/payout/stripe.{payout}/r1"]
    roles = {role: each.debit_minor - each.credit_minor for (_, role, _), each in town.books.balances("DE01").items()}
    assert roles["in_transit:stripe"] == town.gateway.report(payout)["amount_minor"]  # type: ignore[index]
    assert roles.get("unapplied:stripe", 0) == 0
