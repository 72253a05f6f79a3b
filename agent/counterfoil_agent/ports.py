"""What the agent needs of the outside: time, the store and the engine; what each promises, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
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


@dataclass(frozen=True)
class OrderState:
    """What of an order decides what it may be told. told: its keys with a part of their content's hash, as it bears
    them; tracking: likewise its tracking numbers."""

    status: str
    told: Sequence[str] = ()
    tracking: Sequence[Mapping[str, Any]] = ()


class StoreOrders(Protocol):
    """A store's orders, to be told something. Every method may raise Unavailable, RateLimited or Denied. Where a write
    raises Unavailable, it may have been carried out, or still be."""

    def state(self, order_id: int) -> OrderState | Absent:
        """The order as it is now. Raises Unreadable."""

    def notes(self, order_id: int) -> Sequence[str]:
        """The texts of its private notes. Raises Unreadable."""

    def add_note(self, order_id: int, text: str) -> None:
        """A private note, of which the customer hears nothing. Raises Blocked where the store refuses it."""

    def change(self, order_id: int, status: str | None, meta: Mapping[str, Any]) -> None:
        """Set its status (None: it stays) and these of its meta data, in one write. Raises Blocked."""


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
    feed_url: str | None = None
    orders: Sequence[int] = ()  # that the engine knows from events which may not be here any more


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


@dataclass(frozen=True)
class Update:
    """What an order is to be told, once. key and hash: which, and of what content. None: nothing of it. reverses: the
    key of the update that no longer holds."""

    key: str
    hash: str
    order_id: int
    status: str | None = None
    tracking: str | None = None
    carrier: str | None = None
    note: str | None = None
    reverses: str | None = None


@dataclass(frozen=True)
class UpdateResult:
    """outcome: applied, refused, other_content. reason: of the latter two."""

    key: str
    hash: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True)
class UpdatePage:
    """more: whether others wait."""

    updates: Sequence[Update]
    more: bool = False


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

    def updates(self, results: Sequence[UpdateResult], limit: int) -> UpdatePage:
        """Tell what became of updates, and fetch as many that wait. What has no result is handed out again.

        May also raise TooLarge or Blocked; then the results are not taken."""


# The store's plugin


@dataclass(frozen=True)
class LogRow:
    """A row of the plugin's change log. payload: JSON as the plugin said it, None where the row carries none."""

    id: int
    event_id: str
    object: str
    object_id: int
    kind: str
    payload: bytes | None
    at: str


@dataclass(frozen=True)
class LoggedMove:
    """A stock move of a row; raw: it whole, as the plugin said it."""

    move_id: str
    row_id: int
    raw: bytes


@dataclass(frozen=True)
class LogPage:
    """What is not acknowledged yet, the oldest first. head: the highest row of the log, read or not."""

    fingerprint: str
    head: int
    rows: Sequence[LogRow]
    moves: Sequence[LoggedMove]


@dataclass(frozen=True)
class Item:
    """Something that is sold. stock_id: whose stock it is; quantity: that product's, None where nobody manages it."""

    id: int
    stock_id: int
    sku: str
    quantity: Decimal | None
    status: str
    manages: bool
    parent_id: int = 0


@dataclass(frozen=True)
class StockWrite:
    """A number for a stock item. basis: the (epoch, n) that it counts; None: it counts none of this store's events."""

    stock_id: int
    version: int
    number: int
    basis: tuple[int, int] | None
    expires_at: str | None = None
    silence_share: str | None = None
    parent_id: int = 0


@dataclass(frozen=True)
class StockAnswer:
    """verdict: applied, older, unmanaged, missing, error, skipped. stock: what the store has now, where it said."""

    stock_id: int
    verdict: str
    stock: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True)
class Bucket:
    bucket: str
    count: int
    digest: str


@dataclass(frozen=True)
class Digested:
    """An item of a small bucket: number is the stock without the moves that the number last written didn't count."""

    stock_id: int
    sku: str
    number: Decimal
    stock: Decimal
    status: str
    version: int | None


