"""The composition root: puts the engine's parts together, by hand. Nothing connects before it is asked to.

engine = build(database, clock, {"DE01": erp})   # tests, rehearsal: step_look(), step_post(), step_jobs()
serve(Path("engine.toml"), "all")                 # one process on SQLite; several roles on PostgreSQL
serve_feed(Path("engine.toml"))                   # the feed in a process of its own, on PostgreSQL
serve_console(Path("engine.toml"))                # the console likewise
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import random
import secrets
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import IO, Any, Protocol, cast

from flask import Flask
from loguru import logger

from counterfoil_engine import config
from counterfoil_engine.adapters.payouts.folder import Folder, format_of
from counterfoil_engine.api import gunicorn_conf
from counterfoil_engine.api.app import Engine as ApiEngine
from counterfoil_engine.api.app import create_app
from counterfoil_engine.api.cases import CaseDesk
from counterfoil_engine.api.control import Control
from counterfoil_engine.api.feed import FeedServer
from counterfoil_engine.api.finance import Finances
from counterfoil_engine.api.lookup import Lookup
from counterfoil_engine.api.server import Server, settle
from counterfoil_engine.api.sweeps import Sweeping
from counterfoil_engine.api.watch import Watching
from counterfoil_engine.console.app import add_console
from counterfoil_engine.console.parts import Console
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.facts import Party as PartyKind
from counterfoil_engine.domain.old_references import TakenOver
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.settlement.refund_watch import dues as dues_and_refunds
from counterfoil_engine.jobs import Jobs, schedule
from counterfoil_engine.ports import Clock, DuesOf, Erp, PartyFacts, PostingParty, Records, Rejected
from counterfoil_engine.records import (
    ats,
    book_sweeps,
    breakers,
    breaks,
    case_notes,
    cases,
    clearing_day,
    close,
    corrections,
    customers,
    erp_roles,
    events,
    facts,
    failures,
    feed,
    figures,
    finance,
    fleet,
    freed,
    heartbeats,
    holds,
    identity,
    inbox,
    kpis,
    lanes,
    looks,
    mailbox,
    moves,
    open_items,
    order_controls,
    order_page,
    party_facts,
    payouts,
    positions,
    postings,
    reports,
    search,
    shadows,
    sign_ins,
    slos,
    statistics,
    stock_pruning,
    store_writes,
    sweeps,
    taken_over,
    traces,
    trials,
    waits,
    wakes,
)
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.sequences import current_epoch, lock_store, watermark_of
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.trial import try_rules
from counterfoil_engine.watch.folder import process_ended, share_folder
from counterfoil_engine.watched import Watched, told_at, watched_by
from counterfoil_engine.work import pack, unpark
from counterfoil_engine.work.audit_log import AuditLog
from counterfoil_engine.work.books import Books
from counterfoil_engine.work.breaks import BreakDesk, Breaks, SettleBreak
from counterfoil_engine.work.case_hands import CaseHands
from counterfoil_engine.work.case_preview import CasePreview
from counterfoil_engine.work.clearing_day import ClearingDay, WithoutOrder
from counterfoil_engine.work.close import Close, UnlockPeriod
from counterfoil_engine.work.commands import OperatorCommands
from counterfoil_engine.work.corrections import CorrectOrder
from counterfoil_engine.work.decisions import the_decisions
from counterfoil_engine.work.erp_roles import ErpByRole, ErpRoles, Mirror
from counterfoil_engine.work.evidence import Evidence
from counterfoil_engine.work.failures import Failures
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.feed_cases import FeedCases
from counterfoil_engine.work.finance import Finance
from counterfoil_engine.work.fleet import Fleet
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.gateways import Gateways
from counterfoil_engine.work.inbox import Inbox
from counterfoil_engine.work.kpis import Kpis
from counterfoil_engine.work.likely import Likely
from counterfoil_engine.work.look import Looker, LookSettings
from counterfoil_engine.work.order_page import OrderPage
from counterfoil_engine.work.parties import Parties
from counterfoil_engine.work.party_facts import FactReader
from counterfoil_engine.work.payouts import ChooseReport, MatchLine, PayoutFolder, Payouts
from counterfoil_engine.work.positions import PositionReader
from counterfoil_engine.work.post import Lane, Poster
from counterfoil_engine.work.publish import Publisher
from counterfoil_engine.work.readers import OrderReader, PayoutReader, UnreportedReader
from counterfoil_engine.work.recalls import Recalls
from counterfoil_engine.work.receive import Receiver
from counterfoil_engine.work.refund_orders import PayRefund
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.search import Search
from counterfoil_engine.work.shadow import Shadow
from counterfoil_engine.work.sign_in import IdentityProvider, SignIn
from counterfoil_engine.work.slo import Objectives
from counterfoil_engine.work.stock_edits import StockEdits
from counterfoil_engine.work.sweep import Sweeps
from counterfoil_engine.work.sweep_books import BookSweeps, repair_books
from counterfoil_engine.work.sweep_orders import OrderSweep, read_again
from counterfoil_engine.work.sweep_schedule import SweepSchedule
from counterfoil_engine.work.sweep_stock import StockSweep
from counterfoil_engine.work.taken_over import TakingOver, numbers
from counterfoil_engine.work.trials import Trials
from counterfoil_engine.work.updates import Updates
from counterfoil_engine.work.users import Users

PARTY = "erp"
FACTS_S = 2.0  # between two questions to a source that had nothing more to say
IDLE_S = 0.2
AFTER_FAILURE_S = 2.0
PUBLISH_IDLE_S = 0.25  # it is told when something is marked, and looks besides
PAYOUTS_S = 5.0  # between two looks into the drop folder: what has not changed meanwhile is whole
BOOKS_S = 2.0  # between two looks whether somebody asked for a sweep of books
TRIALS_S = 2.0  # between two looks whether somebody asked to try rules
MIRROR_S = 0.5  # between two looks at what an ERP that runs beside lacks
POSITIONS_S = 1.0  # between two readings of what changed in the warehouses
LONGEST_WAIT_S = 30.0  # between two questions whether a party is there, at the start
WORKERS = 2  # threads that look, on PostgreSQL; SQLite has one writer anyway


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)


class OtherParty(PostingParty, PartyFacts, Protocol):
    """A WMS, a gateway or a tax service: takes documents, and says what happened."""


@dataclass(frozen=True)
class PartyLine:
    """One of them as the settings have it: for which entities it takes documents, and the way to it."""

    kind: PartyKind
    source: str
    port: OtherParty
    entities: Sequence[str] = ()


@dataclass
class Engine:
    """One engine over one database. erps: by entity. parties: those beside them. Steps do one thing and return whether
    they did."""

    database: Database
    clock: Clock
    erps: Mapping[str, Erp]
    records: Records
    book: Book
    events: events.StoredEvents
    jobs: Jobs
    place: str
    dues: DuesOf
    settings: LookSettings
    parse: Callable[[str, str | None], Rules]
    jitter: Callable[[], float]
    new_id: Callable[[], str]
    registry: lanes.Registry = field(default_factory=lanes.Registry)
    parties: Sequence[PartyLine] = ()
    payout_folder: Path | None = None
    watched: Watched = field(default_factory=Watched)
    silent_after: timedelta = timedelta(seconds=config.Limits.silent_after_s)
    _folder: PayoutFolder | None = None
    _looker: Looker | None = None
    _posters: list[Poster] | None = None
    _publisher: Publisher | None = None
    _schedule_of_sweeps: SweepSchedule | None = None
    _books: BookSweeps | None = None

    def looker(self) -> Looker:
        """A looker of one's own: one for each thread."""
        readers = {
            "order": OrderReader(self.dues, facts.facts_of, facts.facts_of_group, self.shadow(), search.keep),
            "payout": self._payout_reader(),
            "payouts": UnreportedReader(),
        }
        parts = (self.records, self.book, readers, self.new_id, self._numbers, self.settings)
        return Looker(*parts, self.watched.looked)

    def shadow(self) -> Shadow:
        """What computes by the rules in shadow: one of one's own for each thread."""
        return Shadow(self.records, shadows, self.dues, lambda text: self.parse(text, None))

    def receivers(self) -> dict[tuple[str, str], PostingParty]:
        """Who takes documents, by party and entity."""
        taking: dict[tuple[str, str], PostingParty] = {(PARTY, entity): erp for entity, erp in self.erps.items()}
        gateways: dict[str, dict[str, PostingParty]] = {}
        for line in self.parties:
            for entity in line.entities:
                if line.kind == "gateway":
                    gateways.setdefault(entity, {})[line.source] = line.port
                else:
                    taking[line.kind, entity] = line.port
        return taking | {("gateway", entity): Gateways(by_name) for entity, by_name in gateways.items()}

    def posters(self, entity: str, party: str = PARTY) -> list[Poster]:
        """A poster for each lane of an entity's ERP, or another party. Asks it how many it takes."""
        receiver = self.receivers()[party, entity]
        return [self._poster(party, entity, receiver, lane, receiver.lanes) for lane in range(receiver.lanes)]

    def step_look(self) -> bool:
        """Look at a group of subjects, if some are due."""
        if self._looker is None:
            self._looker = self.looker()
        return self._looker.step()

    def step_post(self) -> bool:
        """One step of every lane of every party."""
        if self._posters is None:
            self._posters = [poster for party, entity in self.receivers() for poster in self.posters(entity, party)]
        did = False
        for poster in self._posters:
            did = poster.step() or did
        return did

    def publisher(self) -> Publisher:
        """What publishes stock: one of one's own for each thread."""
        return Publisher(self.database, self.book, ats, ats.PoolLocks(self.database), self._catch_up_once())

    def _catch_up_once(self) -> Callable[[], bool]:
        """Counts the moves of events that an older version stored, at the start; later ones are counted at ingest."""
        left: list[str] | None = None

        def catch_up() -> bool:
            nonlocal left
            if left is None:
                with self.records.transaction() as tx:
                    left = moves.behind(tx)
            if not left:
                return False
            with self.records.transaction() as tx:
                lock_store(tx, left[-1])
                epoch = current_epoch(tx, left[-1])
                if epoch is None or not moves.catch_up(tx, left[-1], watermark_of(epoch)):
                    left.pop()
            return True

        return catch_up

    def step_publish(self) -> bool:
        """Publish what is marked."""
        if self._publisher is None:
            self._publisher = self.publisher()
        return self._publisher.step()

    def step_positions(self) -> bool:
        """Read what changed in the warehouses of each ERP that says so."""
        return sum(self.read_positions(entity) for entity in self.erps) > 0

    def read_positions(self, entity: str) -> bool:
        """Read one ERP's positions, unless another process is at it."""
        owner = self.erps[entity]
        with self.records.transaction() as tx:
            if not hasattr(owner, "positions") or self.records.rules.current_version(tx) is None:
                return False
        with ats.PoolLocks(self.database).hold(f"positions {PARTY} {entity}") as is_free:
            if not is_free or self._is_held(PARTY, entity):
                return False
            return PositionReader(self.database, self.book, positions, cases, owner, PARTY, entity).step() > 0

    def step_facts(self) -> bool:
        """Read a page of what each other party has to say; whether one of them has more."""
        more = [self.read_facts(line) for line in self.parties]
        return any(more)

    def read_facts(self, line: PartyLine) -> bool:
        """Read a page of one source, unless another process is at it; whether it has more."""
        with ats.PoolLocks(self.database).hold(f"facts {line.kind} {line.source}") as is_free:
            if not is_free or any(self._is_held(line.kind, each) for each in (line.source, *line.entities)):
                return False
            return FactReader(self.records, party_facts, line.port, line.kind, line.source, self.jitter).step()

    def _is_held(self, party: str, entity: str) -> bool:
        """Whether a person has it left alone for a while. entity: or the source's name."""
        with self.records.transaction() as tx:
            return holds.is_held(tx, party, entity)

    def payouts(self) -> Payouts:
        """What takes payout reports."""
        likely = Likely(self._payout_reader(), self.book, customers.names_of)
        formats = functools.partial(format_of, self.payout_folder)
        return Payouts(self.records, payouts, self.book, party_facts, formats, likely)

    def _payout_reader(self) -> PayoutReader:
        return PayoutReader(payouts, postings, party_facts, customers.names_of)

    def step_payouts(self) -> bool:
        """Take what lies ready in the drop folder, unless another process is at it."""
        if self.payout_folder is None:
            return False
        self._folder = self._folder or PayoutFolder(self.records, self.payouts(), Folder(self.payout_folder))
        with ats.PoolLocks(self.database).hold("payouts") as is_free:
            return is_free and self._folder.step()

    def step_jobs(self) -> bool:
        """Every job of the schedule once."""
        return self.jobs.step() > 0

    def give_back(self) -> None:
        """Hand the lanes of step_post back cleanly."""
        for poster in self._posters or []:
            poster.give_back()
        self._posters = None

    def load_rules(self, text: str, who: str = "settings") -> str:
        """Put rules in force, unless this version was in force before with the same content; its label."""
        rules = self.parse(text, None)
        with self.records.transaction() as tx:
            known = self.book.text_of(tx, rules.version)
            current = self.records.rules.current_version(tx)
            takes_another = current is not None and self.records.users.four_eyes_since(tx) is not None
        if known == text:
            return rules.version
        if current is not None and takes_another:
            logger.warning("rules file left alone: it takes two people (counterfoil rules load)", version=rules.version)
            return current
        return unpark.load_rules(self.records, lambda given: self.parse(given, None), text, who)[0]

    def receiver(self, limits: config.Limits | None = None, feed_url: str | None = None) -> Receiver:
        limits = limits or config.Limits()
        return Receiver(self.events, self.clock, limits.events, limits.retain_s, feed_url)

    def feed(self) -> Feed:
        """What stores' agents ask of stock, and say of it."""
        edits = StockEdits(breaks, self.breaks(), store_writes)
        cases_of_feed = FeedCases(cases, store_writes)
        made = Feed(self.database, self.book, identity, ats, feed, store_writes, cases_of_feed, edits)
        return cast("Feed", self.watched.feed(made))

    def breaks(self) -> Breaks:
        """What sweeps found, and the repair of each kind."""
        books = repair_books(self.records, book_sweeps, self.book.current)
        repairs = {"stock": _write_again, "orders": read_again(sweeps), "erp": books}
        return Breaks(breaks, self.book, repairs, self._counted)

    def sweeping(self) -> Sweeping:
        """Sweeps over stores, and the breaks that they find."""
        found = self.breaks()
        stock = StockSweep(identity, sweeps, ats, facts.facts_of)
        kinds = {"stock": stock, "orders": OrderSweep(order_controls, breaks)}
        desk = BreakDesk(self.records, breaks, found, self.book, self.four_eyes())
        return Sweeping(self._sweeps(found, kinds), desk)

    def _sweeps(self, found: Breaks, kinds: Mapping[str, Any]) -> Sweeps:
        ledgers = [entity for entity, erp in self.erps.items() if hasattr(erp, "entries")]
        return Sweeps(self.records, sweeps, self.book, found, kinds, ledgers)

    def step_books(self) -> bool:
        """Carry out a sweep of an entity's books that waits, unless another process is at it."""
        if self._books is None:
            running = self._sweeps(self.breaks(), {})
            self._books = BookSweeps(self.records, running, book_sweeps, close, open_items, breaks, self.erps)
        with ats.PoolLocks(self.database).hold("sweeps of books") as is_free:
            return is_free and self._books.step()

    def step_sweeps(self) -> int:
        """Begin the sweeps that are due by rule; how many."""
        if self._schedule_of_sweeps is None:
            self._schedule_of_sweeps = SweepSchedule(self.records, sweeps, self.book, self.sweeping().sweeps)
        return self._schedule_of_sweeps.step()

    def _counted(self, tx: Any, sweep: str, store: str) -> int:
        """Of how many a brake takes its share: SKUs that a store sells, documents that it has posted."""
        if sweep == "erp":
            return book_sweeps.posted(tx, store)
        return sweeps.sold_skus(tx, self.book.current(tx).store(store).pool)

    def feed_server(self, settings: config.Settings) -> FeedServer:
        """The feed over HTTP."""
        ear = wakes.listen(self.database, wakes.POOL)
        return FeedServer(self.feed(), settings.store_secrets, settings.limits, self.clock, ear)

    def commands(self) -> OperatorCommands:
        """What operators ask and do."""
        return OperatorCommands(
            self.records,
            reports,
            self.book,
            self.looker(),
            self.events,
            lambda text: self.parse(text, None),
            facts.subjects_since,
            self.place,
            publisher=self.publisher(),
            pass_over=_pass_over,
            four_eyes=self.four_eyes(),
            shadow=self.shadow(),
            silent_after=self.silent_after,
        )

    def app(self, settings: config.Settings) -> Flask:
        """The HTTP API, and the console beside it."""
        app = create_app(
            ApiEngine(
                self.receiver(settings.limits, settings.feed.url),
                self.commands(),
                self.check_database,
                self.clock,
                settings,
                self.control(),
                self.feed(),
                Updates(self.records, mailbox, self.book),
                self.finances(),
                cases=self.case_desk(),
                sweeping=self.sweeping(),
                watching=Watching(self.watched.metrics, self.objectives(), self.kpis()),
                meter=self.watched.meter,
                lookup=Lookup(Search(self.records, search), self.pauses()),
                erp_roles=self.erp_roles(),
                taking_over=self.taking_over(),
            )
        )
        add_console(app, self.console(settings.console))
        return app

    def console_app(self, settings: config.Settings) -> Flask:
        """The console alone."""
        app = Flask("counterfoil_console", static_folder=None)
        app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        add_console(app, self.console(settings.console))
        app.add_url_rule("/v1/health", "health", self._healthy)
        return app

    def _healthy(self) -> dict[str, bool]:
        self.check_database()
        return {"ok": True}

    def console(self, settings: config.ConsoleSettings) -> Console:
        """What the console's pages stand on."""
        return Console(
            self.commands(),
            self.control(),
            self.case_desk(),
            self.finances(),
            self.sweeping(),
            Fleet(self.records, fleet),
            OrderPage(self.records, order_page),
            Search(self.records, search),
            self.pauses(),
            Watching(None, self.objectives(), self.kpis()),
            Failures(self.records, failures),
            Books(self.records, self.book),
            self.trials(),
            functools.partial(self._packed, settings.evidence_key),
            self.sign_in(),
            self.clock,
            settings,
            provider_of(settings),
        )

    def pauses(self) -> Parties:
        """The parties, and their planned pauses."""
        return Parties(self.records, holds, breakers, self.receivers())

    def trials(self) -> Trials:
        """Rules that people try over what is stored."""

        def tries(text: str, since: datetime, told: Callable[[int], None]) -> Mapping[str, Any]:
            return try_rules(self.database.url, text, since, self.clock, told=told)

        return Trials(self.records, trials, self.parse, tries)

    def step_trials(self) -> bool:
        """Compute a trial that waits, unless another process is at one."""
        with ats.PoolLocks(self.database).hold("trials") as is_free:
            return is_free and self.trials().step()

    def _packed(self, key_file: Path | None, entity: str, period: str) -> bytes:
        """An evidence pack of a month, signed with the key that the console's environment names."""
        if key_file is None:
            raise Rejected(
                "The console has no key to sign evidence with.",
                "Let COUNTERFOIL_EVIDENCE_KEY name one in its environment, or use counterfoil evidence pack.",
                slug="request",
            )
        try:
            key = pack.private_key(key_file.read_bytes(), str(key_file))
        except OSError as error:
            raise Rejected(
                f"The evidence key can't be read: {error.strerror}.", "See COUNTERFOIL_EVIDENCE_KEY.", slug="request"
            ) from None
        said = self.control().evidence.of(entity, period)
        return pack.zipped(pack.seal(said["facts"], said["files"], key))

    def sign_in(self) -> SignIn:
        """Passwords and sessions."""
        return SignIn(self.records, sign_ins, lambda: secrets.token_urlsafe(32), lambda: secrets.token_bytes(16))

    def objectives(self) -> Objectives:
        """What is promised, and how it stands."""
        watched = self.watched
        parts = (self.records, slos, self.book, watched.promised(), figures.figures)
        return Objectives(*parts, watched.sinks, watched.runbooks)

    def kpis(self) -> Kpis:
        """The key figures of each day."""
        return Kpis(self.records, kpis, self.book)

    def case_desk(self) -> CaseDesk:
        """The inbox, and what people do about cases."""
        parse = lambda text: self.parse(text, None)  # noqa: E731
        hands = CaseHands(self.records, inbox, case_notes, parse, self.four_eyes())
        looker = self.looker()
        preview = CasePreview(self.records, inbox, looker, hands, parse)
        return CaseDesk(Inbox(self.records, inbox, case_notes, looker, freed.progress), hands, preview, self.clock)

    def control(self) -> Control:
        """Who may command, and what stays provable."""
        users = Users(self.records, lambda: (secrets.token_hex(8), secrets.token_urlsafe(32)))
        evidence = Evidence(self.records, close, self.book, self.close())
        return Control(users, AuditLog(self.records), self.four_eyes(), self.close(), evidence, self.sign_in())

    def finances(self) -> Finances:
        """Payouts, clearing, refunds."""
        ledgers: dict[str, Any] = {entity: erp for entity, erp in self.erps.items() if hasattr(erp, "balances")}
        unknown = WithoutOrder(clearing_day, payouts)
        asked = Finance(self.records, finance, self.book, self.dues, facts.facts_of_group, unknown, ledgers)
        days = ClearingDay(self.records, clearing_day, unknown, self.book)
        return Finances(self.payouts(), asked, days, self.four_eyes())

    def close(self) -> Close:
        """A period's check and its lock."""
        ledgers: dict[str, Any] = {entity: erp for entity, erp in self.erps.items() if hasattr(erp, "balances")}
        return Close(self.records, close, self.book, ledgers)

    def four_eyes(self) -> FourEyes:
        """What takes a second person."""
        parse = lambda text: self.parse(text, None)  # noqa: E731
        decisions = [*the_decisions(self.records, self.book, parse), UnlockPeriod(self.records)]
        decisions.append(SettleBreak(self.records, breaks, self.breaks()))
        decisions += [MatchLine(self.records, payouts, postings, self.book), ChooseReport(self.records, payouts)]
        order = (self.records, inbox, case_notes, corrections, self.book, self.dues, facts.facts_of)
        decisions.append(CorrectOrder(*order))
        decisions.append(PayRefund(self.records, self.book, self.dues, facts.facts_of))
        return FourEyes(self.records, self.book, decisions)

    def check_database(self) -> None:
        try:
            with self.records.transaction() as tx:
                tx.one("select 1 as works")
        except Exception as error:
            raise Unavailable(
                f"The database doesn't answer ({type(error).__name__}).", "It is tried again by itself; see its log."
            ) from error

    def _poster(self, party: str, entity: str, receiver: PostingParty, lane: int, of: int) -> Poster:
        hold = lanes.Hold(self.database, self.registry, party, entity, f"{socket.gethostname()} {self.new_id()}")
        served = Lane(party, entity, lanes.dealt(lane, of))
        wms = next((one.source for one in self.parties if one.kind == "wms" and entity in one.entities), "")
        heard = Recalls(party_facts, wms).refused
        choose = None
        if party == PARTY and isinstance(receiver, ErpByRole):
            choose = functools.partial(self.erp_roles().choose, entity=entity)
        return Poster(self.records, self.book, receiver, served, hold, self.jitter, heard, choose)

    def erp_roles(self) -> ErpRoles:
        """Which ERP counts, of the entities that have two."""
        return ErpRoles(self.records, erp_roles, close, self._replaced())

    def _replaced(self) -> dict[str, ErpByRole]:
        return {entity: erp for entity, erp in self.erps.items() if isinstance(erp, ErpByRole)}

    def step_mirror(self) -> bool:
        """Give each ERP that runs beside what stands in the one that counts."""
        return sum(self.mirror(entity) for entity in self._replaced()) > 0

    def mirror(self, entity: str) -> bool:
        """Give one ERP beside a batch, unless another process is at it."""
        place = self._replaced()[entity]
        with ats.PoolLocks(self.database).hold(f"mirror {entity}") as is_free:
            return is_free and Mirror(self.records, erp_roles, self.erp_roles(), place, entity).step()

    def _numbers(self, rules: Rules, wanted: Sequence[TakenOver]) -> Mapping[str, str]:
        """The ERP's own numbers of documents taken over, where it has them (R3)."""
        document = wanted[0].document
        erp = self.erps.get(document.entity) if document.party == PARTY else None
        return numbers(erp, rules, wanted) if erp else {}

    def taking_over(self) -> TakingOver:
        return TakingOver(self.records, taken_over, self.book, self.erps)

    # Running.

    def run(self, role: str, stop: threading.Event) -> list[threading.Thread]:
        """Start a role's threads: worker, poster, scheduler, or all of them. They end once stop is set."""
        threads: list[threading.Thread] = []

        def start(name: str, target: Callable[[], None]) -> None:
            threads.append(threading.Thread(target=target, name=name, daemon=True))
            threads[-1].start()

        if role in ("all", "worker"):
            for number in range(1 if self.database.is_sqlite else WORKERS):
                start(f"worker {number}", lambda: self._work(stop))
            start("publisher", lambda: self._publish(stop))
        if role in ("all", "poster"):
            for place in self.receivers():
                start(f"lanes {' '.join(place)}", lambda place=place: self._deal(place, stop, start))  # type: ignore[misc]
        if role in ("all", "scheduler"):
            start("scheduler", lambda: self._schedule(stop))
            for entity in self.erps:
                start(f"positions {entity}", lambda entity=entity: self._read(entity, stop))  # type: ignore[misc]
            start("sweeps of books", lambda: self._sweep_books(stop))
            start("trials", lambda: self._try(stop))
            for entity in self._replaced():
                start(f"mirror {entity}", lambda entity=entity: self._mirror(entity, stop))  # type: ignore[misc]
            if self.payout_folder:
                start("payouts", lambda: self._take_payouts(stop))
            for line in self.parties:
                start(f"facts {line.source}", lambda line=line: self._listen(line, stop))  # type: ignore[misc]
        return threads

    def _deal(
        self, place: tuple[str, str], stop: threading.Event, start: Callable[[str, Callable[[], None]], None]
    ) -> None:
        """One thread a lane; the first lane runs here. How many there are only a party that answers can say: dealt out
        while it is down, they would be one for as long as this process lives."""
        party, entity = place
        pause_s = AFTER_FAILURE_S
        while not (health := self.receivers()[place].health()).ok:
            logger.warning("lanes wait for their party", party=party, entity=entity, cause=health.detail)
            if stop.wait(pause_s):
                return
            pause_s = min(2 * pause_s, LONGEST_WAIT_S)
        first, *others = self.posters(entity, party)
        for number, poster in enumerate(others, start=1):
            start(f"poster {party} {entity} {number}", lambda poster=poster: self._post(poster, stop))  # type: ignore[misc]
        self._post(first, stop)

    def _post(self, poster: Poster, stop: threading.Event) -> None:
        self._loop(poster.step, stop, poster.forget)
        with contextlib.suppress(Exception):  # what can't be handed back waits for its commit lag
            poster.give_back()
        self._reopen()

    def _work(self, stop: threading.Event) -> None:
        self._loop(self.looker().step, stop)
        self._reopen()

    def _publish(self, stop: threading.Event) -> None:
        publisher, ear = self.publisher(), wakes.listen(self.database, wakes.STOCK)
        self._loop(publisher.step, stop, rest=lambda: ear.hear(PUBLISH_IDLE_S))
        ear.close()
        self._reopen()

    def _read(self, entity: str, stop: threading.Event) -> None:
        def step() -> bool:
            return self.read_positions(entity) and not stop.wait(POSITIONS_S)

        self._loop(step, stop, rest=lambda: stop.wait(POSITIONS_S))
        self._reopen()

    def _sweep_books(self, stop: threading.Event) -> None:
        self._loop(self.step_books, stop, rest=lambda: stop.wait(BOOKS_S))
        self._reopen()

    def _try(self, stop: threading.Event) -> None:
        self._loop(self.step_trials, stop, rest=lambda: stop.wait(TRIALS_S))
        self._reopen()

    def _mirror(self, entity: str, stop: threading.Event) -> None:
        self._loop(lambda: self.mirror(entity), stop, rest=lambda: stop.wait(MIRROR_S))
        self._reopen()

    def _listen(self, line: PartyLine, stop: threading.Event) -> None:
        self._loop(lambda: self.read_facts(line), stop, rest=lambda: stop.wait(FACTS_S))
        self._reopen()

    def _take_payouts(self, stop: threading.Event) -> None:
        self._loop(lambda: self.step_payouts() and not stop.wait(PAYOUTS_S), stop, rest=lambda: stop.wait(PAYOUTS_S))
        self._reopen()

    def _loop(
        self,
        step: Callable[[], bool],
        stop: threading.Event,
        forget: Callable[[], None] | None = None,
        rest: Callable[[], object] | None = None,
    ) -> None:
        """Step until stopped; rest: while there is nothing to do. After an unforeseen failure the connection is opened
        anew, and lanes are taken anew."""
        while not stop.is_set():
            try:
                if not step():
                    rest() if rest else stop.wait(IDLE_S)
            except Exception as error:
                if isinstance(error, Unavailable):
                    logger.warning("step failed", cause=error.cause)
                else:
                    logger.exception("step failed")
                if forget:
                    forget()
                self._reopen()
                stop.wait(AFTER_FAILURE_S)

    def _reopen(self) -> None:
        """Close this thread's connection, if it has one of its own; the next transaction opens another."""
        if not self.database.is_sqlite:
            with contextlib.suppress(Exception):
                self.database.close()

    def _schedule(self, stop: threading.Event) -> None:
        jobs = replace(self.jobs, sweeps=self.step_sweeps, objectives=self.objectives().step, kpis=self.kpis().step)
        scheduler = schedule(jobs, lambda: lanes.leads(self.database), self._reopen)
        scheduler.start()
        stop.wait()
        scheduler.shutdown(wait=True)


