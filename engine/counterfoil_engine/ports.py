"""What the engine needs of the outside: what each party promises, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from counterfoil_engine.domain.audit import Entry
from counterfoil_engine.domain.availability import Cap, Stock
from counterfoil_engine.domain.difference import IntentState, State
from counterfoil_engine.domain.documents import Document, Dues, JournalLine
from counterfoil_engine.domain.errors import Case, Category, CounterfoilError
from counterfoil_engine.domain.facts import OrderFacts, Party
from counterfoil_engine.domain.old_references import OldDocument
from counterfoil_engine.domain.reservations import Held, Seen, SoldLine
from counterfoil_engine.domain.roles import Role
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.settlement.lines import Report, SettlementLine, Total
from counterfoil_engine.domain.settlement.payout_list import Listed
from counterfoil_engine.domain.settlement.posted import Posting as SettledPosting
from counterfoil_engine.domain.stock import Position
from counterfoil_engine.domain.tie_out import Booked


class Clock(Protocol):
    """Time as an argument: tests and the simulation own one."""

    def now(self) -> datetime:
        """The present moment, UTC with offset."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""


@dataclass(frozen=True)
class Posting:
    """A document on its way to a party: the JSON of its contract, and what it is known by.

    document: as in `contracts/documents/<kind>.v1.json`, its posting `date` chosen already.
    key: the external reference; content_hash: of what is due, so that one key never stands for two contents.
    trace: W3C traceparent of the span that it is posted in; None: nobody traces it.
    """

    key: str
    content_hash: str
    document: Mapping[str, Any]
    trace: str | None = None


@dataclass(frozen=True)
class Posted:
    """The document stands with the party under this number."""

    key: str
    number: str


@dataclass(frozen=True)
class Refused:
    """The party said no for good: the same document would be refused again until the cause ends."""

    key: str
    case: Case


@dataclass(frozen=True)
class Unknown:
    """The call may or may not have been carried out: look the key up once `commit_lag_s` has passed."""

    key: str


Outcome = Posted | Refused | Unknown


@dataclass(frozen=True)
class Found:
    """A document that bears a key with the party; two of one key are a break `doubled`."""

    key: str
    number: str
    content_hash: str
    posted_at: datetime


@dataclass(frozen=True)
class Health:
    """Whether the party works now; detail is a sentence for people."""

    ok: bool
    detail: str


class PostingParty(Protocol):
    """Any party that documents are posted to. Every method may raise Unavailable (nothing was sent) or RateLimited
    (pause asked for)."""

    @property
    def lanes(self) -> int:
        """Posters it can take at once for one entity."""

    @property
    def batch_size(self) -> int:
        """Documents in one post at most."""

    @property
    def commit_lag_s(self) -> float:
        """How long after a call began it may still commit, or hide what it did; 0: keys are unique there."""

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        """All documents that bear each key; a key that none bears is absent from the answer."""

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        """Post each once, in order; one outcome for each.

        A key that stands already with the same content_hash answers Posted with its first number; with another hash
        Refused (conflict). A call whose answer was lost gives Unknown for all that it carried. Raises Parked where a
        batch was rejected as a whole and nothing of it was done: its sender halves it (K6)."""

    def list_since(self, since: datetime) -> Iterator[Found]:
        """All documents written at or after this moment, in any order (used after a restore of the engine, R4)."""

    def open_day(self, entity: str, on: date) -> date:
        """That day, or the first open day after it where its period is closed."""

    def health(self) -> Health:
        """Whether it answers; never raises."""


class Erp(PostingParty, Protocol):
    """Any ERP."""

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        """Units of currency for one unit of book on that day; None where the ERP knows none."""


@runtime_checkable
class OldBooks(Protocol):
    """An ERP in which documents from before the start line can be found by how they are marked (R3)."""

    def find_old(self, entity: str, kind: str, references: Sequence[str]) -> Mapping[str, Sequence[OldDocument]]:
        """All documents of a kind that bear each reference and none of our keys; one that none bears is absent. May
        raise Unavailable or RateLimited."""


class Modest(Protocol):
    """An adapter that knows what its ERP can't do."""

    @property
    def not_promised(self) -> Mapping[str, str]:
        """Promises that it doesn't make, each with why, in a sentence. The conformance kit names them: unique_keys,
        list_since, ledger, closed_days, positions, rates."""


class Ledger(Protocol):
    """An ERP that says its balances by role, and its ledger document by document. May raise Unavailable or
    RateLimited."""

    def balances(self, entity: str) -> Mapping[tuple[str, str], JournalLine]:
        """Turnover of each role and currency, to date: both sides added up over all documents."""

    def entries(self, entity: str, first: date, last: date) -> Iterator[Booked]:
        """Every document with a posting date in these days, in any order: those posted, and those made by hand. What it
        moved on an account that no role maps to is on `account:` and its code; `balances` leaves that out."""


@runtime_checkable
class DatedLedger(Protocol):
    """An ERP that says its balances as of a day, too; one that doesn't is compared to date alone."""

    def balances_until(self, entity: str, last: date) -> Mapping[tuple[str, str], JournalLine] | None:
        """As `Ledger.balances`, of documents with a posting date to that day; None: this one can't say it."""


# Intake: what receives the stores' events.

WorkClass = Literal["live", "repair", "history"]
EPOCH_BITS = 40  # a version as the feed tells it: (engine epoch << 40) + the pool's own, so that it rises over restores
Installation = str  # 32 hexadecimal digits, made once by an agent with its outbox


