"""A month as it will happen, by a seed: every order's life, every statement of a gateway, every planted error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from month.gateways import PaypalFile, StripeFile, paypal_files, stripe_payouts
from month.lives import END, Cards, Life, Txn, begin, live
from month.world import FIRST, LAST, SAYS_FEES, START, STORES

FIRST_ID = 1001


@dataclass(frozen=True, order=True)
class Planted:
    """An error that was planted: its kind (`errors.py`), and what it is about, as a finding would name it."""

    kind: str
    about: str


@dataclass
class Plan:
    """All of it. planted grows as errors are planted; extra: what gateways' books have beside the orders' lives."""

    seed: int
    lives: list[Life]
    cards: Cards
    planted: list[Planted] = field(default_factory=list)
    stripe: list[StripeFile] = field(default_factory=list)
    paypal: list[PaypalFile] = field(default_factory=list)

    def txns(self, source: str) -> list[Txn]:
        return [txn for life in self.lives for txn in life.money if txn.source == source]

    def note(self, kind: str, about: str) -> None:
        self.planted.append(Planted(kind, about))

    def report(self) -> None:
        """Let the gateways write their statements, of what their books have by now."""
        days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
        for source in ("stripe", "stripe-us"):
            payouts = stripe_payouts(source, self.txns(source))
            self.stripe += [StripeFile(payout, has_total=source in SAYS_FEES) for payout in payouts]
        for source in ("paypal", "paypal-us"):
            self.paypal += paypal_files(source, self.txns(source), days)


def planned(seed: int, orders: int) -> Plan:
    """So many orders over the month, and nothing planted yet."""
    random = Random(seed)
    length_s = int((END - START - timedelta(hours=8)).total_seconds())
    moments = sorted(START + timedelta(seconds=random.randrange(length_s)) for _ in range(orders))
    cards, ids = Cards(), {store.id: FIRST_ID for store in STORES}
    lives = []
    for created in moments:
        store = random.choices(STORES, (4, 3, 3, 2))[0]
        lives.append(live(begin(Random(random.getrandbits(64)), store, ids[store.id], created, cards)))
        ids[store.id] += 1
    return Plan(seed, lives, cards)


def days() -> Iterator[tuple[datetime, datetime]]:
    """Each day of the month, and three more for what comes late: from, until."""
    begins = START - timedelta(hours=12)
    for n in range((LAST - FIRST).days + 4):
        yield begins + timedelta(days=n), begins + timedelta(days=n + 1)