def build(
    database: Database,
    clock: Clock,
    erps: Mapping[str, Erp],
    *,
    settings: LookSettings | None = None,
    dues: DuesOf = dues_and_refunds,
    parse: Callable[[str, str | None], Rules] = parse_rules,
    jitter: Callable[[], float] = random.random,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    witnessed_starts: int = 0,
    parties: Sequence[PartyLine] = (),
    payout_folder: Path | None = None,
    watched: Watched | None = None,
    silent_after_s: int = config.Limits.silent_after_s,
) -> Engine:
    """An engine over an open, migrated database; says who it is (R4). erps: by entity. parties: those beside them.
    watched: None: by nobody."""
    records, watched = records_over(database), watched or Watched()
    place = identity.place_of(database, socket.gethostname())
    with database.transaction() as tx:
        identity.establish(tx, place, new_id(), witnessed_starts)
    return Engine(
        database=database,
        clock=clock,
        erps=erps
        if watched.meter is None
        else {entity: _watched(watched, erp, entity) for entity, erp in erps.items()},
        records=records,
        book=Book(parse),
        events=events.StoredEvents(database, waits.wake, watched.took_in),
        jobs=Jobs(records, _prune, stock_pruning.prune, statistics.refresh),
        place=place,
        dues=dues,
        settings=replace(settings or LookSettings(), code_version=domain_version()),
        parse=parse,
        jitter=jitter,
        new_id=new_id,
        parties=[replace(line, port=watched.party(line.port, line.kind, line.source)) for line in parties],
        payout_folder=payout_folder,
        watched=watched,
        silent_after=timedelta(seconds=silent_after_s),
    )


