"""What the agent needs of the outside: time, the store and the engine; what each promises, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Column = Literal["modified", "created"]


class Clock(Protocol):
    """Time as an argument: tests and the simulation own one."""

    def now(self) -> datetime:
        """The present moment, UTC with offset."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass; only the outermost loop calls this."""


@dataclass(frozen=True)
class Ask:
    """One page of the store's orders.

    column: which time is asked for. since, until: whole seconds, UTC, both inclusive; until None: no end.
    by_id: in the order of ids (which never changes) instead of that of the column.
    lean: ids, status and times alone, where the whole page can't be read.
    """

    column: Column
    since: datetime
    until: datetime | None = None
    status: Literal["any", "trash"] = "any"
    by_id: bool = False
    page: int = 1
    size: int = 100
    lean: bool = False


@dataclass(frozen=True)
class Listed:
    """An order in a page: its id, the asked time (None where it can't be read), its bytes as the store sent them."""

    order_id: int
    at: datetime | None
    raw: bytes


@dataclass(frozen=True)
class Page:
    """rows in the store's order; count: as many as the store sent, readable or not; pages: in all, as it says.

    store_now: the store's clock when it answered.
    """

    rows: Sequence[Listed]
    count: int
    pages: int
    store_now: datetime


@dataclass(frozen=True)
class Absent:
    """What a store that doesn't know an order answered: code is "" where the answer wasn't WooCommerce's own JSON."""

    status: int
    code: str


class Store(Protocol):
    """A WooCommerce store. Every method may raise Unavailable, RateLimited or Denied."""

    def page(self, ask: Ask) -> Page:
        """One page. Raises Unreadable where it is too large or no JSON, OrderNotSupported where it can't sort so."""

    def order(self, order_id: int) -> bytes | Absent:
        """One order, its bytes verbatim. Raises Unreadable."""

    def refunds(self, order_id: int) -> Sequence[bytes]:
        """Every refund of the order in full, each verbatim, the newest first. Raises Unreadable."""


class OrderNotSupported(Exception):
    """This version of WooCommerce can't sort by the time that was asked for."""


@dataclass(frozen=True)
class Through:
    """The engine holds every number up to n; id is that event's, None at 0."""

    n: int
    id: str | None


@dataclass(frozen=True)
class Welcome:
    """The engine's answer to hello or to the wish for a new epoch."""

    epoch: int
    stored_through: Through
    retain_s: float | None = None
    contracts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    n: int
    id: str
    verdict: Literal["stored", "duplicate", "kept-invalid", "refused"]
    reason: str | None = None


@dataclass(frozen=True)
class Answer:
    """verdicts: one per event sent. stored_through: None where the engine didn't say. holes: first and last number."""

    verdicts: Sequence[Verdict]
    stored_through: Through | None
    holes: Sequence[tuple[int, int]] = ()


class Engine(Protocol):
    """The engine's API. Every method may raise Unavailable, RateLimited, Denied or OtherEpoch."""

    clock_offset_s: float | None  # the engine's clock less the agent's, as last seen

    def hello(self, body: Mapping[str, Any]) -> Welcome:
        """Say who speaks and how far it is.

        Raises Denied with slug `other-installation` while another agent holds the store."""

    def new_epoch(self, body: Mapping[str, Any]) -> Welcome:
        """Ask for the next epoch, in which numbers start at 1."""

    def events(self, batch: bytes, wrapped: bool = False) -> Answer:
        """Send a JSON array of events, already encoded. wrapped: packed so that no firewall reads it.

        May also raise TooLarge or Blocked; then nothing of the batch is stored. Where the answer is lost, all may be
        stored: sending again is harmless."""

    def reaches(self) -> bool:
        """Whether an empty batch gets the engine's own answer: what is blocked is then blocked for its content."""

    def heartbeat(self, event: bytes) -> Through | None:
        """Send a heartbeat, already encoded."""
