"""The demo's proof: shops, engine and ERPs compared from outside, by what each of the three says of itself.

It reads the shops over REST, the ERPs' balances over its API, and both ledgers from their SQLite files, read only. What
is due is computed here from the shops' orders alone, in a few lines and without the engine's rules, so that a mistake
in those shows.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from counterfoil_engine.demo.places import Place, Places, rows

DECIMALS = {"JPY": 0, "KWD": 3}
COUNTED_KINDS = ("sales_order", "invoice", "credit_note", "payment", "tender", "refund_payment")
REVENUE_KINDS = ("invoice", "credit_note")

Balance = tuple[int, int, int, int]
"""debit, credit, and both in book currency, minor units"""

Role = tuple[str, str, str]
"""entity, role, currency"""


@dataclass(frozen=True)
class Check:
    """One line of the proof. detail: one sentence with the figures, or what is wrong."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Line:
    """One order, three ways, minor units: what the shop says is kept; what engine and ERP invoiced less credited.

    case: its category, or "not heard" where the agent is away that would tell of it."""

    store: str
    order_id: int
    status: str
    currency: str
    shop_minor: int
    engine_minor: int
    erp_minor: int
    sales_orders: int
    expected_sales_orders: int
    case: str | None

    @property
    def name(self) -> str:
        return f"{self.store}/{self.order_id}"


@dataclass(frozen=True)
class Total:
    """All orders of one currency that are in no case, minor units."""

    currency: str
    orders: int
    shop_minor: int
    engine_minor: int
    erp_minor: int


@dataclass
class Proof:
    checks: list[Check] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    cases: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def totals(self) -> list[Total]:
        counted = [line for line in self.lines if line.case is None]
        totals = []
        for currency in sorted({line.currency for line in counted}):
            lines = [line for line in counted if line.currency == currency]
            shop, engine, erp = zip(*((x.shop_minor, x.engine_minor, x.erp_minor) for x in lines), strict=True)
            totals.append(Total(currency, len(lines), sum(shop), sum(engine), sum(erp)))
        return totals

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def prove(places: Places) -> Proof:
    """Compare all three now. They should be at rest: what is under way counts as a difference."""
    proof = Proof()
    erp, engine = Ledger.of_erps(places.erp_files), Ledger.of_engine(places.engine_file)
    proof.cases = open_cases(places)
    for place in places.stores:
        held = {case["subject"]: case["category"] for case in proof.cases} | not_heard(places, place)
        proof.lines += compare_orders(place.store, shop_orders(place), engine, erp, held)
    proof.checks = [
        nothing_lost_or_doubled(proof.lines, erp),
        to_the_cent(proof.lines),
        balanced(erp, engine),
        same_documents(erp, engine),
        same_balances(engine, erp_balances(places)),
    ]
    return proof


# The shop, read as any client would


def shop_orders(place: Place) -> list[dict[str, Any]]:
    """Every order the shop still knows, the trash's too."""
    api = place.shop()
    orders: list[dict[str, Any]] = []
    for status in ("any", "trash"):
        page, pages = 1, 1
        while page <= pages:
            asked = {"status": status, "per_page": 100, "page": page, "orderby": "id", "order": "asc"}
            answer = api.get("orders", params=asked)
            answer.raise_for_status()
            orders += answer.json()
            page, pages = page + 1, int(answer.headers["X-WP-TotalPages"])
    return orders


def behind(places: Places) -> list[str]:
    """Orders of which the newest fact in the engine says something else than their shop says now."""
    query = (
        "select store, subject, coalesce(e.body, (select o.body from events o"
        " where o.store = e.store and o.event_id = e.same_as)) as body from events e"
        " where verdict = 'stored' and type = 'counterfoil.order.v1' order by epoch, n"
    )
    newest = {row["subject"]: row["body"] for row in rows(places.engine_file, query)}
    late = []
    for place in places.stores:
        for order in shop_orders(place):
            fact = newest.get(f"order {place.store}/{order['id']}")
            if fact is None or json.loads(fact)["order"] != order:
                late.append(f"{place.store}/{order['id']}")
    return late


def not_heard(places: Places, place: Place) -> dict[str, str]:
    """Subject → "not heard", of the orders whose agent is away and which the engine has heard nothing of."""
    if place.store not in places.away():
        return {}
    query = "select distinct subject from events where store = ?"
    heard = {row["subject"] for row in rows(places.engine_file, query, (place.store,))}
    subjects = {f"order {place.store}/{order['id']}" for order in shop_orders(place)}
    return dict.fromkeys(subjects - heard, "not heard")


def minor(amount: str, currency: str) -> int:
    """Minor units of a shop's amount; what the currency can't hold is an error, never rounded away."""
    shifted = Decimal(amount).scaleb(DECIMALS.get(currency, 2))
    if shifted != shifted.to_integral_value():
        raise ValueError(f"{amount} is no amount in {currency}")
    return int(shifted)


def is_accepted(order: Mapping[str, Any]) -> bool:
    """Whether the shop wants it fulfilled, or was paid for it before it was cancelled or given back."""
    was_paid = order["date_paid_gmt"] is not None
    return order["status"] in ("processing", "completed") or (order["status"] in ("cancelled", "refunded") and was_paid)