def _watched(watched: Watched, erp: Any, entity: str) -> Any:
    """An ERP whose calls are counted; of two, each of them."""
    if isinstance(erp, ErpByRole):
        return ErpByRole(erp.counts, {name: watched.party(each, PARTY, entity) for name, each in erp.erps.items()})
    return watched.party(erp, PARTY, entity)


@functools.cache
def domain_version() -> str:
    """The version of what decides what is due: a hash over the domain's sources, so that what code alone changed is
    held once per code (R2), and an approval never covers code that came later."""
    digest = hashlib.sha256()
    domain = resources.files("counterfoil_engine.domain")
    for folder in (domain, domain / "settlement"):
        sources = [entry for entry in folder.iterdir() if entry.name.endswith(".py")]
        for source in sorted(sources, key=lambda one: one.name):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def _write_again(tx: Any, store: str, subjects: Sequence[str]) -> None:
    """The repair of stock: a new version of each number, which is written as any other."""
    store_writes.write_again(tx, store, [subject.partition("/")[2] for subject in subjects])


def _pass_over(tx: Any, store: str) -> tuple[int, int] | None:
    """Count on after the event that holds the basis; the place that is reached, None where nothing holds it."""
    lock_store(tx, store)
    if not moves.pass_over(tx, store):
        return None
    epoch = current_epoch(tx, store)
    while epoch is not None and moves.catch_up(tx, store, watermark_of(epoch)):
        if moves.basis_of(tx, store).held:  # by the next one
            break
    basis = moves.basis_of(tx, store)
    return basis.epoch, basis.n


