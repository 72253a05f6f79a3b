"""Tax of the month by treatment, jurisdiction and rate, three ways: the store, the engine, the ERP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from builders import Json
from counterfoil_engine.demo.proof import minor
from counterfoil_engine.domain.postings import tax_role

from month.ledgers import Ledgers, Posted, TheirDocument
from month.lives import Life
from month.run import Month
from month.world import STORES

KEPT = ("on-hold", "processing", "completed")
UNTAXED = "no tax: export"
OUTSIDE = "no tax: gift cards"
_TREATMENT = {"FR": "oss", "HU": "oss"}
ENTITY = {store.id: store.entity for store in STORES}


@dataclass
class TaxLine:
    """One rate in one currency, minor units. store: what its orders bear less what its refunds give back; reduced: what
    the engine took off for refunds by amount, of which the store takes no tax; open: on goods that are not shipped.

    explained: of what the ERP has more, what breaks explain."""

    entity: str
    role: str
    currency: str
    store_minor: int = 0
    reduced_minor: int = 0
    open_minor: int = 0
    engine_minor: int = 0
    erps_minor: int = 0
    explained_minor: int = 0
    base_minor: int = 0
    erps_base_minor: int = 0
    base_explained_minor: int = 0

    @property
    def rounding_minor(self) -> int:
        """What the store's tax lines say otherwise than its total, which was charged."""
        return self.store_minor - self.reduced_minor - self.engine_minor - self.open_minor

    @property
    def remainder_minor(self) -> int:
        tax = self.erps_minor - self.engine_minor - self.explained_minor
        return abs(tax) + abs(self.erps_base_minor - self.base_minor - self.base_explained_minor)


@dataclass
class Taxes:
    """lines: by entity, role and currency. rounded: by entity and currency, how far stores' tax lines are apart from
    their totals, order by order; orders_rounded: how many are."""

    lines: list[TaxLine] = field(default_factory=list)
    rounded: dict[tuple[str, str], int] = field(default_factory=dict)
    orders_rounded: int = 0

    @property
    def remainder_minor(self) -> int:
        """What is left of the ERP's differences; and of the store's, what its own rounding doesn't come to."""
        apart: dict[tuple[str, str], int] = defaultdict(int)
        for line in self.lines:
            apart[line.entity, line.currency] += line.rounding_minor
        places = {*apart, *self.rounded}
        own = sum(abs(apart.get(place, 0) - self.rounded.get(place, 0)) for place in places)
        return own + sum(line.remainder_minor for line in self.lines)


def taxes(month: Month, ledgers: Ledgers) -> Taxes:
    found: dict[tuple[str, str, str], TaxLine] = {}

    def line(entity: str, role: str, currency: str) -> TaxLine:
        return found.setdefault((entity, role, currency), TaxLine(entity, role, currency))

    result = Taxes()
    for life in month.plan.lives:
        _store(life, result, line)
    for each in ledgers.posted:
        _engine(each, line)
    broken = {(entity, each.key, each.number) for entity, each in ledgers.all_breaks()}
    for document in ledgers.documents:
        _erp(document, line, broken)
    _explained(ledgers, line)
    result.lines = [found[place] for place in sorted(found)]
    return result


Lines = Any  # entity, role, currency → its TaxLine


def role_of(tax_line: Mapping[str, Any]) -> str:
    """The role of a rate of the store's, by its code and percentage alone."""
    code = str(tax_line["rate_code"])
    place = next(name for name in ("DE", "FR", "HU", "GB", "US-CA", "US-NY", "CA-QC") if code.startswith(name))
    percent = format(Decimal(str(tax_line["rate_percent"])).normalize(), "f")
    return f"tax:{_TREATMENT.get(place, 'domestic')}:{place}:{percent}"


