"""What must be so of any rehearsal's JSON, checked from outside: from the exported data and the report alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from counterfoil_contracts import faults
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.rehearsal.report import Report
from counterfoil_engine.rehearsal.run import rehearse

Json = dict[str, Any]


def written(folder: Path, files: Mapping[str, Any]) -> Path:
    """A folder of exports; values are JSON, or the very bytes of a file."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, default=str).encode())
    return folder


def rehearsed(*paths: Path, store: str = "eu1", rules: str | None = None, trace: Any = None) -> Report:
    """A rehearsal, held against all that must be so of any."""
    report = rehearse(paths, store, rules, trace)
    check(report.as_json())
    assert report.holds, report.invariants
    return report


def by_order(report: Report) -> dict[str, Json]:
    """The orders of a report by WooCommerce's id."""
    return {order["order"].partition("/")[2]: order for order in report.orders}


def sums(order: Mapping[str, Any]) -> dict[str, int]:
    """Σ by kind: what stands. Customers, and kinds at nothing that were never posted, are left out."""
    found: Counter[str] = Counter()
    for document in order["documents"]:
        if document["kind"] != "customer":
            found[document["kind"]] += document["amount_minor"]
    return dict(found)


def balances(order: Mapping[str, Any], book: bool = False) -> dict[str, int]:
    """Debits less credits by role, those that are not at nothing."""
    debit, credit = ("book_debit_minor", "book_credit_minor") if book else ("debit_minor", "credit_minor")
    found: Counter[str] = Counter()
    for line in order["journal"]:
        found[line["role"]] += line[debit] - line[credit]
    return {role: amount for role, amount in found.items() if amount}


def standing(order: Mapping[str, Any], kind: str) -> int:
    """How many documents of a kind stand."""
    return sum(-1 if each["reverses"] else 1 for each in order["documents"] if each["kind"] == kind)


def failed(order: Mapping[str, Any]) -> list[str]:
    return [proof["name"] for proof in order["proof"] if not proof["ok"]]


def minor(text: object, currency: str) -> int:
    return int(Decimal(str(text)).scaleb(DECIMALS[currency]))


def check(report: Mapping[str, Any]) -> None:
    """The schema, and what holds of every order by the report's own rules."""
    value = json.loads(json.dumps(report, ensure_ascii=False))
    assert not faults("rehearsal/report.v1", json.dumps(report).encode())
    assert [each["id"] for each in value["invariants"]] == ["I1", "I2", "I3", "I6"]
    for order in value["orders"]:
        _check_order(order)


def _check_order(order: Json) -> None:
    what = json.dumps(order)[:3000]
    by_key = {each["key"]: each for each in order["documents"]}
    assert len(by_key) == len(order["documents"]), what
    for each in order["documents"]:
        if each["reverses"]:
            original = by_key[each["reverses"]]
            assert (each["kind"], each["amount_minor"]) == (original["kind"], -original["amount_minor"]), what
    assert {line["document"] for line in order["journal"]} <= set(by_key), what
    _check_balanced(order["journal"])
    assert (order["reading"] == "parked") == bool(order["cases"]), what
    assert all(case["cause"] and case["remedy"] for case in order["cases"]), what
    total = sums(order)
    if order["reading"] in ("posted", "closed"):
        assert standing(order, "sales_order") == 1, what
        assert not failed(order), what
    if order["reading"] == "cancelled":
        assert standing(order, "sales_order") == 1, what
        assert total.get("invoice", 0) == total.get("credit_note", 0), what
    if order["reading"] in ("filtered", "waiting"):
        others = {kind: amount for kind, amount in total.items() if kind not in ("payment", "refund_payment")}
        assert not any(others.values()), what
        assert standing(order, "sales_order") == 0, what


def _check_balanced(journal: Iterable[Json]) -> None:
    apart: Counter[tuple[str, str]] = Counter()
    for line in journal:
        apart[line["document"], line["currency"]] += line["debit_minor"] - line["credit_minor"]
        apart[line["document"], "book"] += line["book_debit_minor"] - line["book_credit_minor"]
    assert not any(apart.values()), apart


def check_against(order: Mapping[str, Any], said: Mapping[str, Any], refunds: Sequence[Mapping[str, Any]]) -> None:
    """An order that ended without a person, against what the store said of it last."""
    if order["reading"] not in ("posted", "closed"):
        return
    total, currency = sums(order), order["currency"]
    refunded = sum(minor(refund["amount"], currency) for refund in refunds)
    stands = total.get("invoice", 0) - total.get("credit_note", 0)
    assert order["total_minor"] == minor(said["total"], currency)
    assert stands == order["total_minor"] + total.get("tender", 0) - refunded, (total, said["total"], refunded)
    assert total.get("refund_payment", 0) <= total.get("payment", 0), total