def _prune(tx: Any, before: datetime) -> None:
    looks.prune(tx, before)
    heartbeats.prune(tx, before)
    sweeps.prune(tx, before)
    traces.prune(tx, before)
    trials.prune(tx, before)
    today: date = tx.now().date()
    events.add_partitions(tx, today.replace(day=1), 3)


def erps_of(settings: config.Settings) -> dict[str, Erp]:
    """Each entity's ERP, by the adapter that the settings name; where one is to be replaced, whichever counts."""
    erps: dict[str, Erp] = {entity: _erp_of("erp", each) for entity, each in settings.erps.items()}
    for entity, each in settings.successors.items():
        first = settings.erps[entity].name
        erps[entity] = ErpByRole(first, {first: erps[entity], each.name: _erp_of("successor", each)})
    return erps


def _erp_of(of: str, each: config.ErpSettings) -> Erp:
    from counterfoil_engine.adapters.erp.http import HttpErp
    from counterfoil_engine.adapters.erp.tryton import TrytonErp

    adapters: dict[str, Callable[..., Erp]] = {"http": HttpErp, "tryton": TrytonErp}
    with _named_in(f"[{of}.{each.entity}]", each.adapter, adapters):
        return adapters[each.adapter](each.url, each.token, **each.options)


def parties_of(settings: config.Settings) -> list[PartyLine]:
    """The parties beside the ERPs, by the adapters that the settings name."""
    from counterfoil_engine.adapters.party.http import HttpParty

    lines: list[PartyLine] = []
    for name, each in settings.parties.items():
        with _named_in(f"[party.{name}]", each.adapter, ("http",)):
            port = HttpParty(each.kind, name, each.url, each.token, **each.options)
            lines.append(PartyLine(each.kind, name, port, each.entities))
    return lines