class Incoming(NamedTuple):
    """An event that has a place in its sequence, judged already.

    reason: why it is invalid; None where it is not. subject: `order eu1/1001`. body: the bytes of `data` as they came,
    or of the whole event where its envelope is broken; body_hash: their SHA-256, hexadecimal. transaction: the
    gateway's, of an order that bears one. traceparent: of a valid envelope, the agent's span (W3C Trace Context).
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
    transaction: str | None = None
    traceparent: str | None = None


class Verdict(NamedTuple):
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

    def orders_after(self, store: str, epoch: int, n: int, most: int) -> Sequence[int]:
        """Orders that events after this place tell of, unless the last says that it is gone; the newest, so many."""

    def hand_over(self, store: str) -> None:
        """Let the next other installation that says hello take the store over."""

    def append(self, store: str, events: Sequence[Incoming]) -> Appended:
        """Keep the events, move the watermark, mark their subjects due. Rejects (`epoch`), with nothing kept, where
        an event is not of the store's epoch or its number stands for another event."""

    def beat(self, store: str, body: bytes) -> Watermark:
        """Keep a heartbeat."""


# Facts of other parties: what WMS, gateways and tax services say.


class NewPartyFact(NamedTuple):
    """A fact that keeps to its contract. body: the bytes as they came; body_hash: of what they say.

    subject: of the order or the payout that it names; None: a gateway doesn't know the order. transaction: the fact's
    own; authorisation: of a capture, the one that had set its money aside."""

    party: Party
    source: str
    id: str
    kind: str
    at: datetime
    body: bytes
    body_hash: str
    subject: str | None = None
    transaction: str | None = None
    authorisation: str | None = None

    @property
    def transactions(self) -> tuple[str, ...]:
        return tuple(name for name in (self.transaction, self.authorisation) if name)


class KeptOut(NamedTuple):
    """What a source said that can't be used, and why; id: where it has one."""

    id: str | None
    body: bytes
    body_hash: str
    reason: str


class FactVerdict(NamedTuple):
    """What became of a fact, and the subject that it stands on; of a conflict, that of the fact that came first."""

    verdict: Literal["stored", "duplicate", "conflict"]
    subject: str


class SourceState(NamedTuple):
    """How a source stands. caught_up_at: when it last had nothing more to say. unmatched: facts whose order is not
    known; unread: facts that were kept out, and not said right since."""

    party: str
    source: str
    read_at: datetime | None
    caught_up_at: datetime | None
    facts: int
    unmatched: int
    unread: int


@dataclass(frozen=True)
class FactPage:
    """Facts as a source said them, unread: the JSON of each. cursor: where to go on; is_last: nothing more by now."""

    facts: Sequence[bytes]
    cursor: str | None
    is_last: bool


class PartyFacts(Protocol):
    """What a WMS, a gateway or a tax service says of orders and money. May raise Unavailable or RateLimited."""

    def read(self, cursor: str | None) -> FactPage:
        """The facts after a cursor (None: from the first one on), some at a time.

        Each fact comes at least once: the same cursor may be read again, pages may overlap, and what happened later may
        come earlier. What was said once is said the same way for ever."""


class PartyFactRecords(Protocol):
    """Facts of other parties as kept (`records/party_facts.py`)."""

    def take(self, tx: Any, facts: Sequence[NewPartyFact]) -> Sequence[FactVerdict]: ...
    def keep_out(self, tx: Any, party: str, source: str, facts: Sequence[KeptOut]) -> None: ...
    def unread(self, tx: Any, party: str, source: str) -> int: ...
    def cursor_of(self, tx: Any, party: str, source: str) -> str | None: ...
    def keep_cursor(self, tx: Any, party: str, source: str, cursor: str | None, is_all: bool) -> None: ...


# Payout reports.


class PayoutFile(NamedTuple):
    """A file of payout reports as it came. format: how it was read."""

    source: str
    digest: str
    name: str
    format: str
    body: bytes
    taken_by: str


class Dropped(NamedTuple):
    """A file in the drop folder. source: its subfolder; size, mtime: as it was when it was ready."""

    source: str
    name: str
    size_bytes: int
    mtime_ns: int


class ReportFolder(Protocol):
    """Where files of payout reports are dropped, a subfolder for each source."""

    def ready(self) -> Sequence[Dropped]:
        """The files that have stopped growing, by source and name."""

    def read(self, dropped: Dropped) -> bytes:
        """All of it. Raises CounterfoilError where it is too large, has changed, or can't be read."""

    def taken(self, dropped: Dropped, digest: str) -> None:
        """Move it away: it is kept in the records."""

    def refused(self, dropped: Dropped, cause: str, remedy: str) -> str:
        """Move it aside, beside a text that says why; the name that it has there."""

    def aside(self, source: str) -> frozenset[str]:
        """The names of the files that lie aside."""


