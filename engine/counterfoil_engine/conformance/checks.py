"""The one list of checks, in the order in which they are run and shown."""

from __future__ import annotations

from counterfoil_engine.conformance import amounts, books, once, refusals, texts
from counterfoil_engine.conformance.check import Check

ALL: tuple[Check, ...] = (
    *once.CHECKS,
    *amounts.CHECKS,
    *refusals.CHECKS,
    *texts.CHECKS,
    *books.CHECKS,
)
