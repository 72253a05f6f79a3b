"""What the engine needs of the outside: what each party promises, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from counterfoil_engine.domain.difference import IntentState, State
from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.errors import Case, Category, CounterfoilError
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules


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
Installation = str  # 32 hexadecimal digits, made once by an agent with its outbox


@dataclass(frozen=True)
class Incoming:
    """An event that has a place in its sequence, judged already.

    reason: why it is invalid; None where it is not. subject: `order eu1/1001`. body: the bytes of `data` as they came,
    or of the whole event where its envelope is broken; body_hash: their SHA-256, hexadecimal.
    """

    event_id: str
    occurred_on: date
    epoch: int
    n: int
    type: str
    subject: str | None
    occurred_at: datetime | None
    body: bytes
    body_hash: str
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of one event; kept-invalid and duplicate fill its number like stored, refused does not."""

    n: int | None
    id: str | None
    verdict: Literal["stored", "duplicate", "kept-invalid", "refused"]
    reason: str | None = None


@dataclass(frozen=True)
class Watermark:
    """Nothing of this epoch at or below n is missing; id is the event of that number, None at 0."""

    epoch: int
    n: int
    id: str | None


@dataclass(frozen=True)
class Appended:
    """verdicts: in the order of the events. holes: missing ranges above the watermark, the first few."""

    verdicts: Sequence[Verdict]
    watermark: Watermark
    holes: Sequence[tuple[int, int]]


@dataclass
class Rejected(CounterfoilError):
    """A request that is answered with no; slug names the kind of problem (`/problems/<slug>`)."""

    category: Category = "contract"
    slug: str = "request"


class EventLog(Protocol):
    """The store of events, append-only; each method is one commit. Any may raise Unavailable."""

    def greet(
        self, store: str, installation: Installation, agent_version: str, contracts: Mapping[str, Sequence[int]]
    ) -> Watermark:
        """The store's epoch; a store's first installation gets epoch 1, and so does the first one after a hand-over
        the next. Rejects another installation (`other-installation`)."""

    def grant_epoch(self, store: str, installation: Installation, epoch: int, reason: str) -> Watermark:
        """The epoch after this one, from number 1. Asked again while that is still empty, it is the answer again."""

    def hand_over(self, store: str) -> None:
        """Let the next other installation that says hello take the store over."""

    def append(self, store: str, events: Sequence[Incoming]) -> Appended:
        """Keep the events, move the watermark, mark their subjects due. Rejects (`epoch`), with nothing kept, where
        an event is not of the store's epoch or its number stands for another event."""

    def beat(self, store: str, body: bytes) -> Watermark:
        """Keep a heartbeat."""


class Wake(Protocol):
    """Marks due what waits for a key, in the same transaction."""

    def __call__(self, tx: Any, key: str) -> None:
        """key: `watermark eu1` once the store's watermark has moved."""


# Looks and posting: what the use cases need of the records. Modules of `records/` are what fulfils these.


class Tx(Protocol):
    """One open transaction on either database; parameters are written %s."""

    is_sqlite: bool

    def all(self, sql: str, *params: Any) -> list[Mapping[str, Any]]:
        """Every row."""

    def one(self, sql: str, *params: Any) -> Mapping[str, Any] | None:
        """The first row, or None."""

    def run(self, sql: str, *params: Any) -> int:
        """The number of rows touched."""

    def now(self) -> datetime:
        """The database's own clock."""


class Transactions(Protocol):
    """Where transactions are begun; leaving the block without an error commits."""

    def transaction(self) -> AbstractContextManager[Any]:
        """All or nothing."""


@dataclass(frozen=True)
class Claim:
    """A lease on a subject's look: what was claimed (gen), how often in vain (claims), and the lease's token."""

    subject: str
    gen: int
    work_class: WorkClass
    claims: int
    token: str


@dataclass
class LostClaim(Exception):
    """The lease ran out and went to another worker: nothing of this look may be written."""

    subject: str


@dataclass
class Stale(Exception):
    """An intent moved between reading and writing it: the look is made anew."""

    subject: str


@dataclass(frozen=True)
class Intent:
    """An intent as kept. about: the subject whose look made it; subject: whose lane it goes in.

    group_id: intents that a change of the write switch doesn't tear apart (R2). document: None where it was adopted
    from the ERP after a restore and no look has explained it yet. day: of the event that makes it due.
    """

    id: int
    party: str
    entity: str
    key: str
    slot: str
    kind: str
    store: str
    subject: str
    about: str
    work_class: WorkClass
    bucket: int
    state: State
    reverses: str | None
    content_hash: str
    amount_minor: int
    currency: str
    day: date
    after: tuple[str, ...]
    document: Document | None
    group_id: str | None
    look_id: int | None
    rules_version: str
    ever_sent: bool
    released: bool
    attempts: int
    sent_at: datetime | None
    number: str | None
    posting_date: date | None
    origin: str

    def as_state(self) -> IntentState:
        return IntentState(
            self.key,
            self.slot,
            self.kind,
            self.reverses,
            self.content_hash,
            self.state,
            self.after,
            self.amount_minor,
            self.ever_sent,
            self.released,
        )


@dataclass(frozen=True)
class NewIntent:
    """What a look writes: a posting (reverses None) or the reversal of one."""

    key: str
    document: Document
    about: str
    store: str
    work_class: WorkClass
    day: date
    after: tuple[str, ...]
    rules_version: str
    look_id: int
    reverses: str | None = None
    group_id: str | None = None
    number: str | None = None  # set: it stands already (taken over, R3)


@dataclass(frozen=True)
class Look:
    """A look as recorded: on which facts (arrival), by which rules and code, as of when."""

    id: int
    subject: str
    as_of: datetime
    arrival: int
    rules_version: str
    code_version: str


@dataclass(frozen=True)
class Restated:
    """What rules or code alone would change about one slot of a subject; held until approved (R2)."""

    slot: str
    entity: str
    currency: str
    standing_minor: int
    due_minor: int
    moved: Literal["rules", "code"]


class Facts(Protocol):
    """Reads a subject's facts; through_arrival: only what had arrived by then (R2)."""

    def __call__(self, tx: Any, store: str, order_id: str, through_arrival: int | None = None) -> OrderFacts: ...


class DuesOf(Protocol):
    """domain.dues.dues, or a stand-in."""

    def __call__(self, facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues: ...


class RulesBook(Protocol):
    """Rules by version, parsed once."""

    def current(self, tx: Any) -> Rules:
        """The version in force; raises CounterfoilError where none is loaded."""

    def version(self, tx: Any, version: str) -> Rules | None:
        """A version that was loaded once; None where it is unknown or no longer parses."""