class PayoutRecords(Protocol):
    """Payout reports and what people decided of their lines (`records/payouts.py`)."""

    def lock_source(self, tx: Any, source: str) -> None: ...
    def keep_file(self, tx: Any, file: PayoutFile) -> None: ...
    def digests(self, tx: Any, source: str, payouts: Sequence[str]) -> Mapping[str, str]: ...
    def keep(self, tx: Any, report: Report, file_digest: str, stands: bool) -> None: ...
    def standing(self, tx: Any, subjects: Sequence[str]) -> Mapping[str, Report]: ...
    def of_digest(self, tx: Any, subject: str, digest: str) -> Report | None: ...
    def totals(self, tx: Any, source: str) -> Mapping[str, Total]: ...
    def currencies(self, tx: Any, source: str, payouts: Sequence[str]) -> Mapping[str, str]: ...
    def unreported(self, tx: Any, sources: Collection[str]) -> set[str]: ...
    def keep_listed(self, tx: Any, source: str, listed: Sequence[Listed]) -> None: ...
    def take_listed(self, tx: Any, source: str, payouts: Sequence[str]) -> Sequence[Listed]: ...
    def decided(self, tx: Any, subjects: Sequence[str]) -> Mapping[str, Mapping[str, str]]: ...
    def decide(self, tx: Any, subject: str, line: str, slot: str, who: str) -> None: ...
    def choose(self, tx: Any, subject: str, digest: str) -> bool: ...
    def keep_seen(self, tx: Any, look_id: int, seen: Mapping[str, Any]) -> None: ...
    def seen(self, tx: Any, look_id: int) -> Mapping[str, Any] | None: ...
    def listed(self, tx: Any, source: str | None, limit: int) -> list[Mapping[str, Any]]: ...
    def reports_of(self, tx: Any, subject: str) -> list[Mapping[str, Any]]: ...
    def settled(self, tx: Any, subject: str) -> list[Mapping[str, Any]]: ...


SeenPosting = tuple[int, bool]
"""An intent, and whether its reference counts: that of what another payout settled doesn't."""


class PostingRecords(Protocol):
    """What is posted that payouts' lines may be (`records/postings.py`)."""

    def of_lines(
        self, tx: Any, subject: str, entity: str, source: str, lines: Sequence[SettlementLine]
    ) -> list[tuple[SeenPosting, SettledPosting]]: ...
    def near_lines(
        self, tx: Any, subject: str, entity: str, source: str, lines: Sequence[SettlementLine]
    ) -> list[tuple[SeenPosting, SettledPosting]]: ...
    def of_slots(
        self, tx: Any, subject: str, entity: str, source: str, slots: Iterable[str]
    ) -> list[tuple[SeenPosting, SettledPosting]]: ...
    def of_seen(self, tx: Any, seen: Sequence[SeenPosting]) -> list[SettledPosting]: ...
    def slot_of(self, tx: Any, entity: str, source: str, document: str) -> Mapping[str, Any] | None: ...
    def settle(self, tx: Any, subject: str, entity: str, slots: Collection[str]) -> None: ...
    def wait_for(self, tx: Any, subject: str, source: str, lines: Sequence[SettlementLine]) -> None: ...


class Wake(Protocol):
    """Marks due what waits for a key, in the same transaction."""

    def __call__(self, tx: Any, key: str) -> None:
        """key: `watermark eu1` once the store's watermark has moved."""


@dataclass(frozen=True)
class Caller:
    """Who commands. is_person: whether the token is somebody's own. token_by: who had it made, and so has seen it."""

    name: str
    role: Role
    is_person: bool = True
    token_by: str = ""


class Commands(Protocol):
    """What an operator asks and does, by the command line or anything else that calls the API; answers are JSON.

    Each may reject: `no-such-subject`, `no-such-store`, `rules` (with every fault in the cause)."""

    def by(self, caller: Caller) -> Commands:
        """The same commands, done under this caller's name."""

    def status(self, with_done: bool = True) -> Mapping[str, Any]:
        """A line per store and party: connected, behind by, holes, kept-invalid, stuck, money held. with_done: also how
        many documents each party has taken in all."""

    def order(self, store: str, order_id: str) -> Mapping[str, Any]:
        """An order's facts, dues, documents, and why each."""

    def why(self, pool: str, sku: str) -> Mapping[str, Any]:
        """What may be sold of a SKU, term by term; who has reserved it; what was last written into each store."""

    def retry(self, subject: str | None, category: str | None) -> Mapping[str, Any]:
        """Look again at a subject, or at all that are parked for a category."""

    def replay(self, since: datetime, store: str | None, dry_run: bool) -> Mapping[str, Any]:
        """Look again at all of which something came since; dry_run: say what would be posted, and post nothing."""

    def rules(self) -> Mapping[str, Any]:
        """The versions of the rules, and which is in force."""

    def load_rules(self, text: str, dry_run: bool) -> Mapping[str, Any]:
        """Check rules and put them in force; dry_run: only check, and say what they would change."""

    def shadow(self, version: str) -> Mapping[str, Any]:
        """What rules in shadow found to differ since they started."""

    def start_shadow(self, text: str) -> Mapping[str, Any]:
        """Let looks compute by these rules too, and keep what differs."""

    def stop_shadow(self, version: str) -> Mapping[str, Any]:
        """Let them do so no longer."""

    def restatements(self) -> Mapping[str, Any]:
        """What rules or code alone would change, by version, with its totals; held until approved (R2)."""

    def approve(self, version: str) -> Mapping[str, Any]:
        """Let the restatement of a version be posted."""

    def hand_over(self, store: str) -> Mapping[str, Any]:
        """Let the next other installation of the store's agent take over (E1)."""

    def release_brake(self, entity: str) -> Mapping[str, Any]:
        """Let an entity's reversals go on after its brake stopped them (R2)."""

    def pass_over(self, store: str) -> Mapping[str, Any]:
        """Say that the event which holds a store's stock count held no move (E11)."""

    def switch(self, store: str, party: str, setting: str, confirmed: bool) -> Mapping[str, Any]:
        """Set a write switch; switching on without `confirmed` changes nothing and says what would be posted (R3)."""

    def confirm(self) -> Mapping[str, Any]:
        """Say that this database, where it stands now, is the one that writes (R4)."""


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
    number: the ERP's own; of a refused one that of the document that bears its key there.
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
            self.state == "refused" and self.number is not None,
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
    """A look as recorded: on which facts (arrival, and party_arrival of other parties'), by which rules and code, as of
    when."""

    id: int
    subject: str
    as_of: datetime
    arrival: int
    rules_version: str
    code_version: str
    party_arrival: int = 0


