"""What gateways report of a month, in their true formats: Stripe's itemised payouts weekly, PayPal's statements daily.

Written from the gateways' own books (`lives.Txn`), by nothing that the engine reads by.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from month.lives import Txn

PAYOUT_DAYS = (date(2026, 11, 9), date(2026, 11, 16), date(2026, 11, 23), date(2026, 11, 30))
DELAY = timedelta(days=2)  # from a charge to the payout that it can be in
_STRIPE = (
    *("balance_transaction_id", "created_utc", "available_on_utc", "currency", "gross", "fee", "net"),
    *("reporting_category", "source_id", "charge_id", "payment_intent_id", "payment_metadata[order_id]", "description"),
    *("customer_facing_amount", "customer_facing_currency", "automatic_payout_id"),
    "automatic_payout_effective_at_utc",
)
_PAYPAL = (
    *("Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type", "Transaction Event Code"),
    *("Transaction Initiation Date", "Transaction Completion Date", "Transaction Debit or Credit"),
    *("Gross Transaction Amount", "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount", "Fee Currency"),
    *(
        "Custom Field",
        "Consumer ID",
        "Payment Tracking ID",
        "Store ID",
        "Bank Reference ID",
        "Credit Transactional Fee",
    ),
    *("Credit Promotional Fee", "Credit Term"),
)
_CODES = {"charge": "T0006", "refund": "T1107", "payout": "T0400"}


@dataclass(frozen=True)
class Payout:
    """A payout of Stripe's: what it settles, and what it pays."""

    source: str
    id: str
    currency: str
    on: date
    txns: tuple[Txn, ...]

    @property
    def net_minor(self) -> int:
        return sum(txn.gross_minor - txn.fee_minor for txn in self.txns)

    @property
    def at(self) -> datetime:
        return datetime.combine(self.on, time(6), UTC)


def stripe_payouts(source: str, txns: Iterable[Txn]) -> Iterator[Payout]:
    """Each week what is available by then, a payout for each currency; where that is not above 0 it waits."""
    waiting: dict[str, list[Txn]] = defaultdict(list)
    left = sorted(txns, key=lambda txn: txn.at)
    for day in PAYOUT_DAYS:
        until = datetime.combine(day, time(), UTC) - DELAY
        for txn in [txn for txn in left if txn.at < until]:
            waiting[txn.currency].append(txn)
        left = [txn for txn in left if txn.at >= until]
        for currency in sorted(waiting):
            payout = Payout(source, f"po_{source}-{day:%m%d}-{currency}", currency, day, tuple(waiting[currency]))
            if payout.net_minor > 0:
                waiting[currency] = []
                yield payout


