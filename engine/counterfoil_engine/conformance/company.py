"""The company for trials that the kit posts into: what it is called there, and what has to be set up in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, get_type_hints

from counterfoil_engine.domain.errors import CounterfoilError, Parked
from counterfoil_engine.domain.money import decimals

# Units of a currency for one euro: where the ERP knows no rate, some rate is as good as another.
SOME_RATES: Mapping[str, str] = {"EUR": "1", "JPY": "161.37", "KWD": "0.3341", "USD": "1.0837", "GBP": "0.8412"}


@dataclass(frozen=True)
class Company:
    """What the settings file says in [company].

    entity, book_currency: the company's. currencies: that documents are posted in; with another than the book currency
    among them. store: under whose name keys are made. item, item_class: goods that are there, and their class of
    revenue. gateway, method: of payments. country: where goods go. jurisdiction, rates: two rates of domestic tax,
    in percent. closed_day: a day of a closed period; None: none is there. day: that documents are posted on; None:
    today, or the first open day after it. stock: rows as `GET /v1/positions` gives them, which the warehouses hold
    exactly. least_documents_per_s: slower than that is too slow.
    """

    entity: str = "TRIAL"
    book_currency: str = "EUR"
    currencies: tuple[str, ...] = ("EUR", "JPY", "KWD", "USD")
    store: str = "check"
    item: str = "CHECK-1"
    item_class: str = "goods"
    gateway: str = "stripe"
    method: str = "card"
    country: str = "DE"
    jurisdiction: str = "DE"
    rates: tuple[str, ...] = ("19", "7")
    closed_day: date | None = None
    day: date | None = None
    least_documents_per_s: Decimal = Decimal("0.2")
    stock: tuple[Mapping[str, Any], ...] = field(default=())

    def tax_roles(self) -> list[str]:
        return [f"tax:domestic:{self.jurisdiction}:{rate}" for rate in self.rates]

    def roles(self) -> list[str]:
        """Every role that the kit books on: each needs an account there."""
        by_currency = [f"clearing:{self.gateway}:{currency}" for currency in self.currencies]
        return sorted(
            [
                *(
                    "receivable",
                    "deposits",
                    "refunds_owed",
                    "revenue:shipping",
                    "revenue:fees",
                    "allowances",
                    "gift_cards",
                ),
                *("gateway_fees", "disputed", "payment_differences", "fx_gain", "fx_loss"),
                *(f"revenue:{self.item_class}", f"returns:{self.item_class}", f"in_transit:{self.gateway}"),
                *by_currency,
                *self.tax_roles(),
            ]
        )


def company_of(table: Mapping[str, Any]) -> Company:
    """A company as the settings file has it. Raises CounterfoilError that names what is wrong."""
    kinds, read = get_type_hints(Company), dict[str, Any]()
    known = [each.name for each in fields(Company)]
    for name, value in table.items():
        if name not in known:
            raise _wrong(f"[company] has no {name!r}.", f"It may have: {', '.join(known)}.")
        read[name] = _read(name, value, kinds[name])
    company = Company(**read)
    if len(company.rates) != 2 or not company.currencies or len(company.currencies) > 10:
        raise _wrong("[company] needs two rates, and from 1 to 10 currencies.", 'Write rates = ["19", "7"].')
    try:
        for currency in (company.book_currency, *company.currencies):
            decimals(currency)
    except Parked as unknown:
        raise _wrong(f"[company]: {unknown.cause}", "Write its three letters, as ISO 4217 has them.") from None
    return company


def _read(name: str, value: Any, kind: Any) -> Any:
    """A value as its field wants it."""
    if kind is str and isinstance(value, str) and 1 <= len(value) <= 80 and value.isprintable():
        return value
    if kind is Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal(-1)
        if number.is_finite() and number >= 0:
            return number
    if kind == date | None and type(value) is date:
        return value
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) <= 1_000:
        row = Mapping if name == "stock" else str
        if kind not in (str, Decimal, date | None) and all(isinstance(each, row) for each in value):
            return tuple(value)
    examples = {"stock": '[{warehouse = "BER", sku = "CHECK-1", on_hand = "10"}]', "currencies": '["EUR", "USD"]'}
    example = examples.get(name, "2020-01-31" if kind == date | None else "a text")
    raise _wrong(f"[company]: {name} is {str(value)[:60]!r}.", f"Write it like {name} = {example}.")


def _wrong(cause: str, remedy: str) -> CounterfoilError:
    return CounterfoilError(cause, remedy, "contract")
