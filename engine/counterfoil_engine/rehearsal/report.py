"""What a rehearsal came to: each order's documents, journal, proof and cases, and the invariants over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from counterfoil_engine.work.propose import Proposal

READINGS = ("posted", "waiting", "cancelled", "filtered", "parked", "closed")
# What is shown of much: a rehearsal of a year's orders still ends on one screen or two.
ORDERS_SHOWN_MAX, PROPOSED_SHOWN_MAX, CAUSES_SHOWN_MAX, SKIPPED_SHOWN_MAX = 50, 25, 30, 8
_COLUMNS = {
    "ordered": "sales_order",
    "paid": "payment",
    "gift cards": "tender",
    "invoiced": "invoice",
    "credited": "credit_note",
    "refunded": "refund_payment",
}
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
            f" remainder {Decimal(self.remainder_minor).scaleb(-2):.2f}"
        )

    @property
    def first_line(self) -> str:
        """The answer, before anything else."""
        broken = [invariant["id"] for invariant in self.invariants if not invariant["ok"]]
        if broken:
            return f"Not everything ended right: {', '.join(broken)} broken (see below)."
        if not self.orders:
            return "No order was found in what was named."
        parked = sum(order["reading"] == "parked" for order in self.orders)
        rest = f"; {parked} as an explained case" if parked else ""
        return f"Every order ended right: none lost, none twice, not a cent off{rest}."

    def show(self, show: Any) -> None:
        """For a person: the answer, the cases, the orders, what was assumed and skipped, the invariants, the sum.
        show: `cli.show`."""
        show.line(self.first_line, "bold green" if self.holds else "bold red")
        causes = _causes(self.orders)
        show.cases(causes[:CAUSES_SHOWN_MAX])
        if len(causes) > CAUSES_SHOWN_MAX:
            show.line(f"… and {len(causes) - CAUSES_SHOWN_MAX} more causes (--json has all).")
        self._show_orders(show)
        self._show_proposed(show)
        self._show_skipped(show)
        show.table(
            ["invariant", "", "what was compared"],
            [[entry["id"], "holds" if entry["ok"] else "BROKEN", entry["detail"]] for entry in self.invariants],
        )
        show.line(self.last_line, "bold")

    def _show_orders(self, show: Any) -> None:
        """Those that a person should look at first; of many, not all."""
        rows = sorted(self.orders, key=lambda order: not _is_remarkable(order))[:ORDERS_SHOWN_MAX]
        show.table(
            ["order", "reading", "total", *_COLUMNS, "proofs"],
            [_order_row(order, show) for order in rows],
            "Orders",
            right=["total", *_COLUMNS],
        )
        if len(self.orders) > len(rows):
            show.line(f"… and {len(self.orders) - len(rows)} more (--json has all).")

    def _show_proposed(self, show: Any) -> None:
        unsure = sorted(
            (row for row in self.proposed if row.table != "items" or row.confidence < 0.8),
            key=lambda proposal: proposal.confidence,
        )
        if not unsure:
            return
        show.table(
            ["sure", "table", "row", "why"],
            [
                [f"{row.confidence:.1f}", row.table, show.fields(_short(row.row)), row.because]
                for row in unsure[:PROPOSED_SHOWN_MAX]
            ],
            "Rules assumed, the least sure first (items that are plainly goods left out; --write-rules saves all)",
        )
        if len(unsure) > PROPOSED_SHOWN_MAX:
            show.line(f"… and {len(unsure) - PROPOSED_SHOWN_MAX} more, surer ones.")

    def _show_skipped(self, show: Any) -> None:
        """One line a reason, with the first files."""
        by_reason: dict[str, list[str]] = {}
        for entry in self.skipped:
            by_reason.setdefault(entry["reason"].split(", in a list of")[0], []).append(Path(entry["path"]).name)
        if by_reason:
            show.line(f"Skipped, {len(self.skipped)} in all:", "bold")
        for reason, names in list(by_reason.items())[:SKIPPED_SHOWN_MAX]:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            show.line(f"  {reason}: {', '.join(names[:3])}{more}")
        if len(by_reason) > SKIPPED_SHOWN_MAX:
            show.line(f"  … and for {len(by_reason) - SKIPPED_SHOWN_MAX} other reasons (--json has all).")


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("store", "from")}


def _causes(orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Cases of one cause together, as a person wants to end them; the most orders first."""
    together: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for order in orders:
        for case in order["cases"]:
            together.setdefault(repr((case["category"], case["cause"], case["rows"])), []).append(
                (order["order"], case)
            )
    shown: list[dict[str, Any]] = []
    for held in sorted(together.values(), key=len, reverse=True):
        name, case = held[0]
        shown.append({**case, "subject": name, "subjects": len(held) if len(held) > 1 else None})
    return shown


def _is_remarkable(order: Mapping[str, Any]) -> bool:
    return bool(order["cases"]) or order["reading"] == "waiting" or not all(proof["ok"] for proof in order["proof"])


def _order_row(order: Mapping[str, Any], show: Any) -> list[Any]:
    stands: Counter[str] = Counter()
    for document in order["documents"]:
        stands[document["kind"]] += document["amount_minor"]
    currency = order["currency"]
    amounts = [show.amount({"amount_minor": stands[kind] or None, "currency": currency}) for kind in _COLUMNS.values()]
    failed = [proof["name"] for proof in order["proof"] if not proof["ok"]]
    total = show.amount({"amount_minor": order["total_minor"], "currency": currency})
    return [order["order"], order["reading"], total, *amounts, ", ".join(failed) or "hold"]


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