@dataclass(frozen=True)
class OrderTotals:
    """rows: (day of creation UTC, currency, orders, total, refunds, tax), amounts as the store says them; refunds
    positive. open_orders: of which a row of the log waits, in the same snapshot."""

    rows: Sequence[tuple[str, str, int, str, str, str]]
    open_orders: Sequence[int]


@dataclass(frozen=True)
class Health:
    version: str | None
    waiting_rows: int
    newest_order_id: int | None
    missing_hooks: Sequence[str]


class Plugin(Protocol):
    """The plugin in the store. Every method may raise Unavailable, RateLimited, Denied or NotThere.

    Denied has slug `copy` where the store isn't the one that was paired."""

    def changes(self, limit: int) -> LogPage:
        """Rows that wait, with their moves."""

    def ack(self, epoch: int, rows: Sequence[tuple[int, int]], moves: Sequence[tuple[str, int]]) -> None:
        """These rows (id, n) and moves (move_id, n) are held by the agent. May be said again."""

    def stock(self, writes: Sequence[StockWrite]) -> Sequence[StockAnswer]:
        """Take these numbers; one answer per number, in order. May be said again: older versions are ignored."""

    def items(self, after: int, limit: int) -> tuple[Sequence[Item], bool]:
        """What is sold, in the order of ids above `after`; whether there is more."""

    def buckets(self, prefix: str = "") -> Sequence[Bucket]:
        """Digests of the stock by bucket, below a prefix of none or two digits."""

    def bucket(self, prefix: str) -> Sequence[Digested]:
        """The items of a bucket of four digits."""

    def totals(self, first: str, last: str) -> OrderTotals:
        """Orders added up by day of creation and currency, from the first day to the last."""

    def store_now(self) -> datetime:
        """The store's clock, as it was last heard."""

    def health(self) -> Health:
        """How the plugin is."""


# The engine's feed


@dataclass(frozen=True)
class Number:
    """The latest number of a SKU. as_of: when its owner last said something else; None: unknown. sold: units that this
    store ever lowered less those raised, to order writes by."""

    sku: str
    version: int
    number: int
    basis: tuple[int, int] | None
    as_of: str | None
    expires_at: str | None
    silence_share: str | None
    backorders: bool
    excluded: bool
    sold: int


@dataclass(frozen=True)
class FeedPage:
    """What changed above a version. resync: that version means nothing there, ask from 0."""

    engine_epoch: int
    version: int
    numbers: Sequence[Number]
    more: bool
    resync: bool


class Feed(Protocol):
    """The engine's numbers for this store. May raise Unavailable, RateLimited or Denied (slug `no-pool`)."""

    def poll(self, version: int, engine_epoch: int | None, wait_s: float, limit: int) -> FeedPage:
        """What changed above this version; waits up to wait_s for a change where there is none."""

    def report(self, body: Mapping[str, Any]) -> None:
        """What became of numbers: writes, drift, unknown, doubled."""


class StoreStock(Protocol):
    """What a store sells and has, by whichever way it is reached. Methods fail as those of Store and Plugin do."""

    name: Literal["plugin", "rest"]
    is_guarded: bool  # whether a write can't hide a sale
    most_items: int  # in one write

    def page(self, cursor: str) -> tuple[Sequence[Item], str | None]:
        """A page of what is sold, from a cursor on ("": from the beginning); None: that was the last."""

    def item(self, item_id: int, parent_id: int) -> Item | None:
        """One item anew; None: the store doesn't sell it (any more). parent_id: 0 where it isn't known."""

    def write(self, writes: Sequence[StockWrite]) -> Sequence[StockAnswer]:
        """Write these numbers; one answer per number, in order. Numbers of a SKU are given in rising versions."""

    def quantities(self, writes: Sequence[StockWrite]) -> Mapping[int, Decimal]:
        """What the store has now of these stock items; without those that it doesn't know or manage."""