def provider_of(settings: config.ConsoleSettings) -> IdentityProvider | None:
    """Who vouches for people besides their passwords."""
    if settings.oidc is None:
        return None
    from counterfoil_engine.adapters.identity.oidc import OpenIdProvider

    asked = settings.oidc
    back_to = f"{settings.url}/console/sign-in/back"
    return OpenIdProvider(asked.issuer, asked.client_id, asked.client_secret, back_to, asked.claim)


@contextlib.contextmanager
def _named_in(where: str, adapter: str, known: Collection[str]) -> Iterator[None]:
    """Making an adapter by what stands in this part of the settings."""
    if adapter not in known:
        there = f"There is: {', '.join(sorted(known))}."
        raise CounterfoilError(f"Settings: {where} names the adapter {adapter!r}.", there, "contract")
    try:
        yield
    except TypeError as error:
        raise CounterfoilError(
            f"Settings: {where} has an option that the adapter doesn't know ({error}).",
            "See counterfoil-engine.example.toml for those it has.",
            "contract",
        ) from None


def looks_by(limits: config.Limits) -> LookSettings:
    return LookSettings(
        lease_s=limits.lease_s,
        reversals_an_hour=limits.reversals_an_hour,
        reversed_book_minor_an_hour=limits.reversed_minor_an_hour,
    )