@dataclass(frozen=True)
class Restated:
    """What rules or code alone would change about one slot of a subject; held until approved (R2)."""

    slot: str
    entity: str
    currency: str
    standing_minor: int
    due_minor: int
    moved: Literal["rules", "code"]


class SubjectFacts(Protocol):
    """What is known of a subject, of whatever kind.

    store: whose documents they are, for switches and cases: a store, or an entity for what belongs to none of its
    stores. arrival, party_arrival: how far its facts had come in. unproven_at: (epoch, n) of the first event that
    something before may be missing of; None: nothing is."""

    @property
    def subject(self) -> str: ...
    @property
    def store(self) -> str: ...
    @property
    def arrival(self) -> int: ...
    @property
    def party_arrival(self) -> int: ...
    @property
    def is_known(self) -> bool: ...
    @property
    def unproven_at(self) -> tuple[int, int] | None: ...


class Reader(Protocol):
    """How the subjects of one kind are looked at: what is known of each, and what ought to exist for it."""

    def facts(self, tx: Any, subjects: Sequence[str], rules: Rules, as_of: datetime) -> Sequence[Any]:
        """What is known of each, in their order, as `SubjectFacts`."""

    def then(self, tx: Any, subject: str, look: Look) -> Any | None:
        """What an earlier look saw of it; None where that can't be told any more."""

    def dues(self, facts: Any, rules: Rules, as_of: datetime) -> Dues:
        """What ought to exist. Pure."""

    def slots(self, facts: Any, rules: Rules, as_of: datetime) -> Sequence[str]:
        """Slots that its documents may stand in beside those of what is due."""

    def earlier(self, facts: Any) -> Iterator[Any]:
        """The facts as they may have been when the ERP got a document that this ledger lost (R4), the latest first."""

    def is_before(self, facts: Any, others: Any) -> bool:
        """Whether these facts of a subject lack something that is among the others."""

    def without_fact(self, facts: Any, there: Sequence[Intent]) -> Case:
        """The case of a subject that the ERP holds documents of and no fact speaks of. there: one at least."""

    def keep(self, tx: Any, looked: Sequence[tuple[int, Any, Dues]], as_of: datetime) -> set[str]:
        """What looks leave behind beside intents, each by its id; the subjects to be looked at once more."""


class Facts(Protocol):
    """Reads a subject's facts; through_arrival, through_party_arrival: only what had arrived by then (R2)."""

    def __call__(
        self,
        tx: Any,
        store: str,
        order_id: str,
        through_arrival: int | None = None,
        through_party_arrival: int | None = None,
    ) -> OrderFacts: ...


