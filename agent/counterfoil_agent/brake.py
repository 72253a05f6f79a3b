"""The brake: numbers that would take much of the catalogue, or of the best sellers, to zero at once wait for a person.

A feed that went wrong (an empty warehouse file, a wrong rule) looks just like a sale of everything. Only what would go
to zero waits; all other numbers are written on. A number that comes right by itself takes its part of the brake away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from counterfoil_agent.config import StockSettings
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.stock_book import StockBook

RELEASED = "stock:brake-released"  # up to this version a person has let numbers go to zero
TOGETHER = timedelta(minutes=1)


@dataclass(frozen=True)
class Held:
    """How much would go to zero: SKUs, of how many; best sellers, of how many."""

    skus: int
    of_skus: int
    best: int
    of_best: int

    def sentence(self) -> str:
        return (
            f"{self.skus} of {self.of_skus} SKUs, {self.best} of the {self.of_best} best sellers among them, would go"
            " to zero within a minute, so these wait."
        )


def held(outbox: Outbox, settings: StockSettings, now: datetime) -> Held | None:
    """Why numbers that go to zero wait; None: they go on."""
    book, above = StockBook(outbox), released(outbox)
    waiting = book.zeroing(above)
    if not waiting:
        return None
    skus = {*waiting, *book.zeroed((now - TOGETHER).timestamp(), above)}
    if len(skus) < settings.brake_from:
        return None
    best = book.best_sellers(settings.best_sellers)
    found = Held(len(skus), book.goes_count(), len(skus & set(best)), len(best))
    is_much = found.skus > settings.brake_share * found.of_skus
    is_best = found.best > max(settings.brake_best_share * found.of_best, settings.brake_from - 1)
    return found if is_much or is_best else None


def released(outbox: Outbox) -> int:
    return int(outbox.recall(RELEASED) or 0)


def release(outbox: Outbox) -> None:
    """A person has looked: what waits now may go to zero. What comes later is judged anew."""
    outbox.remember(RELEASED, str(StockBook(outbox).feed_place()[0]))
