"""Errors as the trade meets them, planted into a month: at the gateway, in its reports, in the warehouse, in the ERP.

Each is noted under its kind and what it is about, to be compared with what the shipped checks find by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from counterfoil_engine.domain.tie_out import Booked
from counterfoil_sandbox.erp_by_hand import ByHand
from counterfoil_sandbox.erp_journal import Line

from month.gateways import StripeFile
from month.lives import END, Life, goods, pay_back, ship
from month.plan import Plan
from month.run import Month
from month.world import BOOK, LAST

LINE_MISSING = "a payout's line is missing"
OTHER_CURRENCY = "a payout is in another currency"
FEE_TWICE = "a fee is taken twice"
NEVER_CAME = "a payment never came to the gateway"
REFUNDED_ALONE = "a refund was made at the gateway alone"
SHIPPED_MORE = "more was shipped than ordered"
DELETED = "a document was deleted in the ERP"
DOUBLED = "a document was doubled in the ERP"
OTHER_TAX = "a tax code is wrong in the ERP"
ON_CONTROL = "a manual journal on a control account"
KINDS = (
    *(LINE_MISSING, OTHER_CURRENCY, FEE_TWICE, NEVER_CAME, REFUNDED_ALONE, SHIPPED_MORE),
    *(DELETED, DOUBLED, OTHER_TAX, ON_CONTROL),
)
_EARLY, _LATE = datetime(2026, 11, 6, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)


class Spoiler:
    """Plants so many errors of each kind that is wanted; no order and no statement bears two."""

    def __init__(self, plan: Plan, kinds: Iterable[str], each: int) -> None:
        self.plan, self.kinds, self.each = plan, frozenset(kinds), each
        self._random = Random(plan.seed + 1)
        self._spoilt: set[str] = set()

    def before_reports(self) -> None:
        """What the gateways' books and the warehouses have otherwise than the store."""
        self._some(REFUNDED_ALONE, self._plain("stripe"), _refund_alone)
        self._some(NEVER_CAME, [*self._plain("paypal"), *self._plain("stripe")], _never_came)
        self._some(SHIPPED_MORE, [life for life in self._plain() if life.has_wms], _ship_more)
        self._some(FEE_TWICE, self._plain("stripe"), self._take_twice)

    def after_reports(self) -> None:
        """What the statements say otherwise than the books."""
        statements: list[StripeFile] = [
            file for file in self.plan.stripe if len(file.payout.txns) > 2 and file.payout.id not in self._spoilt
        ]
        dirty = {txn.id for life in self.plan.lives for txn in life.money if txn.category == "fee"}
        clean = [file for file in statements if not dirty & {txn.id for txn in file.payout.txns}]
        self._random.shuffle(clean)
        count = self.each if LINE_MISSING in self.kinds else 0
        for file in clean[: (count + 1) // 2]:
            charge = next(row for row in file.rows if row["reporting_category"] == "charge")
            file.rows.remove(charge)
            self.plan.note(LINE_MISSING, f"{file.source}/{file.name}")
        daily = [file for file in self.plan.paypal if len(file.txns) > 2 and file.at > _EARLY]
        for statement in self._random.sample(daily, min(count // 2, len(daily))):
            statement.spoilt.add(statement.txns[0].id)
            self.plan.note(LINE_MISSING, f"{statement.source}/{statement.name}")
        for file in clean[(count + 1) // 2 :][: self.each if OTHER_CURRENCY in self.kinds else 0]:
            for row in file.rows:
                row["currency"] = "chf"
            self.plan.note(OTHER_CURRENCY, f"{file.source}/{file.name}")

    def in_the_erp(self, month: Month) -> None:
        """What an accountant did there by hand, and a tax code that somebody set up wrong."""
        by_hand = ByHand(month.chain.books)
        booked = [
            (name, each) for name in sorted(BOOK) for each in month.chain.erp.entries(name, LAST.replace(day=1), LAST)
        ]
        live = [(name, each) for name, each in booked if each.key and "/reversal" not in each.key and each.moved]
        undone = {
            (each.key or "").removesuffix("/reversal") for _, each in booked if (each.key or "").endswith("/reversal")
        }
        free = [(name, each) for name, each in live if each.key not in undone]
        self._random.shuffle(free)
        plants: tuple[tuple[str, Callable[[Booked], bool]], ...] = (
            (DELETED, lambda each: each.kind in ("invoice", "payment", "credit_note", "fee")),
            (DOUBLED, lambda each: each.kind == "invoice"),
            (OTHER_TAX, lambda each: each.kind == "invoice" and any(role.startswith("tax:") for role, _ in each.moved)),
        )
        for kind, fits in plants:
            for n, (name, each) in enumerate([pair for pair in free if fits(pair[1])][: self._count(kind)]):
                free.remove((name, each))
                self.plan.note(kind, _spoil(by_hand, kind, each, n))
        for n in range(self._count(ON_CONTROL)):
            name = sorted(BOOK)[n % 2]
            role = ("receivable", "deposits", f"clearing:stripe:{BOOK[name]}", "gift_cards")[n % 4]
            amount = self._random.randint(100, 90_000)
            lines = [Line("suspense", amount, 0, amount, 0), Line(role, 0, amount, 0, amount)]
            self.plan.note(
                ON_CONTROL, by_hand.book(name, LAST.replace(day=20), BOOK[name], BOOK[name], lines) + f" {name}"
            )

    def _count(self, kind: str) -> int:
        return self.each if kind in self.kinds else 0

    def _plain(self, method: str = "") -> list[Life]:
        """Orders that nothing else befell: paid early, shipped, kept."""
        return [
            life
            for life in self.plan.lives
            if life.status == "completed"
            and not life.refunds
            and (not method or life.method == method)
            and life.paid
            and _EARLY < life.paid < _LATE
            and life.now < END - timedelta(hours=30)
            and len(life.money) == bool(life.transaction)
            and life.total_minor()
            and not any(part.name.startswith(("Gift card", "GIFT")) for part in life.parts)
            and life.subject not in self._spoilt
        ]

    def _some(self, kind: str, lives: Sequence[Life], plant: Callable[[Life], str]) -> None:
        for life in self._random.sample(lives, min(self._count(kind), len(lives))):
            self._spoilt.add(life.subject)
            self.plan.note(kind, plant(life))

    def _take_twice(self, life: Life) -> str:
        charge = life.money[0]
        again = replace(
            charge,
            at=charge.at + timedelta(seconds=1),
            category="fee",
            id=f"fee2_{charge.id}",
            gross_minor=-charge.fee_minor,
            fee_minor=0,
        )
        life.money.append(again)
        return f"{life.source} {charge.id}"


def _refund_alone(life: Life) -> str:
    life.passes(hours=20)
    pay_back(life, None, life.total_minor())
    return life.subject


def _never_came(life: Life) -> str:
    """The store says that it was paid; the gateway has nothing of it."""
    life.money.clear()
    life.facts = [told for told in life.facts if told[1]["party"] != "gateway"]
    return life.subject


def _ship_more(life: Life) -> str:
    life.passes(hours=2)
    ship(life, "more", {next(iter(goods(life))): 1})
    return life.subject


def _spoil(by_hand: ByHand, kind: str, each: Booked, n: int) -> str:
    """Plant one into a document; what a finding of it would be about."""
    assert each.key
    if kind == DELETED:
        by_hand.delete(each.key)
        return each.key
    if kind == DOUBLED:
        return f"{each.key} {by_hand.copy(each.key, with_key=n % 2 == 0)}"
    role = next(role for role, _ in sorted(each.moved) if role.startswith("tax:"))
    _, treatment, jurisdiction, _ = role.split(":")
    by_hand.move(each.key, role, f"tax:{treatment}:{jurisdiction}:{'16' if n % 2 == 0 else '21.5'}")
    return each.key