class DuesOf(Protocol):
    """domain.dues.dues, or a stand-in."""

    def __call__(self, facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues: ...


class RulesBook(Protocol):
    """Rules by version, parsed once."""

    def current(self, tx: Any) -> Rules:
        """The version in force; raises CounterfoilError where none is loaded."""

    def version(self, tx: Any, version: str) -> Rules | None:
        """A version that was loaded once; None where it is unknown or no longer parses."""


class LaneHold(Protocol):
    """What one poster holds of a party and entity (K4, K5)."""

    def take(self, buckets: Sequence[int], commit_lag_s: float) -> list[int]:
        """Take what is free; all that are held."""

    def usable(self, tx: Any) -> list[int]:
        """The held buckets whose rest after an unclean hand-over is past."""

    def confirm(self, tx: Any) -> None:
        """Raises LaneLost unless this connection holds the locks."""

    def give_back(self) -> None:
        """Hand them back cleanly."""

    def forget(self) -> None:
        """The connection is gone."""


@dataclass
class LaneLost(Exception):
    """The connection is not the one that took the locks: another poster may serve these buckets already."""

    holder: str


class ClaimRecords(Protocol):
    """Leases on looks (`records/claims.py`)."""

    def claim(
        self, tx: Any, classes: Sequence[WorkClass], limit: int, lease_s: float, rest_s: float, token: str
    ) -> list[Claim]: ...
    def finish(self, tx: Any, claims: Sequence[Claim]) -> None: ...
    def release(self, tx: Any, claim: Claim, due_at: datetime, counts: bool = True) -> None: ...


class WorkRecords(Protocol):
    """The work list (`records/work.py`)."""

    def mark_due(
        self, tx: Any, subjects: Iterable[str], work_class: WorkClass = "live", due_at: datetime | None = None
    ) -> None: ...


class WaitRecords(Protocol):
    """Who waits for what (`records/waits.py`)."""

    def wait_for_results(self, tx: Any, needs: Sequence[tuple[int, str, str, str]]) -> None: ...
    def wait_for_watermarks(
        self, tx: Any, subjects: Sequence[str], needs: Sequence[tuple[str, str, int, int]]
    ) -> list[str]: ...
    def forget(self, tx: Any, waiters: Sequence[str]) -> None: ...
    def wake_by_results(self, tx: Any, entity: str, keys: Sequence[str]) -> None: ...
    def check_again(self, tx: Any) -> list[str]: ...


class IntentRecords(Protocol):
    """The ledger of intents (`records/intents.py`)."""

    def of_group(self, tx: Any, slots: Mapping[str, Iterable[str]]) -> dict[str, dict[str, list[Intent]]]: ...
    def by_key(self, tx: Any, party: str, entity: str, key: str) -> Intent | None: ...
    def add(self, tx: Any, new: Sequence[NewIntent]) -> Mapping[tuple[str, str, str], int]: ...
    def withdraw(self, tx: Any, intent: Intent) -> bool: ...
    def offer_again(self, tx: Any, intent: Intent) -> bool: ...
    def explain(
        self,
        tx: Any,
        intent: Intent,
        document: Document,
        about: str,
        after: Sequence[str],
        look_id: int | None,
        rules_version: str,
    ) -> None: ...
    def adopt(
        self, tx: Any, party: str, entity: str, key: str, number: str, content_hash: str, posted_on: date
    ) -> str | None: ...
    def release(self, tx: Any, subject: str, sparing: Sequence[str] = (), refused_only: bool = False) -> list[str]: ...
    def ready(
        self,
        tx: Any,
        party: str,
        entity: str,
        buckets: Sequence[int],
        stores_on: Sequence[str],
        work_class: WorkClass,
        limit: int,
    ) -> list[Intent]: ...
    def unmet(self, tx: Any, intents: Sequence[Intent]) -> set[int]: ...
    def mark_sent(self, tx: Any, intents: Sequence[Intent]) -> list[int]: ...
    def no_answer(self, tx: Any, intents: Sequence[Intent]) -> None: ...
    def sent_without_result(
        self, tx: Any, party: str, entity: str, buckets: Sequence[int], commit_lag_s: float, limit: int
    ) -> list[Intent]: ...
    def done(self, tx: Any, results: Sequence[tuple[Intent, str]]) -> set[int]: ...
    def refused_before(self, tx: Any, intents: Sequence[Intent]) -> list[Intent]: ...
    def doubt(self, tx: Any, intent: Intent) -> bool: ...
    def end_refusals(self, tx: Any, intents: Sequence[Intent]) -> None: ...
    def withdraw_beside(self, tx: Any, party: str, entity: str, key: str) -> list[str]: ...
    def overtaken(self, tx: Any, intents: Sequence[Intent]) -> set[int]: ...
    def refuse(self, tx: Any, intent: Intent, released: bool = False, number: str | None = None) -> bool: ...
    def postings_since(self, tx: Any, slot: str, since: datetime) -> int: ...
    def reversals_since(self, tx: Any, entity: str, since: datetime) -> tuple[int, int]: ...
    def old_numbers(self, tx: Any, entity: str, slots: Collection[str]) -> Mapping[str, str]: ...
    def would_post(self, tx: Any, store: str, party: str) -> list[Mapping[str, Any]]: ...
    def book_minor(self, document: Document) -> int: ...


class CaseRecords(Protocol):
    """Subjects that can't go on (`records/cases.py`)."""

    def open_case(
        self,
        tx: Any,
        subject: str,
        store: str,
        origin: str,
        case: Case,
        about_key: str | None = None,
        rules_version: str | None = None,
        party: str = "store",
    ) -> None: ...
    def settle(
        self,
        tx: Any,
        subject: str,
        store: str,
        found: Mapping[str, Sequence[Case]],
        still_refused: Callable[[str], bool],
        rules_version: str,
        open_now: Sequence[Mapping[str, Any]],
    ) -> None: ...
    def open_of(self, tx: Any, subjects: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, Any]]]: ...
    def resolve(self, tx: Any, case_id: int, resolution: str) -> None: ...
    def resolve_slots(self, tx: Any, slots: Mapping[str, Sequence[str]], resolution: str) -> None: ...
    def retried_at(self, tx: Any, subject: str) -> datetime | None: ...
    def of_subject(self, tx: Any, subject: str, with_resolved: bool = False) -> list[Mapping[str, Any]]: ...
    def grouped(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def subjects_of(self, tx: Any, fingerprint: str) -> list[str]: ...
    def subjects_with(self, tx: Any, origin: str, beginning: str) -> list[str]: ...
    def of_origin(self, tx: Any, origin: str) -> list[Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Wanted:
    """Which open cases somebody asks for, and in which order; None: whichever.

    opened_before: at that moment or earlier. least_amount: at stake, in units of whatever currency. sort: the dearest
    or the oldest first. limit, offset: of a page."""

    category: str | None = None
    store: str | None = None
    party: str | None = None
    owner: str | None = None
    fingerprint: str | None = None
    opened_before: datetime | None = None
    least_amount: Decimal | None = None
    with_snoozed: bool = False
    sort: Literal["money", "age"] = "money"
    limit: int = 100
    offset: int = 0


class InboxRecords(Protocol):
    """Open cases as people look for them (`records/inbox.py`)."""

    def cases(self, tx: Any, wanted: Wanted) -> list[Mapping[str, Any]]: ...
    def causes(self, tx: Any, wanted: Wanted) -> list[Mapping[str, Any]]: ...
    def money(self, tx: Any, wanted: Wanted, fingerprints: Sequence[str]) -> dict[str, list[dict[str, Any]]]: ...
    def counted(self, tx: Any, wanted: Wanted) -> Mapping[str, int]: ...
    def snoozed(self, tx: Any) -> int: ...
    def read(self, tx: Any, case_id: int) -> Mapping[str, Any] | None: ...


class NoteRecords(Protocol):
    """What people did about cases (`records/case_notes.py`)."""

    def add(self, tx: Any, case_ids: Sequence[int], who: str, what: str, said: str) -> None: ...
    def of_case(self, tx: Any, case_id: int) -> list[Mapping[str, Any]]: ...
    def assign(self, tx: Any, case_ids: Sequence[int], owner: str | None) -> None: ...
    def snooze(self, tx: Any, case_ids: Sequence[int], until: datetime | None) -> None: ...


class LookRecords(Protocol):
    """Looks and last readings (`records/looks.py`)."""

    def record(
        self, tx: Any, seen: Sequence[tuple[Claim, SubjectFacts, Dues]], as_of: datetime, code: str
    ) -> list[int]: ...
    def record_steps(self, tx: Any, steps: Mapping[int, Sequence[str]]) -> None: ...
    def read(self, tx: Any, look_id: int) -> Look | None: ...
    def save_readings(self, tx: Any, seen: Sequence[tuple[SubjectFacts, Dues, int]]) -> None: ...
    def subjects_of(self, tx: Any, store: str) -> list[str]: ...
    def mark_again(self, tx: Any, limit: int = 1000) -> int: ...
    def note_failure(self, tx: Any, subject: str, error: str) -> None: ...
    def failure(self, tx: Any, subject: str) -> str | None: ...
    def forget_failure(self, tx: Any, subject: str) -> None: ...


class RestatementRecords(Protocol):
    """What is held, the brake, and what people decided (`records/restatements.py`)."""

    def hold(self, tx: Any, held: Mapping[str, tuple[str, Sequence[Restated]]]) -> None: ...
    def totals(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def held(self, tx: Any, version: str) -> list[Mapping[str, Any]]: ...
    def approve(self, tx: Any, version: str, who: str) -> list[str]: ...
    def is_approved(self, tx: Any, version: str) -> bool: ...
    def brake(self, tx: Any, entity: str) -> tuple[bool, datetime | None]: ...
    def trip_brake(self, tx: Any, entity: str, reason: str) -> None: ...
    def release_brake(self, tx: Any, entity: str) -> bool: ...
    def brakes(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def audit(self, tx: Any, who: str, what: str, **detail: Any) -> None: ...


class BreakerRecords(Protocol):
    """Breakers that every process sees (`records/breakers.py`)."""

    FULL: int

    def allowance(self, tx: Any, party: str, entity: str) -> int: ...
    def trip(
        self, tx: Any, party: str, entity: str, reason: str, jitter: float, retry_after_s: float | None = None
    ) -> None: ...
    def worked(self, tx: Any, party: str, entity: str) -> None: ...


class JournalRecords(Protocol):
    """The engine's own journal (`records/journal.py`)."""

    def book(self, tx: Any, intents: Sequence[Intent]) -> set[str]: ...
    def take_over(self, tx: Any, documents: Sequence[tuple[int, Document]]) -> set[str]: ...


class RulesRecords(Protocol):
    """Versions of the rules, and switches (`records/rules_store.py`)."""

    def load(self, tx: Any, version: str, text: str, who: str) -> bool: ...
    def current_version(self, tx: Any) -> str | None: ...
    def text_of(self, tx: Any, version: str) -> str | None: ...
    def versions(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def set_switch(self, tx: Any, store: str, party: str, setting: str, who: str) -> None: ...
    def switches(self, tx: Any) -> dict[tuple[str, str], str]: ...


class UserRecords(Protocol):
    """People who command (`records/users.py`)."""

    def read(self, tx: Any, name: str) -> Mapping[str, Any] | None: ...
    def by_token_id(self, tx: Any, token_id: str) -> Mapping[str, Any] | None: ...
    def all_of_them(self, tx: Any) -> list[Mapping[str, Any]]: ...
    def standing(self, tx: Any) -> int: ...
    def save(
        self, tx: Any, name: str, role: str, token_id: str, token_hash: str, expires_at: datetime, who: str
    ) -> None: ...
    def set_token(self, tx: Any, name: str, token_id: str, token_hash: str, expires_at: datetime, who: str) -> bool: ...
    def remove(self, tx: Any, name: str) -> bool: ...
    def four_eyes_since(self, tx: Any) -> datetime | str | None: ...


class AuditRecords(Protocol):
    """What people decided, as a chain (`records/audit.py`)."""

    def head(self, tx: Any) -> tuple[int, str]: ...
    def entries(self, tx: Any, after: int = 0, limit: int = 1000, since: datetime | None = None) -> list[Entry]: ...


class ProposalRecords(Protocol):
    """What waits for a second person (`records/proposals.py`)."""

    def add(
        self,
        tx: Any,
        what: str,
        payload: str,
        payload_hash: str,
        summary: str,
        amounts: str,
        who: str,
        expires_at: datetime,
    ) -> int: ...
    def read(self, tx: Any, proposal: int) -> Mapping[str, Any] | None: ...
    def same(self, tx: Any, payload_hash: str, who: str) -> Mapping[str, Any] | None: ...
    def is_approved(self, tx: Any, payload_hash: str) -> bool: ...
    def listed(self, tx: Any, with_decided: bool, limit: int) -> list[Mapping[str, Any]]: ...
    def waiting(self, tx: Any) -> int: ...
    def decide(self, tx: Any, proposal: int, state: str, who: str, reason: str | None = None) -> bool: ...


class PeriodRecords(Protocol):
    """Locked periods (`records/periods.py`)."""

    def locked(self, tx: Any, entity: str) -> frozenset[str]: ...
    def share(self, tx: Any, entity: str) -> None: ...
    def alone(self, tx: Any, entity: str) -> None: ...
    def read(self, tx: Any, entity: str, period: str) -> Mapping[str, Any] | None: ...
    def lock(self, tx: Any, entity: str, period: str, who: str) -> None: ...
    def unlock(self, tx: Any, entity: str, period: str) -> bool: ...
    def on_their_way(self, tx: Any, entity: str, first: date, last: date) -> int: ...


class IdentityRecords(Protocol):
    """Which database this is (`records/identity.py`)."""

    def is_confirmed(self, tx: Any) -> bool: ...
    def life(self, tx: Any) -> int | None: ...
    def doubt(self, tx: Any, reason: str) -> None: ...
    def confirm(self, tx: Any, place: str) -> int: ...
    def alive(self, tx: Any) -> None: ...
    def to_adopt(self, tx: Any, party: str, entity: str) -> datetime | None: ...
    def adopted(self, tx: Any, party: str, entity: str, since: datetime, found_count: int) -> None: ...


@dataclass(frozen=True)
class Records:
    """All records that looks and posting need, over one database."""

    database: Transactions
    claims: ClaimRecords
    work: WorkRecords
    waits: WaitRecords
    intents: IntentRecords
    cases: CaseRecords
    looks: LookRecords
    restatements: RestatementRecords
    breakers: BreakerRecords
    journal: JournalRecords
    rules: RulesRecords
    identity: IdentityRecords
    users: UserRecords
    audit_log: AuditRecords
    proposals: ProposalRecords
    periods: PeriodRecords

    def transaction(self) -> AbstractContextManager[Any]:
        return self.database.transaction()


# Availability: positions of whoever owns a warehouse, and the numbers that are published of them.


@dataclass(frozen=True)
class PositionPage:
    """Positions as their owner said them, unread: `domain.stock.read_position` reads a row.

    as_of: when the reading began, by the owner's clock. token: on the last page, to ask for what changes after it."""

    rows: Sequence[Any]
    as_of: datetime
    token: str | None = None


@dataclass
class TokenForgotten(Exception):
    """The owner can't say what changed since so long ago: all has to be read."""


class StockOwner(Protocol):
    """An ERP or WMS that says what is in its warehouses. May raise Unavailable or RateLimited, on any page."""

    def positions(self, since: str | None = None) -> Iterator[PositionPage]:
        """All positions of its warehouses, or those that changed after a token; each row with the lines that it holds
        goods for, read in one consistent call, and its own as-of. Raises TokenForgotten."""


class Published(NamedTuple):
    """A number as it is published, before caps. version: its present one; 0 before it has one.

    stock_as_of: of the oldest position that it rests on; changed_as_of: of the one that changed it last."""

    key: str
    sku: str
    number: int
    excluded: bool
    backorders: bool
    silence_hours: int | None
    silence_share: Decimal
    stock_as_of: datetime | None
    again_at: datetime | None
    version: int = 0
    changed_as_of: datetime | None = None


class PublishedCap(NamedTuple):
    """A store's share of a SKU, and what is left of it."""

    store: str
    key: str
    cap: Cap
    left: int


class FeedRow(NamedTuple):
    """A number for a store: its cap applied, and the basis up to which it counts that store's sales.

    sku: as the owner of the stock writes it. version: of the pool, in this life of the engine. basis: None for a store
    whose agent was never heard. as_of: when what it rests on last changed at its owner. sold: all that the store ever
    lowered of the SKU, what it raised taken off."""

    sku: str
    key: str
    version: int
    number: int
    basis: tuple[int, int] | None
    as_of: datetime | None
    expires_at: datetime | None
    silence_share: str
    backorders: bool
    excluded: bool
    sold: int = 0


class Written(NamedTuple):
    """What a store answered when a number was written into it. version: as in FeedRow. as_of: the number's own."""

    key: str
    version: int
    number: int
    verdict: str
    stock: int | None = None
    reason: str | None = None
    at: datetime | None = None
    as_of: datetime | None = None


class Drifted(NamedTuple):
    """What a store had where another quantity was written. found: None where it couldn't be read."""

    key: str
    sku: str
    expected: int
    found: int | None
    status: str | None


@dataclass(frozen=True)
class PoolState:
    """version, publication: the last ones given. counted_on: the day of the last count of caps."""

    version: int = 0
    publication: int = 0
    rules_version: str | None = None
    counted_on: str | None = None


@dataclass
class PoolInputs:
    """What numbers are computed from, by the SKU's key; seen: of every warehouse, by its name.

    lines: that may reserve it; `lowered` is what counts of each. held: by (store, order, line, key)."""

    stock: dict[str, list[Stock]] = field(default_factory=dict)
    seen: dict[str, dict[str, Seen]] = field(default_factory=dict)
    skus: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[SoldLine]] = field(default_factory=dict)
    held: dict[tuple[str, str, str, str], list[Held]] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)


class PoolLocks(Protocol):
    """One publisher for each pool (A5)."""

    def hold(self, pool: str) -> AbstractContextManager[bool]:
        """Whether the lock was free; given back at the end."""


class AtsRecords(Protocol):
    """Numbers and what they are computed from (`records/ats.py`)."""

    def engine_epoch(self, tx: Any) -> int: ...
    def set_members(self, tx: Any, members: Iterable[tuple[str, str, str]]) -> bool: ...
    def begin_pool(self, tx: Any, pool: str, rules_version: str, day: str, floor: int = 0) -> None: ...
    def versions(self, tx: Any) -> dict[str, int]: ...
    def state_of(self, tx: Any, pool: str) -> PoolState: ...
    def mark_all(self, tx: Any, pool: str, reason: str, more: Iterable[str] = ()) -> int: ...
    def mark_time(self, tx: Any, pool: str, as_of: datetime) -> int: ...
    def dirty_pools(self, tx: Any, as_of: datetime) -> list[str]: ...
    def unread_names(self, tx: Any, rules_version: str | None) -> list[tuple[str, str, str]]: ...
    def rename(self, tx: Any, named: Sequence[tuple[str, str, str, str]], rules_version: str) -> None: ...
    def snapshot(self, tx: Any) -> None: ...
    def dirty(self, tx: Any, pool: str, limit: int) -> list[tuple[int, str, str]]: ...
    def inputs(self, tx: Any, pool: str, keys: Sequence[str], line_keys: Sequence[str]) -> PoolInputs: ...
    def sold(self, tx: Any, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]: ...
    def caps(self, tx: Any, pool: str, keys: Sequence[str]) -> dict[tuple[str, str], Cap]: ...
    def forget_caps(self, tx: Any, pool: str, places: Sequence[tuple[str, str]]) -> None: ...
    def bases(self, tx: Any, stores: Iterable[str]) -> dict[str, tuple[int, int]]: ...
    def publish(
        self,
        tx: Any,
        pool: str,
        state: PoolState,
        rows: Sequence[Published],
        new_caps: Sequence[PublishedCap],
        basis: Mapping[str, tuple[int, int]],
        done: Sequence[int],
    ) -> int: ...
    def note_again(self, tx: Any, pool: str, moments: Mapping[str, datetime | None]) -> None: ...
    def close_lines(self, tx: Any, lines: Sequence[SoldLine]) -> None: ...
    def writes_of(self, tx: Any, key: str) -> list[Mapping[str, Any]]: ...


class Ear(Protocol):
    """Hears what transactions told (`records/wakes.py`)."""

    def hear(self, timeout_s: float) -> frozenset[str]:
        """The words since the last call; waits so long for the first one. Empty: look for yourself."""

    def close(self) -> None: ...


class FeedPage(Protocol):
    """Numbers as published; see `records/feed.py`."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def more(self) -> bool: ...


class FeedRecords(Protocol):
    """What stores are told (`records/feed.py`)."""

    def page(self, tx: Any, pool: str, version: int, limit: int) -> FeedPage: ...
    def told(
        self, tx: Any, pool: str, rows: Sequence[Mapping[str, Any]], stores: Sequence[str]
    ) -> dict[str, list[FeedRow]]: ...


class MailboxRecords(Protocol):
    """The documents that wait for a store's agent (`records/mailbox.py`)."""

    def ready(self, tx: Any, store: str, is_on: bool, work_class: WorkClass, limit: int) -> list[Intent]: ...
    def unanswered(self, tx: Any, store: str, is_on: bool, older_s: float, limit: int) -> list[Intent]: ...
    def handed_out(self, tx: Any, store: str, keys: Sequence[str]) -> dict[str, Intent]: ...


class WriteRecords(Protocol):
    """What stores answered (`records/store_writes.py`)."""

    def note(self, tx: Any, store: str, writes: Sequence[Written]) -> None: ...
    def note_drift(self, tx: Any, store: str, drifted: Sequence[Drifted], is_marked: bool = True) -> None: ...
    def changed_as_of(self, tx: Any, pool: str, places: Mapping[str, int]) -> dict[str, datetime]: ...
    def known_to(self, tx: Any, pool: str, keys: Sequence[str]) -> set[str]: ...


class Applied(Protocol):
    """What became of positions; see `records/positions.py`."""

    @property
    def older(self) -> int: ...
    @property
    def changed(self) -> int: ...


class PositionRecords(Protocol):
    """Positions as kept (`records/positions.py`)."""

    def apply(self, tx: Any, positions: Sequence[Position]) -> Applied: ...
    def absent(self, tx: Any, warehouse: str, began: datetime, unread_since: datetime) -> tuple[list[str], int]: ...
    def spellings(self, tx: Any, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]: ...
    def reading_of(self, tx: Any, owner: str) -> Any: ...
    def keep_reading(
        self, tx: Any, owner: str, token: str | None, full_at: datetime | None, rules_version: str
    ) -> None: ...


# Being watched.


class Meter(Protocol):
    """Is told what happens, for others to count. Never raises, never waits. took_s: in seconds."""

    def answered(self, route: str, status: int, took_s: float) -> None:
        """A request. route: as it is described, never what was asked for."""

    def received(self, verdicts: Mapping[str, int]) -> None:
        """Events of a batch, by verdict."""

    def looked(self, subjects: Sequence[str], took_s: float) -> None:
        """A group was looked at."""

    def called(self, party: str, entity: str, call: str, outcome: str, took_s: float) -> None:
        """Another party. outcome: `ok`, or the category of its failure."""

    def posted(self, party: str, entity: str, outcomes: Mapping[str, int]) -> None:
        """Documents of a batch, by `posted`, `refused`, `unknown`."""

    def fed(self, call: str, took_s: float) -> None:
        """The feed answered."""
