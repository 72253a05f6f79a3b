"""The stores of the demo's town, as data: three companies on three kinds of day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """A store with its company, whose books an ERP of its own keeps, its warehouse and what it sells.

    rate_code, rate_percent: its sales tax as its shop
    writes it. method: how its shoppers pay. on_hand: SKU → units at the start.
    """

    store: str
    city: str
    entity: str
    country: str
    state: str
    zone: str
    currency: str
    pool: str
    warehouse: str
    jurisdiction: str
    rate_code: str
    rate_percent: str
    method: str
    on_hand: Mapping[str, int]


BERLIN = Branch(
    store="eu1", city="Berlin", entity="DE01", country="DE", state="", zone="Europe/Berlin", currency="EUR",
    pool="eu", warehouse="BER", jurisdiction="DE", rate_code="DE-MWST 19%-1", rate_percent="19",
    method="stripe", on_hand={"BOWL": 60, "MUG": 90, "TEAPOT": 24},
)  # fmt: skip
PARIS = Branch(
    store="fr1", city="Paris", entity="FR01", country="FR", state="", zone="Europe/Paris", currency="EUR",
    pool="fr", warehouse="LYS", jurisdiction="FR", rate_code="FR-TVA 20%-1", rate_percent="20",
    method="bacs", on_hand={"BOWL": 45, "MUG": 60, "TEAPOT": 30},
)  # fmt: skip
AUSTIN = Branch(
    store="us1", city="Austin", entity="US01", country="US", state="TX", zone="America/Chicago", currency="USD",
    pool="us", warehouse="DFW", jurisdiction="US-TX", rate_code="US-TX-SALES TAX-1", rate_percent="8.25",
    method="bacs", on_hand={"BOWL": 120, "MUG": 140, "TEAPOT": 60},
)  # fmt: skip
BRANCHES = (BERLIN, PARIS, AUSTIN)
