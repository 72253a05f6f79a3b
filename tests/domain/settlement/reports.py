"""The sample reports under `tests/recorded/payouts`, and short ones made for a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from counterfoil_engine.domain.settlement.description import Description, describe
from counterfoil_engine.domain.settlement.lines import Expected, Report, Total
from counterfoil_engine.domain.settlement.payout_list import read_list
from counterfoil_engine.domain.settlement.read import read_report

SAMPLES = Path(__file__).parents[2] / "recorded" / "payouts"
TODAY = date(2026, 11, 24)
NAMES = ("stripe", "adyen", "paypal", "woopayments", "described")


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.csv").read_bytes()


def format_of(name: str) -> str | Description:
    return describe(json.loads((SAMPLES / "described.json").read_text())) if name == "described" else name


def totals_of(name: str) -> Mapping[str, Total]:
    """What the payouts' facts say, for the samples that don't say it themselves."""
    if name == "stripe":
        return {"po_89": Total(2428, "EUR")}
    if name == "woopayments":
        listed = read_list(sample("woopayments-payouts"), TODAY) or ()
        return {each.payout: each.total("EUR") for each in listed if each.state == "paid"}
    return {}


def read(name: str, data: bytes | None = None, expected: Expected | None = None) -> tuple[Report, ...]:
    """A sample, or other bytes in its format, read in Berlin."""
    held_against = expected or Expected(name, TODAY, "Europe/Berlin", totals=totals_of(name))
    return read_report(sample(name) if data is None else data, format_of(name), held_against)


STRIPE_HEADER = (
    "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,automatic_payout_id,"
    "automatic_payout_effective_at_utc"
)


def stripe_row(
    gross: str,
    fee: str,
    net: str,
    category: str = "charge",
    id: str = "1",
    currency: str = "eur",
    at: str = "2026-11-18",
) -> str:
    return f"txn_{id},{at} 09:00:00,{currency},{gross},{fee},{net},{category},ch_{id},po_1,2026-11-20 00:00:00"


def stripe(*rows: str, header: str = STRIPE_HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()
