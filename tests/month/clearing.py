"""The clearing of each gateway, rolled forward over the month, tied to the ERP and taken apart item by item."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from counterfoil_engine.domain.settlement.open_items import OpenItem, never_came
from counterfoil_engine.domain.settlement.roll_forward import FIGURES, posted_movements, roll_forward
from counterfoil_engine.records import open_items

from month.ledgers import Ledgers
from month.run import Month
from month.world import BOOK, GATEWAYS

WAITS_DAYS = 4  # from a charge to the report that it must be in, by any clock


@dataclass(frozen=True)
class Clearing:
    """One gateway and currency. figures: as `roll_forward` names them; held: what the gateway's daily statements leave
    with it; reasons: open items by why they are open, amounts; unreasoned: what none of them explains."""

    entity: str
    gateway: str
    currency: str
    opening_minor: int
    figures: Mapping[str, int]
    closing_minor: int
    erps_minor: int
    explained_minor: int
    held_minor: int
    reasons: Mapping[str, int]

    @property
    def remainder_minor(self) -> int:
        """Of the difference to the ERP, and of the closing balance, what nothing explains."""
        erp = self.erps_minor - self.closing_minor - self.explained_minor
        items = self.closing_minor - self.held_minor - sum(self.reasons.values())
        return abs(erp) + abs(items) + abs(self.reasons.get(OLD, 0))


NEVER, BANK, PARKED, NEXT, OLD = (
    "never came to the gateway",
    "waits for the bank or the carrier",
    "in a report that is parked",
    "waits for the next report",
    "old, and in no report",
)


def clearings(month: Month, ledgers: Ledgers) -> list[Clearing]:
    with month.chain.database.transaction() as tx:
        items = {entity: open_items.of_entity(tx, entity) for entity in BOOK}
        held, heard = open_items.held(tx), open_items.heard(tx)
        last = {
            (row["source"], row["currency"]): date.fromisoformat(row["last"])
            for row in tx.all(
                "select source, currency, max(paid_on) as last from payout_reports where stands = 1"
                " group by source, currency"
            )
        }
        parked = {
            row["subject"].removeprefix("payouts ")
            for row in tx.all("select subject from cases where resolved_at is null and subject like 'payouts %%'")
        }
    found = []
    for entity in sorted(BOOK):
        days = roll_forward(
            posted_movements([each.document for each in ledgers.posted if each.entity == entity]), {}, {}
        )
        missing = {item.slot for item in never_came(items[entity], heard)}
        for gateway, currency in sorted({(day.gateway, day.currency) for day in days}):
            own = [day for day in days if (day.gateway, day.currency) == (gateway, currency)]
            place = (f"clearing:{gateway}:{currency}", currency)
            open_now = [item for item in items[entity] if (item.source, item.currency) == (gateway, currency)]
            reasons: dict[str, int] = defaultdict(int)
            announced = max((item.day for item in open_now if item.kind == "payout"), default=None)
            is_parked = any(name == gateway for name, _ in held) and gateway in parked
            for item in open_now:
                is_in_it = is_parked or (announced is not None and item.day <= announced)
                reasons[_why(item, missing, last, is_in_it)] += item.amount_minor
            found.append(
                Clearing(
                    entity,
                    gateway,
                    currency,
                    own[0].opening_minor,
                    {name: sum(day.figures[name] for day in own) for name in FIGURES},
                    own[-1].closing_minor,
                    _erps(ledgers, entity, place),
                    sum(each.effect.get(place, (0, 0))[0] for each in ledgers.breaks[entity]),
                    held.get((gateway, currency), 0),
                    dict(reasons),
                )
            )
    return found


def _why(item: OpenItem, missing: set[str], last: Mapping[tuple[str, str], date], is_parked: bool) -> str:
    """is_parked: a payout of that currency was announced since and its report isn't read, or a statement is parked."""
    if item.source not in GATEWAYS:
        return BANK
    if item.slot in missing:
        return NEVER
    if is_parked:
        return PARKED
    reported = last.get((item.source, item.currency))
    if reported is None or item.day > reported - timedelta(days=WAITS_DAYS):
        return NEXT
    return OLD


def _erps(ledgers: Ledgers, entity: str, place: tuple[str, str]) -> int:
    return sum(each.net.get(place, (0, 0))[0] for each in ledgers.theirs[entity])


def missing_payments(month: Month) -> Sequence[OpenItem]:
    """The payments that gateways never had."""
    with month.chain.database.transaction() as tx:
        heard = open_items.heard(tx)
        return [item for entity in sorted(BOOK) for item in never_came(open_items.of_entity(tx, entity), heard)]
