"""What the engine needs of the outside: what each party promises, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from counterfoil_engine.domain.errors import Case


class Clock(Protocol):
    """Time as an argument: tests and the simulation own one."""

    def now(self) -> datetime:
        """The present moment, UTC with offset."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""


@dataclass(frozen=True)
class Posting:
    """A document on its way to the ERP: the JSON of its contract, and what it is known by.

    document: as in `contracts/documents/<kind>.v1.json`, its posting `date` chosen already.
    key: the external reference; content_hash: of what is due, so that one key never stands for two contents.
    """

    key: str
    content_hash: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Posted:
    """The document stands in the ERP under this number."""

    key: str
    number: str


@dataclass(frozen=True)
class Refused:
    """The ERP said no for good: the same document would be refused again until the cause ends."""

    key: str
    case: Case


@dataclass(frozen=True)
class Unknown:
    """The call may or may not have been carried out: look the key up once `commit_lag_s` has passed."""

    key: str


Outcome = Posted | Refused | Unknown


@dataclass(frozen=True)
class Found:
    """A document that bears a key in the ERP; two of one key are a break `doubled`."""

    key: str
    number: str
    content_hash: str
    posted_at: datetime


@dataclass(frozen=True)
class Health:
    """Whether the party works now; detail is a sentence for people."""

    ok: bool
    detail: str


class Erp(Protocol):
    """Any ERP. Every method may raise Unavailable (nothing was sent) or RateLimited (pause asked for)."""

    lanes: int  # posters it can take at once for one entity
    batch_size: int  # documents in one post at most
    commit_lag_s: (
        float  # how long after a call began it may still commit, or hide what it did; 0: keys are unique there
    )

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        """All documents that bear each key; a key that none bears is absent from the answer."""

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        """Post each once, in order; one outcome for each.

        A key that stands already with the same content_hash answers Posted with its first number; with another hash
        Refused (conflict). A call whose answer was lost gives Unknown for all that it carried."""

    def list_since(self, since: datetime) -> Iterator[Found]:
        """All documents written at or after this moment, in any order (used after a restore of the engine, R4)."""

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        """Units of currency for one unit of book on that day; None where the ERP knows none."""

    def open_day(self, entity: str, on: date) -> date:
        """That day, or the first open day after it where its period is closed."""

    def health(self) -> Health:
        """Whether it answers; never raises."""


# Intake: what receives the stores' events.

WorkClass = Literal["live", "repair", "history"]