def _refuse_forgotten(settings: config.Settings, engine: Engine) -> None:
    """An ERP that took over counts, also where the settings name the one before alone."""
    with engine.records.transaction() as tx:
        for entity, each in settings.erps.items():
            names = {each.name} | {other.name for other in [settings.successors.get(entity)] if other}
            row = erp_roles.read(tx, entity)
            if row is not None and row["counts"] not in names:
                raise CounterfoilError(
                    f"Settings: the ERP {row['counts']!r} counts for {entity}, and [erp.{entity}] is {each.name!r}.",
                    f'Write the one that counts there, with name = "{row["counts"]}".',
                    "contract",
                )


@contextlib.contextmanager
def opened(settings: config.Settings, clock: Clock) -> Iterator[Engine]:
    """The engine that the settings describe: database locked (SQLite) and migrated, rules loaded, identity known."""
    with _alone(settings.database) as witness, contextlib.ExitStack() as ended:
        database = Database(settings.database, clock)
        try:
            database.migrate()
            watched = ended.enter_context(watched_by(settings, database, clock, lambda: engine.objectives().figures()))
            engine = build(
                database,
                clock,
                erps_of(settings),
                settings=looks_by(settings.limits),
                witnessed_starts=_starts(witness),
                parties=parties_of(settings),
                payout_folder=settings.payout_folder,
                watched=watched,
                silent_after_s=settings.limits.silent_after_s,
            )
            _refuse_forgotten(settings, engine)
            _note_lives(engine, witness)
            if not database.is_sqlite:
                other = Database(settings.database, clock)
                try:
                    lanes.refuse_poolers(database, other)
                finally:
                    other.close()
            if settings.rules:
                engine.load_rules(_text_of(settings.rules))
            yield engine
        finally:
            database.close()


