"""What a rehearsal came to: each order's documents, journal, proof and cases, and the invariants over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil_engine.work.propose import Proposal

READINGS = ("posted", "waiting", "cancelled", "filtered", "parked", "closed")
Balances = dict[tuple[str, str, str], tuple[int, int]]  # (entity, role, currency) → debits less credits, order and book


@dataclass
class Report:
    """As documented in the contract `rehearsal/report.v1`.

    remainder_minor: what no rule explains, in book minor units: engine's journal against the ERP's books, summed over
    roles. rules_text: the rules that were used, as a file.
    """

    orders: list[dict[str, Any]] = field(default_factory=list)
    invariants: list[dict[str, Any]] = field(default_factory=list)
    proposed: Sequence[Proposal] = ()
    skipped: list[dict[str, str]] = field(default_factory=list)
    rules_text: str = ""
    remainder_minor: int = 0

    @property
    def holds(self) -> bool:
        return all(invariant["ok"] for invariant in self.invariants)

    def as_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "orders": self.orders,
            "invariants": self.invariants,
            "proposed": [proposal.as_json() for proposal in self.proposed],
            "skipped": self.skipped,
        }

    @property
    def last_line(self) -> str:
        readings = Counter(order["reading"] for order in self.orders)
        posted = readings["posted"] + readings["closed"]
        return (
            f"rehearse: {len(self.orders)} orders, {posted} posted, {readings['waiting']} waiting,"
            f" {readings['cancelled']} cancelled, {readings['filtered']} filtered, {readings['parked']} cases,"
            f" remainder {self.remainder_minor / 100:.2f}"
        )

    def show(self, show: Any) -> None:
        """For a person: what was proposed, the cases, the invariants, and the last line. show: `cli.show`."""
        self._show_proposed(show)
        show.table(
            ["order", "reading", "total", "documents", "what stands", "proofs"],
            [_order_row(order, show) for order in self.orders],
            "Orders",
        )
        for order in self.orders:
            show.cases([{**case, "subject": order["order"]} for case in order["cases"]])
        if self.skipped:
            show.table(["skipped", "why"], [[entry["path"], entry["reason"]] for entry in self.skipped])
        show.table(
            ["invariant", "", "what was compared"],
            [[entry["id"], "holds" if entry["ok"] else "BROKEN", entry["detail"]] for entry in self.invariants],
        )
        show.line(self.last_line, "bold")

    def _show_proposed(self, show: Any) -> None:
        if not self.proposed:
            return
        unsure = sorted(self.proposed, key=lambda proposal: proposal.confidence)
        show.table(
            ["confidence", "table", "row", "why"],
            [
                [f"{proposal.confidence:.1f}", proposal.table, _short(proposal.row), proposal.because]
                for proposal in unsure
                if proposal.table != "items" or proposal.confidence < 0.8
            ],
            "Proposed rules, the least sure first (items that are plainly goods left out; --write-rules saves all)",
        )


def _short(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("store", "from"))


def _order_row(order: Mapping[str, Any], show: Any) -> list[Any]:
    stands: Counter[str] = Counter()
    for document in order["documents"]:
        stands[document["kind"]] += document["amount_minor"]
    amounts = ", ".join(f"{kind} {amount}" for kind, amount in stands.items() if amount and kind != "application")
    failed = [proof["name"] for proof in order["proof"] if not proof["ok"]]
    total = show.amount({"amount_minor": order["total_minor"], "currency": order["currency"]})
    return [order["order"], order["reading"], total, len(order["documents"]), amounts, ", ".join(failed) or "hold"]


def invariant(name: str, broken: Sequence[str], detail: str) -> dict[str, Any]:
    """One line: holds where nothing is broken, else with the first that is."""
    return {"id": name, "ok": not broken, "detail": detail if not broken else f"{detail}; not so: {broken[0]}"}


def judge_orders(orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """I1 and I2 over the orders as reported."""
    lost = [order["order"] for order in orders if not _ends_once(order)]
    unbalanced = [
        f"{order['order']} {document}" for order in orders for document in _unbalanced_documents(order["journal"])
    ]
    return [
        invariant("I1", lost, "each accepted order has one standing sales order or an open case, every other nothing"),
        invariant("I2", unbalanced, "debits = credits in every document, in its currency and in the book currency"),
    ]


def _ends_once(order: Mapping[str, Any]) -> bool:
    standing = sum(
        -1 if document["reverses"] else 1 for document in order["documents"] if document["kind"] == "sales_order"
    )
    if order["reading"] in ("posted", "cancelled", "closed"):
        return standing == 1 and not order["cases"]
    if order["reading"] == "parked":
        return standing in (0, 1) and bool(order["cases"])
    return standing == 0


def _unbalanced_documents(journal: Sequence[Mapping[str, Any]]) -> list[str]:
    sums: dict[str, list[int]] = {}
    for line in journal:
        total = sums.setdefault(line["document"], [0, 0])
        total[0] += line["debit_minor"] - line["credit_minor"]
        total[1] += line["book_debit_minor"] - line["book_credit_minor"]
    return [document for document, total in sums.items() if any(total)]


def judge_books(engine: Balances, erp: Balances) -> tuple[dict[str, Any], int]:
    """I3's second half: the engine's journal = the ERP's ledger by entity, role and currency; and what remains."""
    apart = []
    remainder = 0
    for key in sorted(set(engine) | set(erp)):
        ours, theirs = engine.get(key, (0, 0)), erp.get(key, (0, 0))
        if ours != theirs:
            apart.append(f"{key[1]} {key[2]} of {key[0]}: engine {ours[0]}, ERP {theirs[0]}")
            remainder += abs(ours[1] - theirs[1]) or abs(ours[0] - theirs[0])
    return invariant(
        "I3", apart, f"journal = ledger over {len(set(engine) | set(erp))} roles and currencies"
    ), remainder
