"""From the bytes of a payout report to its payouts; whether a payout has been there before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.settlement.adyen import ADYEN
from counterfoil_engine.domain.settlement.described import read_described
from counterfoil_engine.domain.settlement.description import Description
from counterfoil_engine.domain.settlement.lines import Expected, Report
from counterfoil_engine.domain.settlement.paypal import read_paypal
from counterfoil_engine.domain.settlement.stripe import STRIPE
from counterfoil_engine.domain.settlement.woopayments import WOOPAYMENTS

DESCRIBED: Mapping[str, Description] = {"stripe": STRIPE, "adyen": ADYEN, "woopayments": WOOPAYMENTS}
FORMATS = (*DESCRIBED, "paypal")


def read_report(data: bytes, format: str | Description, expected: Expected) -> tuple[Report, ...]:
    """The payouts of a report in one of `FORMATS`, or as described; parks where any of it is wrong or missing."""
    if isinstance(format, Description):
        return read_described(data, format, expected)
    if format == "paypal":
        return read_paypal(data, expected)
    if format not in DESCRIBED:
        raise Parked(
            f"There is no format of payout reports named {format[:40]!r}.",
            f"Choose one of {', '.join(FORMATS)}, or describe the source's reports.",
            "contract",
        )
    return read_described(data, DESCRIBED[format], expected)


def judge(report: Report, known: Mapping[str, str]) -> Literal["new", "duplicate", "conflict"]:
    """Has this payout been there before? known: payout → digest, of the same source.

    The same content is a duplicate, in whatever file it comes; another content of the same payout is a conflict.
    """
    if report.payout not in known:
        return "new"
    return "duplicate" if known[report.payout] == report.digest else "conflict"


def conflict_case(report: Report) -> Case:
    """The case of a payout that was reported twice, differently; what came first stands."""
    return Case(
        "conflict",
        f"Payout {report.payout[:60]} of {report.source} was reported before with another content; this one is of"
        f" {show(report.net_minor, report.currency)} in {len(report.lines)} lines.",
        "Compare both with the gateway's own screen, then withdraw the report that is wrong.",
        money_minor=report.net_minor,
        currency=report.currency,
    )