def _store(life: Life, result: Taxes, line: Lines) -> None:
    """By its tax lines, and by its refunds' lines."""
    order = life.snapshots[-1][1] if life.snapshots else None
    if order is None or order["status"] not in KEPT:
        return
    entity, currency = ENTITY[life.store.id], order["currency"]
    roles = {each["rate_id"]: role_of(each) for each in order["tax_lines"]}
    said = 0
    for each in order["tax_lines"]:
        tax = minor(each["tax_total"], currency) + minor(each["shipping_tax_total"], currency)
        line(entity, roles[each["rate_id"]], currency).store_minor += tax
        said += tax
    apart = said - minor(order["total_tax"], currency)
    result.rounded[entity, currency] = result.rounded.get((entity, currency), 0) + apart
    result.orders_rounded += apart != 0
    for tax_line in _refunded(life.snapshots[-1][2]):
        line(entity, roles[tax_line["id"]], currency).store_minor += minor(tax_line["total"], currency)


def _refunded(refunds: list[Json]) -> Iterator[Mapping[str, Any]]:
    for refund in refunds:
        for name in ("line_items", "shipping_lines", "fee_lines"):
            for each in refund[name]:
                yield from each["taxes"]


def _engine(each: Posted, line: Lines) -> None:
    """Invoiced less credited; what is ordered and not yet invoiced; price reductions of refunds by amount."""
    document, kind = each.document, each.document.kind
    sign = each.sign * {"invoice": 1, "credit_note": -1}.get(kind, 0)
    is_by_shipment = each.entity == "DE01"
    left = each.sign * {"sales_order": 1, "cancellation": -1, "invoice": -1}.get(kind, 0) if is_by_shipment else 0
    for row in each.lines:
        for tax in row.get("taxes", ()):
            its = line(each.entity, tax_role(tax), document.currency)
            its.engine_minor += sign * tax["tax_minor"]
            its.base_minor += sign * row["net_minor"]
            its.open_minor += left * tax["tax_minor"]
            if row["type"] == "allowance" and kind in ("credit_note", "cancellation"):
                its.reduced_minor += each.sign * tax["tax_minor"]
        if sign and not row["taxes"]:
            line(each.entity, _untaxed(row), document.currency).base_minor += sign * row["net_minor"]


def _untaxed(row: Mapping[str, Any]) -> str:
    return OUTSIDE if row["class"] == "gift_cards" else UNTAXED


def _erp(document: TheirDocument, line: Lines, broken: set[tuple[str, str | None, str]]) -> None:
    """Bases by its own documents; those that break say what they explain."""
    sign = document.sign * {"invoice": 1, "credit_note": -1}.get(document.kind, 0)
    is_broken = (document.entity, document.key, document.number) in broken or any(
        (entity, number) == (document.entity, document.number) for entity, _, number in broken
    )
    for role, net in _bases(document.body if sign else {}):
        its = line(document.entity, role, document.currency)
        its.erps_base_minor += sign * net
        if is_broken:
            its.base_explained_minor += sign * net


def _bases(body: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for row in body.get("lines", ()):
        for tax in row["taxes"]:
            yield tax_role(tax), row["net_minor"]
        if not row["taxes"]:
            yield _untaxed(row), row["net_minor"]


def _explained(ledgers: Ledgers, line: Lines) -> None:
    by_key = {each.key: each for each in ledgers.posted}
    for entity in ledgers.theirs:
        for booked in ledgers.theirs[entity]:
            for (role, currency), (amount, _) in booked.net.items():
                if role.startswith("tax:"):
                    line(entity, role, currency).erps_minor -= amount
    for entity, each in ledgers.all_breaks():
        for (role, currency), (amount, _) in each.effect.items():
            if role.startswith("tax:"):
                line(entity, role, currency).explained_minor -= amount
        if each.kind in ("missing", "other accounts", "other amount") and each.key:
            ours = by_key[each.key]
            sign = ours.sign * {"invoice": 1, "credit_note": -1}.get(ours.document.kind, 0)
            for role, net in _bases(ours.document.body if sign else {}):
                line(entity, role, ours.document.currency).base_explained_minor -= sign * net