def kept_minor(order: Mapping[str, Any]) -> int:
    """Gross value that stays sold: the total and what gift cards paid of it, less refunds."""
    if not is_accepted(order) or order["status"] in ("cancelled", "refunded"):
        return 0
    currency = order["currency"]
    gift_cards = sum(
        -minor(fee["total"], currency) - minor(fee["total_tax"], currency)
        for fee in order["fee_lines"]
        if fee["name"].startswith("Gift card") and Decimal(fee["total"]) < 0
    )
    refunded = sum(-minor(refund["total"], currency) for refund in order["refunds"])
    return minor(order["total"], currency) + gift_cards - refunded


# The two ledgers


@dataclass
class Ledger:
    """Documents and their journals. documents: key → kind, order (`eu1/1001`), currency, amount; a reversal's amount is
    negative. by_role: (entity, role, currency) → debit, credit, and both in book currency."""

    documents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    journals: dict[str, list[Balance]] = field(default_factory=lambda: defaultdict(list))
    by_role: dict[Role, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0]))

    @classmethod
    def of_erps(cls, files: Sequence[Path]) -> Ledger:
        ledger = cls()
        for file in files:
            ledger._read_erp(file)
        return ledger

    def _read_erp(self, file: Path) -> None:
        for row in rows(file, "select key, kind, currency, amount_minor, reverses, body from documents order by id"):
            store, number = row["key"].split("/")[0], json.loads(row["body"]).get("order")
            self._add(row["key"], row, None if number is None else f"{store}/{number}")
        query = (
            "select d.key, d.entity, j.role, d.currency, j.debit_minor, j.credit_minor, j.book_debit_minor,"
            " j.book_credit_minor"
            " from journal j join documents d on d.id = j.document"
        )
        self._add_journal(rows(file, query))

    @classmethod
    def of_engine(cls, file: Path) -> Ledger:
        """What has a result."""
        ledger = cls()
        query = "select key, kind, currency, amount_minor, reverses, about from intents where state = 'done'"
        for row in rows(file, query + " order by id"):
            what, _, order = row["about"].partition(" ")
            ledger._add(row["key"], row, order if what == "order" else None)
        query = (
            "select document as key, entity, role, currency, debit_minor, credit_minor, book_debit_minor,"
            " book_credit_minor from journal"
        )
        ledger._add_journal(rows(file, query))
        return ledger

    def _add(self, key: str, row: sqlite3.Row, order: str | None) -> None:
        if key in self.documents:
            self.doubled.append(key)
        self.documents[key] = {
            "kind": row["kind"],
            "order": order,
            "currency": row["currency"],
            "amount_minor": row["amount_minor"],
            "is_reversal": row["reverses"] is not None,
        }

    def _add_journal(self, lines: Iterator[sqlite3.Row]) -> None:
        for line in lines:
            amounts = (line["debit_minor"], line["credit_minor"], line["book_debit_minor"], line["book_credit_minor"])
            self.journals[line["key"]].append(amounts)
            totals = self.by_role[line["entity"], line["role"], line["currency"]]
            for place, amount in enumerate(amounts):
                totals[place] += amount

    def of_order(self, order: str) -> tuple[int, int]:
        """(sales orders that stand, invoices less credit notes)"""
        standing, revenue = 0, 0
        for document in self.documents.values():
            if document["order"] != order:
                continue
            if document["kind"] == "sales_order":
                standing += -1 if document["is_reversal"] else 1
            elif document["kind"] in REVENUE_KINDS:
                revenue += document["amount_minor"] * (1 if document["kind"] == "invoice" else -1)
        return standing, revenue


def erp_balances(places: Places) -> dict[Role, list[int]]:
    """The ERPs' own balances by entity, role and currency, over their API."""
    names = ("debit_minor", "credit_minor", "book_debit_minor", "book_credit_minor")
    found: dict[Role, list[int]] = {}
    for place in places.stores:
        entity = place.branch.entity
        for each in place.erp("balances", entity=entity)["balances"]:
            found[entity, each["role"], each["currency"]] = [each[name] for name in names]
    return found


def open_cases(places: Places) -> list[Mapping[str, Any]]:
    query = "select subject, category, cause, remedy from cases where resolved_at is null order by subject, id"
    return [dict(row) for row in rows(places.engine_file, query)]


# The checks


def compare_orders(
    store: str, orders: Sequence[Mapping[str, Any]], engine: Ledger, erp: Ledger, held: Mapping[str, str]
) -> list[Line]:
    """Every order of the shop, and every one that only the ERP or a case still knows. held: subject → why."""
    by_name = {f"{store}/{order['id']}": order for order in orders}
    known = {document["order"] for document in erp.documents.values() if document["order"] is not None}
    known |= {subject.removeprefix("order ") for subject in held if subject.startswith("order ")}
    names = by_name.keys() | {name for name in known if name.startswith(f"{store}/")}
    return [_line(name, by_name.get(name), engine, erp, held) for name in sorted(names)]


