"""Every way in which a subject can fail to go on, said with its cause and its remedy.

CounterfoilError
 ├─ Parked        a person helps: the subject becomes a case
 └─ Retry         time helps: the subject resumes by itself
     ├─ Unavailable     the party is down, or the call did not reach it: nothing was done
     │   └─ DatabaseUnavailable   it is the engine's own database, and no party's fault
     └─ RateLimited     the party asks for a pause of `retry_after_s`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Category = Literal[
    "missing_mapping",
    "data",
    "conflict",
    "outage",
    "rate_limit",
    "closed_period",
    "contract",
    "tax",
    "unbalanced",
    "refund",
]


@dataclass(frozen=True)
class Case:
    """Why a subject can't go on, and what ends it.

    category: one of `Category`; it groups cases and picks the runbook.
    cause, remedy: whole sentences for a person, without personal data.
    rows: the mapping rows that are missing, ready to fill in: ({"table": "payment_methods", "method": "klarna", …}, …).
    money_minor, currency: what is at stake; None where no amount is known.
    """

    category: Category
    cause: str
    remedy: str
    rows: tuple[Mapping[str, Any], ...] = ()
    money_minor: int | None = None
    currency: str | None = None

    @property
    def fingerprint(self) -> str:
        """What cases of one cause share, so that 400 orders held by one missing row are one line."""
        if self.rows:
            keys = sorted(str(sorted((k, str(v)) for k, v in row.items())) for row in self.rows)
            return f"{self.category}:{'|'.join(keys)}"
        return f"{self.category}:{self.cause}"


@dataclass
class CounterfoilError(Exception):
    """The base of all errors that a person may see: cause and remedy, in whole sentences."""

    cause: str
    remedy: str
    category: Category = "data"

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}"


@dataclass
class Parked(CounterfoilError):
    """A person has to help; `case` is what the console shows."""

    rows: tuple[Mapping[str, Any], ...] = ()
    money_minor: int | None = field(default=None)
    currency: str | None = field(default=None)

    @property
    def case(self) -> Case:
        return Case(self.category, self.cause, self.remedy, self.rows, self.money_minor, self.currency)


@dataclass
class Retry(CounterfoilError):
    """Time helps; nothing was done that could not be done again."""

    category: Category = "outage"
    retry_after_s: float | None = None


@dataclass
class Unavailable(Retry):
    """The party can't be reached and nothing was sent to it, or it refused the call before any work."""


@dataclass
class DatabaseUnavailable(Unavailable):
    """The engine's own database can't be used now; no party is to blame, and no breaker opens for it."""


@dataclass
class RateLimited(Retry):
    """The party asks for a pause of retry_after_s seconds."""

    category: Category = "rate_limit"
