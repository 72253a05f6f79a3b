"""A company's day, to be looked at in the console: stock in two warehouses, orders, a payout, what sweeps found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from console.conftest import Running
from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.domain.stock import Position, read_position
from counterfoil_engine.records import party_facts, positions
from counterfoil_sandbox.shop import recorded
from domain.settlement.reports import stripe, stripe_row
from fakes.party_facts import a_fact, judged
from fakes.stock import said

RULES = """
rules: one
# The company in Berlin.
entities:
  - id: DE01
    book_currency: EUR
    zone: Europe/Berlin
    country: DE
    registrations: [{jurisdiction: DE, treatment: domestic}]
stores:
  - {id: eu1, entity: DE01, pool: eu, start_line: 2020-01-01T00:00:00Z, switches: {erp: on}}
warehouses:
  - {id: BER, owner: erp, entity: DE01}
  - {id: HAM, owner: erp, entity: DE01}
pools:
  - {id: eu, warehouses: [BER, HAM]}
tax_rates:
  - {store: "*", code: "DE-*", treatment: domestic, jurisdiction: DE, from: 2020-01-01}
items:
  - {store: "*", sku: "*", item: any, class: goods, exempt: false, from: 2020-01-01}
guests:
  - {store: "*", policy: per_country, from: 2020-01-01}
sequence:
  - {entity: "*", method: "*", invoice_on: acceptance, from: 2020-01-01}
payment_methods:
  - {store: eu1, method: card, gateway: stripe, accept_unpaid: false, from: 2020-01-01}
availability:
  - {pool: eu, warehouse: "*", class: "*", sku: "*", safety_units: "5", from: 2020-01-01}
"""


def an_order(name: str, **changes: Any) -> dict[str, Any]:
    """As the shop told it, paid by card."""
    return {**recorded(name), "payment_method": "card", **changes}


def has_stock(running: Running, sku: str = "MUG-RED", berlin: int = 24, hamburg: int = 10) -> None:
    """Two warehouses have it; some is allocated and damaged; its number is published."""
    now = datetime.now(UTC)
    rows = [
        said(sku, berlin, "BER", now, lines=None, allocated="16", damaged="2"),
        said(sku, hamburg, "HAM", now, lines=None),
    ]
    read = [read_position(row, now.replace(year=now.year + 1))[0] for row in rows]
    with running.chain.database.transaction() as tx:
        positions.apply(tx, [one for one in read if isinstance(one, Position)])
    running.chain.engine.publisher().publish_all()


def is_paid_out(running: Running, *rows: str, net: str) -> None:
    """Stripe reports a payout of these charges, all of yesterday."""
    day = yesterday()
    own = f"po_1,{day} 00:00:00,eur,-{net},0.00,-{net},payout,po_1,po_1,{day} 00:00:00"
    of_that_day = [row.replace("2026-11-18", day).replace("2026-11-20", day) for row in rows]
    running.chain.engine.payouts().take("stripe", stripe(*of_that_day, own), "november.csv", "carl")
    running.chain.flow()


def yesterday() -> str:
    """Where the company is."""
    return (datetime.now(ZoneInfo("Europe/Berlin")) - timedelta(days=1)).date().isoformat()


def a_charge(gross: str, fee: str, net: str, transaction: str) -> str:
    """One line of Stripe's report, for the charge `ch_<transaction>`."""
    return stripe_row(gross, fee, net, id=transaction)


def gives_back(running: Running, order: str, amount_minor: int) -> None:
    """Stripe says that it paid back so much of an order's charge `ch_1`, some days ago; the shop has no such refund."""
    store, _, number = order.partition("/")
    at = (datetime.now(UTC) - timedelta(days=5)).strftime("%Y-%m-%dT09:00:00Z")
    body = {"transaction": "ch_1", "refund_transaction": "re_1", "refund": None, "amount_minor": amount_minor}
    fact = a_fact("gateway", "refunded", "evt_1", number, store=store, at=at, currency="EUR", **body)
    with running.chain.database.transaction() as tx:
        party_facts.take(tx, [judged(fact)])
    running.chain.flow()


def drifted(running: Running, **changes: Any) -> int:
    """A sweep found that somebody edited the stock of a store; the number of that difference."""
    found = Found(
        **{
            "sweep": "stock",
            "store": "eu1",
            "subject": "MUG-RED",
            "kind": "manual_edit_store",
            "cause": "The store shows 9 of MUG-RED, the number is 11: somebody set it by hand.",
            "remedy": "Heal it, and the number is written again; or accept it, and say why.",
            "units": -2,
            "detail": {"who": "merchant", "store shows": 9},
            **changes,
        }
    )
    engine = running.chain.engine
    with running.chain.database.transaction() as tx:
        engine.breaks().record(tx, found.sweep, found.store, [found])
    listed = engine.sweeping().desk.listed(found.sweep, found.store, False, 10)["breaks"]
    return int(next(row["id"] for row in listed if row["subject"] == found.subject))


def a_refund(gross: str, net: str, transaction: str) -> str:
    """One line of Stripe's report: money back of the charge `ch_<transaction>`."""
    return stripe_row(gross, "0.00", net, "refund", id=transaction).replace("txn_", "txn_r")