def _line(name: str, order: Mapping[str, Any] | None, engine: Ledger, erp: Ledger, held: Mapping[str, str]) -> Line:
    store, _, number = name.partition("/")
    standing, revenue = erp.of_order(name)
    return Line(
        store,
        int(number),
        "deleted" if order is None else order["status"],
        "" if order is None else order["currency"],
        0 if order is None else kept_minor(order),
        engine.of_order(name)[1],
        revenue,
        standing,
        0 if order is None else int(is_accepted(order)),
        held.get(f"order {name}"),
    )


def nothing_lost_or_doubled(lines: Sequence[Line], erp: Ledger) -> Check:
    name = "I1  every order is there once, or is a case"
    wrong = [x.name for x in lines if x.case is None and x.sales_orders != x.expected_sales_orders]
    doubled = [x.name for x in lines if x.sales_orders > 1]
    if wrong or doubled or erp.doubled:
        return Check(name, False, f"wrong: orders {wrong}, doubled: orders {doubled}, keys {erp.doubled[:5]}")
    free, unheard = [x for x in lines if x.case is None], [x for x in lines if x.case == "not heard"]
    posted, in_case = sum(x.sales_orders for x in free), len(lines) - len(free) - len(unheard)
    kinds = f"{posted} with one sales order, {len(free) - posted} never accepted, {in_case} in a case"
    more = f", {len(unheard)} that wait in their shop since its agent is away" if unheard else ""
    return Check(name, True, f"{len(lines)} orders: {kinds}{more}")


def to_the_cent(lines: Sequence[Line]) -> Check:
    name = "    shop = engine = ERP, to the cent, order by order"
    counted = [x for x in lines if x.case is None]
    wrong = [x for x in counted if not x.shop_minor == x.engine_minor == x.erp_minor]
    if wrong:
        shown = ", ".join(
            f"{x.name}: shop {x.shop_minor}, engine {x.engine_minor}, ERP {x.erp_minor} {x.currency}" for x in wrong[:5]
        )
        return Check(name, False, f"{len(wrong)} differ: {shown}")
    return Check(name, True, f"{len(counted)} orders agree, each by itself")


def balanced(erp: Ledger, engine: Ledger) -> Check:
    name = "I2  debits = credits, in every document, in both currencies"
    for who, ledger in (("ERP", erp), ("engine", engine)):
        for key, lines in ledger.journals.items():
            debit, credit, book_debit, book_credit = (sum(line[place] for line in lines) for place in range(4))
            if debit != credit or book_debit != book_credit:
                return Check(
                    name, False, f"{who}: {key} has {debit} = {credit}, in the books {book_debit} = {book_credit}"
                )
    return Check(
        name, True, f"{len(erp.journals)} documents with a journal in the ERP, {len(engine.journals)} in the engine"
    )


def same_documents(erp: Ledger, engine: Ledger) -> Check:
    name = "I3  each document of the engine's is in the ERP, and no other"
    only_engine, only_erp = (
        engine.documents.keys() - erp.documents.keys(),
        erp.documents.keys() - engine.documents.keys(),
    )
    differing = [
        key
        for key in engine.documents.keys() & erp.documents.keys()
        if engine.documents[key]["amount_minor"] != erp.documents[key]["amount_minor"]
    ]
    if only_engine or only_erp or differing:
        shown = f"only in the engine: {sorted(only_engine)[:3]}, only in the ERP: {sorted(only_erp)[:3]}"
        return Check(name, False, f"{shown}, other amounts: {sorted(differing)[:3]}")
    kinds = Counter(document["kind"] for document in erp.documents.values())
    return Check(name, True, ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(kinds.items())))


def same_balances(engine: Ledger, balances: Mapping[Role, Sequence[int]]) -> Check:
    """Net of each role: reversals raise both sides, and the sides may be kept gross or net."""
    name = "I3  the engine's journal = the ERP's ledger, role by role"

    def nets(by_role: Mapping[Role, Sequence[int]]) -> dict[Role, tuple[int, int]]:
        found = {role: (a[0] - a[1], a[2] - a[3]) for role, a in by_role.items()}
        return {role: net for role, net in found.items() if net != (0, 0)}

    ours, theirs = nets(engine.by_role), nets(balances)
    wrong = sorted(role for role in ours.keys() | theirs.keys() if ours.get(role) != theirs.get(role))
    if wrong:
        shown = "; ".join(f"{' '.join(role)}: engine {ours.get(role)}, ERP {theirs.get(role)}" for role in wrong[:4])
        return Check(name, False, f"{len(wrong)} roles differ: {shown}")
    return Check(name, True, f"{len(ours)} roles and currencies agree, in both currencies")


def fingerprint(places: Places) -> tuple[frozenset[str], Mapping[Role, Sequence[int]]]:
    """What a replay must not change: the keys in the ERPs and their balances."""
    return frozenset(Ledger.of_erps(places.erp_files).documents), erp_balances(places)


def as_money(amount_minor: int, currency: str) -> str:
    decimals = DECIMALS.get(currency, 2)
    return f"{Decimal(amount_minor).scaleb(-decimals):,.{decimals}f}"