def serve(path: Path | None, role: str = "all", environment: Mapping[str, str] | None = None) -> None:
    """Run a role until SIGTERM or SIGINT. On SQLite one process holds all roles."""
    _log_to_stderr()
    settings = config.load(path, os.environ if environment is None else environment)
    if settings.database.startswith("sqlite") and role != "all":
        raise CounterfoilError(
            f"The role {role!r} needs PostgreSQL: SQLite has one process for all roles.",
            "Leave --role away, or set database to postgresql://user@host:5432/name.",
            "contract",
        )
    if role in ("all", "api") and _processes(settings) > 1:
        share_folder()  # before Prometheus' library is imported
    with opened(settings, SystemClock()):
        pass  # what is wrong shows here, with its cause and remedy, before anything is forked
    if role in ("all", "api"):
        _serve_api(settings, role)
    else:
        _serve_behind(settings, role)


def _log_to_stderr() -> None:
    """Lines of one past participle and fields. diagnose=False: loguru would print variables, secrets among them."""
    logger.remove()
    logger.add(
        sys.stderr,
        level="INFO",
        format="{time:YYYY-MM-DDTHH:mm:ss.SSS[Z]!UTC} {level} {message} {extra}",
        colorize=False,
        backtrace=False,
        diagnose=False,
    )