@dataclass
class StripeFile:
    """The report of a payout; rows as they are written. has_total: it has the payout's own row."""

    payout: Payout
    has_total: bool
    rows: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = [_stripe_row(self.payout, txn) for txn in self.payout.txns]
        if self.has_total:
            self.rows.append(_stripe_total(self.payout))

    @property
    def source(self) -> str:
        return self.payout.source

    @property
    def at(self) -> datetime:
        return datetime.combine(self.payout.on, time(9), UTC)

    @property
    def name(self) -> str:
        return f"{self.payout.id}.csv"

    def fact(self) -> dict[str, object]:
        """What the gateway says of the payout at once, before anybody reads its report."""
        payout = self.payout
        return {
            **{"fact": "counterfoil.payout.v1", "party": "gateway", "source": self.source, "id": f"evt_{payout.id}"},
            **{"at": f"{payout.at:%Y-%m-%dT%H:%M:%S}Z", "store": None, "order": None, "payout": payout.id},
            **{"amount_minor": payout.net_minor, "currency": payout.currency, "paid_on": payout.on.isoformat()},
        }

    def written(self) -> bytes:
        text = io.StringIO()
        writer = csv.DictWriter(text, _STRIPE, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue().encode()


def _stripe_row(payout: Payout, txn: Txn) -> dict[str, str]:
    return {
        "balance_transaction_id": f"txn_{txn.id}",
        "created_utc": f"{txn.at:%Y-%m-%d %H:%M:%S}",
        "available_on_utc": f"{payout.on} 00:00:00",
        "currency": txn.currency.lower(),
        "gross": major(txn.gross_minor, txn.currency),
        "fee": major(txn.fee_minor, txn.currency),
        "net": major(txn.gross_minor - txn.fee_minor, txn.currency),
        "reporting_category": txn.category,
        "source_id": txn.id if txn.category != "fee" else "",
        "charge_id": txn.of,
        "payment_metadata[order_id]": txn.order,
        "description": f"Order {txn.order}",
        "customer_facing_amount": major(txn.gross_minor, txn.currency),
        "customer_facing_currency": txn.currency.lower(),
        "automatic_payout_id": payout.id,
        "automatic_payout_effective_at_utc": f"{payout.on} 00:00:00",
    }


def _stripe_total(payout: Payout) -> dict[str, str]:
    paid = major(-payout.net_minor, payout.currency)
    return {
        "balance_transaction_id": f"txn_{payout.id}",
        "created_utc": f"{payout.on} 00:00:00",
        "currency": payout.currency.lower(),
        "gross": paid,
        "fee": major(0, payout.currency),
        "net": paid,
        "reporting_category": "payout",
        "source_id": payout.id,
        "automatic_payout_id": payout.id,
        "automatic_payout_effective_at_utc": f"{payout.on} 00:00:00",
    }


def major(amount_minor: int, currency: str) -> str:
    """An amount as files write it, in major units."""
    return str(amount_minor) if currency == "JPY" else f"{Decimal(amount_minor) / 100:.2f}"


# PayPal


@dataclass
class PaypalFile:
    """One day's statement of one account: per currency what moved, from the opening balance to the closing one."""

    source: str
    on: date
    txns: list[Txn]
    opening: dict[str, int]
    spoilt: set[str] = field(default_factory=set)

    @property
    def at(self) -> datetime:
        return datetime.combine(self.on, time(4), UTC) + timedelta(days=1)

    @property
    def name(self) -> str:
        return f"{self.source}-{self.on}.csv"

    def closing(self) -> dict[str, int]:
        balances = dict(self.opening)
        for txn in self.txns:
            balances[txn.currency] = balances.get(txn.currency, 0) + txn.gross_minor - txn.fee_minor
        return balances

    def written(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        start, end = f"{self.on:%Y/%m/%d} 00:00:00 +0000", f"{self.on:%Y/%m/%d} 23:59:59 +0000"
        writer.writerow(["RH", end, "A", self.source, "009"])
        writer.writerow(["FH", "01"])
        writer.writerow(["SH", start, end, self.source, ""])
        writer.writerow(["CH", *_PAYPAL])
        shown = [txn for txn in self.txns if txn.id not in self.spoilt]
        writer.writerows(_paypal_row(txn) for txn in shown)
        footers = [_footer(self, currency) for currency in sorted({txn.currency for txn in self.txns})]
        writer.writerows(["SF", *footer] for footer in footers)
        writer.writerow(["SC", len(shown)])
        writer.writerows(["RF", *footer] for footer in footers)
        writer.writerow(["RC", len(shown)])
        writer.writerow(["FF", len(shown)])
        return text.getvalue().encode()


def _paypal_row(txn: Txn) -> list[object]:
    row: dict[str, object] = {
        "Transaction ID": txn.id,
        "Invoice ID": txn.order,
        "PayPal Reference ID": txn.of if txn.category == "refund" else "",
        "PayPal Reference ID Type": "TXN" if txn.category == "refund" else "",
        "Transaction Event Code": _CODES[txn.category],
        "Transaction Initiation Date": f"{txn.at:%Y/%m/%d %H:%M:%S} +0000",
        "Transaction Completion Date": f"{txn.at:%Y/%m/%d %H:%M:%S} +0000",
        "Transaction Debit or Credit": "CR" if txn.gross_minor > 0 else "DR",
        "Gross Transaction Amount": abs(txn.gross_minor),
        "Gross Transaction Currency": txn.currency,
    }
    if txn.fee_minor:
        row |= {"Fee Debit or Credit": "DR", "Fee Amount": txn.fee_minor, "Fee Currency": txn.currency}
    return ["SB", *(row.get(name, "") for name in _PAYPAL)]


def _footer(file: PaypalFile, currency: str) -> list[object]:
    """Credits, debits, fees given back and taken; then opening, closing, and six balances that nobody has."""
    own = [txn for txn in file.txns if txn.currency == currency]
    credits = sum(max(txn.gross_minor, 0) for txn in own)
    debits = -sum(min(txn.gross_minor, 0) for txn in own)
    opening, closing = file.opening.get(currency, 0), file.closing()[currency]
    balances: list[object] = []
    for amount in (opening, closing, 0, 0, 0, 0):
        balances += ["CR" if amount >= 0 else "DR", abs(amount)]
    return [currency, credits, debits, 0, sum(txn.fee_minor for txn in own), *balances, len(own)]


def paypal_files(source: str, txns: Iterable[Txn], days: Sequence[date]) -> Iterator[PaypalFile]:
    """A statement for each day on which anything moved; each payout day all that is there is paid out."""
    by_day: dict[date, list[Txn]] = defaultdict(list)
    for txn in sorted(txns, key=lambda txn: txn.at):
        by_day[txn.at.date()].append(txn)
    balance: dict[str, int] = {}
    for day in days:
        own = by_day[day]
        if day in PAYOUT_DAYS:
            for currency, amount in sorted(balance.items()):
                if amount > 0:
                    own = [*own, _withdrawal(source, currency, day, amount)]
        if own:
            file = PaypalFile(source, day, own, dict(balance))
            balance = file.closing()
            yield file


def _withdrawal(source: str, currency: str, day: date, amount_minor: int) -> Txn:
    id = f"W{day:%m%d}{currency}{source.upper().replace('-', '')}"
    return Txn(source, currency, datetime.combine(day, time(15), UTC), "payout", id, "", -amount_minor, 0, "")
