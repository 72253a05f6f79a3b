"""Gift cards and sales of the month, three ways: the store's own word, the engine's documents, the ERP's ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from counterfoil_engine.demo.proof import minor

from month.ledgers import Ledgers
from month.lives import Life
from month.run import Month
from month.taxes import ENTITY, KEPT

FIGURES = ("sold", "used", "given back")
_FIGURE = {"invoice": "sold", "credit_note": "taken back"}


@dataclass(frozen=True)
class CardLine:
    """The roll-forward of what gift cards are owed, in one currency; minor units, a liability positive."""

    entity: str
    currency: str
    figures: Mapping[str, int]
    stores: Mapping[str, int]
    erps_minor: int
    explained_minor: int

    @property
    def closing_minor(self) -> int:
        return self.figures["sold"] - self.figures["used"] + self.figures["given back"]

    @property
    def remainder_minor(self) -> int:
        own = sum(abs(self.figures[name] - self.stores.get(name, 0)) for name in FIGURES)
        return own + abs(self.erps_minor - self.closing_minor - self.explained_minor)


def card_lines(month: Month, ledgers: Ledgers) -> list[CardLine]:
    moved: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(FIGURES, 0))
    for each in ledgers.posted:
        for line in (line for line in each.document.journal if line.role == "gift_cards"):
            owed = line.credit_minor - line.debit_minor
            is_used = each.document.kind == "tender" and each.document.amount_minor > 0
            figure = "used" if is_used else "given back" if each.document.kind == "tender" else "sold"
            moved[each.entity, each.document.currency][figure] += -owed if figure == "used" else owed
    found = []
    for entity, currency in sorted(moved):
        place = ("gift_cards", currency)
        stores = {name: month.plan.cards.figures.get((entity, currency, name), 0) for name in FIGURES}
        erps = -sum(each.net.get(place, (0, 0))[0] for each in ledgers.theirs[entity])
        explained = -sum(each.effect.get(place, (0, 0))[0] for each in ledgers.breaks[entity])
        found.append(CardLine(entity, currency, moved[entity, currency], stores, erps, explained))
    return found


@dataclass(frozen=True)
class Sales:
    """Gross value that stays sold, in one currency; open: ordered and not yet invoiced."""

    entity: str
    currency: str
    store_minor: int
    engine_minor: int
    open_minor: int
    erps_minor: int
    explained_minor: int

    @property
    def remainder_minor(self) -> int:
        own = self.store_minor - self.engine_minor - self.open_minor
        return abs(own) + abs(self.erps_minor - self.engine_minor - self.explained_minor)


def sales(month: Month, ledgers: Ledgers) -> list[Sales]:
    store: dict[tuple[str, str], int] = defaultdict(int)
    for life in month.plan.lives:
        store[ENTITY[life.store.id], life.market.currency] += kept_minor(life)
    engine: dict[tuple[str, str], int] = defaultdict(int)
    left: dict[tuple[str, str], int] = defaultdict(int)
    for each in ledgers.posted:
        document, place = each.document, (each.entity, each.document.currency)
        amount = each.sign * document.amount_minor
        engine[place] += amount * {"invoice": 1, "credit_note": -1}.get(document.kind, 0)
        if each.entity == "DE01":
            left[place] += amount * {"sales_order": 1, "cancellation": -1, "invoice": -1}.get(document.kind, 0)
    erp: dict[tuple[str, str], int] = defaultdict(int)
    signs = {"invoice": 1, "credit_note": -1}
    for entity, entries in ledgers.theirs.items():
        for booked in entries:
            erp[entity, booked.currency] += booked.amount_minor * signs.get(booked.kind, 0)
    explained: dict[tuple[str, str], int] = defaultdict(int)
    for entity, found in ledgers.all_breaks():
        explained[entity, found.currency] += signs.get(found.document, 0) * (
            0 if found.kind == "other accounts" else found.amount_minor
        )
    return [
        Sales(*place, store[place], engine[place], left[place], erp[place], explained[place])
        for place in sorted({*store, *engine})
    ]


def kept_minor(life: Life) -> int:
    """By the store's own word: its total and what gift cards paid of it, less refunds; nothing once it is cancelled."""
    order = life.snapshots[-1][1] if life.snapshots else None
    if order is None or order["status"] not in KEPT:
        return 0
    currency = order["currency"]
    cards = sum(-minor(fee["total"], currency) for fee in order["fee_lines"] if fee["name"].startswith("Gift card"))
    refunded = sum(-minor(refund["total"], currency) for refund in order["refunds"])
    return minor(order["total"], currency) + cards - refunded
