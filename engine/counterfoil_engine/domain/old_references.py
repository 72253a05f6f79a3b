"""What another connector posted before the start line (R3): how it is marked, and which one is meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from counterfoil_engine.domain.documents import Document

NO_NUMBER = "taken over"  # of a document taken over that the ERP has under no number that is known

LONGEST = 300
_FIELD = re.compile(r"\{(store|order|number|transaction|refund)\}")

Outcome = Literal["linked", "not found", "several", "another amount"]


@dataclass(frozen=True)
class TakenOver:
    """A document from before the start line: under which key it would have been posted, and of which store."""

    key: str
    store: str
    document: Document


@dataclass(frozen=True)
class OldDocument:
    """A document of the ERP that bears none of our keys. amount_minor: gross, in minor units of currency, positive for
    what its kind says."""

    reference: str
    number: str
    amount_minor: int
    currency: str
    day: date


@dataclass(frozen=True)
class Finding:
    """What became of the search for one document. number: the ERP's, where it is linked. told: a sentence, else."""

    outcome: Outcome
    number: str | None = None
    told: str = ""


def reference_of(patterns: Mapping[str, str], document: Document, store: str) -> str | None:
    """By what the document is marked; None where the rules don't say it of its kind, or it lacks what they name."""
    pattern = patterns.get(document.kind)
    if pattern is None:
        return None
    order = document.subject.partition("/")[2]
    known = {
        "store": store,
        "order": order,
        "number": document.number or order,
        "transaction": document.body.get("transaction"),
        "refund": document.body.get("refund"),
    }
    named = [known[name] for name in _FIELD.findall(pattern)]
    if any(value in (None, "") for value in named):
        return None
    reference = _FIELD.sub(lambda field: str(known[field[1]]), pattern)
    return reference if len(reference) <= LONGEST and reference.isprintable() else None


def which(document: Document, reference: str | None, found: Sequence[OldDocument]) -> Finding:
    """The one that is meant: alone under its reference, and of the very amount. Anything else a person has to see."""
    if not found:
        told = f"Nothing is marked {reference}." if reference else "The rules name no reference that it has."
        return Finding("not found", told=told)
    if len(found) > 1:
        numbers = ", ".join(sorted(one.number for one in found)[:5])
        return Finding("several", told=f"{len(found)} documents are marked {reference}: {numbers}.")
    (one,) = found
    if (one.amount_minor, one.currency) != (document.amount_minor, document.currency):
        told = (
            f"{one.number} is over {one.amount_minor} {one.currency}, the order says"
            f" {document.amount_minor} {document.currency} (minor units)."
        )
        return Finding("another amount", told=told)
    return Finding("linked", one.number)