def _serve_behind(settings: config.Settings, role: str) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened(settings, SystemClock()) as engine, told_at(settings, engine.watched.metrics):
        threads = engine.run(role, stop)
        settle()
        logger.info("serving", role=role)
        stop.wait()
        for thread in threads:
            thread.join(timeout=30)


def _of_its_own(what: str, path: Path | None, environment: Mapping[str, str] | None) -> config.Settings:
    """The settings of a process that serves one thing alone, which several may do over one PostgreSQL database."""
    _log_to_stderr()
    settings = config.load(path, os.environ if environment is None else environment)
    if settings.database.startswith("sqlite"):
        raise CounterfoilError(
            f"A {what} of its own needs PostgreSQL: on SQLite `counterfoil serve` serves it too.",
            "Use that, or set database to postgresql://user@host:5432/name.",
            "contract",
        )
    return settings


def serve_feed(path: Path | None, environment: Mapping[str, str] | None = None) -> None:
    """Serve the feed alone, until SIGTERM or SIGINT; any number of such processes over one PostgreSQL database."""
    settings = _of_its_own("feed", path, environment)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened(settings, SystemClock()) as engine, told_at(settings, engine.watched.metrics):
        host, port = _address(settings.feed.listen)
        try:
            engine.feed_server(settings).run(host, port, stop, serves=_tell_feed)
        except OSError as error:
            raise CounterfoilError(
                f"The feed can't listen on {settings.feed.listen}: {error.strerror}.",
                "Stop what does, or set listen in [feed] to another address.",
                "conflict",
            ) from None


def serve_console(path: Path | None, environment: Mapping[str, str] | None = None) -> None:
    """Serve the console alone, until SIGTERM or SIGINT; any number of such processes over one PostgreSQL database."""
    settings = _of_its_own("console", path, environment)
    with opened(settings, SystemClock()):
        pass  # what is wrong shows here, before anything is forked
    resources = contextlib.ExitStack()

    def make_app() -> Flask:
        engine = resources.enter_context(opened(settings, SystemClock()))
        logger.info("serving", role="console", listen=settings.console.listen)
        return engine.console_app(settings)

    Server(make_app, bind=settings.console.listen, worker_exit=lambda server, worker: resources.close()).run()


def _tell_feed(port: int) -> None:
    logger.info("serving", role="feed", port=port)


def _feed_beside(engine: Engine, settings: config.Settings, stop: threading.Event) -> None:
    """The feed in a thread of the process that serves all. Where its address is taken, the rest goes on without it."""
    host, port = _address(settings.feed.listen)
    while not stop.is_set():
        try:
            engine.feed_server(settings).run(host, port, stop, not engine.database.is_sqlite, _tell_feed)
        except OSError as error:
            logger.error("the feed can't listen", listen=settings.feed.listen, error=error.strerror)
            stop.wait(LONGEST_WAIT_S)
        except Exception:
            logger.exception("the feed failed")
            stop.wait(AFTER_FAILURE_S)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _serve_api(settings: config.Settings, role: str) -> None:
    """gunicorn forks first; the engine is opened in its worker process, so that no connection is shared by two."""
    stop, resources = threading.Event(), contextlib.ExitStack()
    threads: list[threading.Thread] = []

    def make_app() -> Flask:
        engine = resources.enter_context(opened(settings, SystemClock()))
        if role == "all":
            threads.extend(engine.run("all", stop))
            beside = threading.Thread(target=_feed_beside, args=(engine, settings, stop), name="feed", daemon=True)
            beside.start()
            threads.append(beside)
        logger.info("serving", role=role, listen=settings.listen)
        return engine.app(settings)

    def ended(server: Any, worker: Any) -> None:
        stop.set()
        for thread in threads:
            thread.join(timeout=10)
        resources.close()

    options: dict[str, Any] = {"bind": settings.listen, "worker_exit": ended, "workers": _processes(settings)}
    if options["workers"] > 1:
        options["child_exit"] = lambda server, worker: process_ended(worker.pid)
    Server(make_app, **options).run()


def _processes(settings: config.Settings) -> int:
    """How many serve the API; on SQLite one."""
    return 1 if settings.database.startswith("sqlite") else gunicorn_conf.workers


# SQLite: one process, and a note beside the file of how often it has started.


@contextlib.contextmanager
def _alone(url: str) -> Iterator[Path | None]:
    """Hold the lock of a SQLite file, so that a second process refuses; the path of its note of lives."""
    if not url.startswith("sqlite") or url.endswith(":memory:"):
        yield None
        return
    path = Path(url.split(":///", 1)[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("w") as file:
        _lock(file, path)
        yield Path(f"{path}.starts")


def _lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CounterfoilError(
            f"Another process serves the database {path}.",
            "Stop it first, or talk to it: commands that write go through its API.",
            "conflict",
        ) from None


def _starts(witness: Path | None) -> int:
    try:
        return int(witness.read_text()) if witness else 0
    except (OSError, ValueError):
        return 0


def _note_lives(engine: Engine, witness: Path | None) -> None:
    """Now, and with every sign of life: a backup that is put back has seen fewer of them than the note."""
    if witness is None:
        return
    note = lambda lives: witness.write_text(str(lives))  # noqa: E731
    engine.jobs = replace(engine.jobs, note=note)
    with engine.records.transaction() as tx:
        row = identity.read(tx)
    note(row["starts"] if row else 0)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CounterfoilError(
            f"The rules file {path} can't be read: {error}.", "Check the setting rules in [engine].", "contract"
        ) from None
