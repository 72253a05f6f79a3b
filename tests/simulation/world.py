"""A world of the shipped parts in one thread: a shop, its agent, the engine, an ERP; under a told clock and a seed.

Nothing of them is made anew here: the shop's REST API, the agent's REST client, outbox on disk, pump and uplink, the
engine's HTTP API with signatures, its database, looks and posters, the HTTP adapter, the sandbox ERP with its books.
Only sockets are missing: requests' sessions call the other side in process, and every durable and network step passes
a gate (`gates.py`), at which a party may die. What a dead party held in memory is gone; it starts again from its files.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import errno
import functools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import requests
from counterfoil_agent import bootstrap as agent_bootstrap
from counterfoil_agent import outbox as agent_outbox
from counterfoil_agent.config import EngineSettings, OutboxSettings, Settings, ShopSettings
from counterfoil_agent.errors import Stop
from counterfoil_agent.loop import Agent
from counterfoil_agent.uplink import Uplink
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.api.app import Engine as ApiEngine
from counterfoil_engine.api.app import create_app
from counterfoil_engine.api.sweeps import Sweeping
from counterfoil_engine.bootstrap import Engine, PartyLine, build
from counterfoil_engine.config import Limits
from counterfoil_engine.config import Settings as ApiSettings
from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues as domain_dues
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.records import identity
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.breaks import Breaks
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.hold import LookSettings
from counterfoil_engine.work.look import Looker
from counterfoil_engine.work.post import Poster
from counterfoil_engine.work.receive import Receiver
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import SandboxErp, create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.erp_modes import Modes
from counterfoil_sandbox.erp_stock import Stock
from counterfoil_sandbox.shop_orders import Shop
from fakes.faults import crashing

from simulation import wires
from simulation.gates import Crash, Gates, Party
from simulation.parties import Parties
from simulation.rules import ENTITY, STORE, rules_text

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
SHOP_KEY, SHOP_SECRET, STORE_SECRET, ERP_TOKEN = "ck_1", "cs_1", "the store's secret, one", "the-token-of-the-erp"
# An intent that waits for one that was refused, or for one that waits for that, is where it has to be: a case says so.
_ON_ITS_WAY = """
with recursive stuck(id, key) as (
  select id, key from intents where state = 'refused' and released = 0
  union select i.id, i.key from waits w join stuck s on w.key = s.key
    join intents i on w.waiter = 'intent ' || i.id and i.state = 'ready')
select key, state from intents where state in ('ready', 'sent') and id not in (select id from stuck)"""
TO_BE_ASKED = f"""
select 'the ' || party || ' to be asked whether it is back' as what from breakers
  where entity = '{ENTITY}' and state <> 'closed'
union all select 'the ERP to be asked what it holds' from identity where engine_epoch > 1 and confirmed = 1
  and not exists (select 1 from adoptions a where a.party = 'erp' and a.engine_epoch = identity.engine_epoch)"""
STOPPED_S = 30.0  # how long the agent's loop rests after a Stop
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


class Clock:
    """True time, which passes only when told to, and how far each party's own clock is off."""

    def __init__(self) -> None:
        self.true, self.off_s = START, dict.fromkeys(("shop", "agent", "engine", "erp"), 0.0)

    def pass_time(self, seconds: float) -> None:
        self.true += timedelta(seconds=seconds)

    def of(self, party: str) -> PartyClock:
        return PartyClock(self, party)

    def monotonic(self) -> float:
        return (self.true - START).total_seconds()


@dataclass(frozen=True)
class PartyClock:
    clock: Clock
    party: str

    def now(self) -> datetime:
        return self.clock.true + timedelta(seconds=self.clock.off_s[self.party])

    def sleep(self, seconds: float) -> None:
        self.clock.pass_time(seconds)


class FairWeather:
    """Nothing goes wrong."""

    def fault(self, gate: str) -> str | None:
        return None

    def later(self, carry: Callable[[], object]) -> None:
        raise AssertionError("nothing is late in fair weather")

    def twice(self, request: requests.PreparedRequest) -> None:
        raise AssertionError("nothing comes twice in fair weather")


@dataclass
class EngineLife:
    """One process of the engine: its memory ends with it."""

    engine: Engine
    receiver: Receiver
    feed: Feed
    sweeping: Sweeping
    store_secrets: tuple[str, ...]
    lookers: list[Looker]
    posters: list[Poster]


@dataclass
class Options:
    """How a world is made. workers: threads that look, and as many sets of posters, each of `lanes` lanes.

    erp_make: the adapter to the ERP. rules_are_there: whether a controller has loaded any yet. parties: whether a WMS,
    a gateway and a tax service take part."""

    unique_keys: bool = True
    commit_delay_s: float = 0.0
    workers: int = 1
    lanes: int = 1
    poll_s: float = 30.0
    heartbeat_s: float = 60.0
    updates_s: float = 60.0
    batch_events: int = 100
    batch_bytes: int = 1_000_000
    page_orders: int = 100
    erp_make: type[HttpErp] = HttpErp
    rules_are_there: bool = True
    parties: bool = False
    shop: dict[str, Any] = field(default_factory=dict)


class World:
    """weather: what goes wrong on the lines; gates: what happens at each; disk: how the outbox's file is opened."""

    def __init__(
        self, folder: Path, seed: int = 0, options: Options | None = None, weather: wires.Weather | None = None
    ) -> None:
        self.folder, self.seed, self.options = folder, seed, options or Options()
        self.random, self.clock, self.gates = Random(seed), Clock(), Gates()
        self.weather = weather or FairWeather()
        self.disk: Callable[..., Any] = self._open_outbox
        self.outbox_host = OutboxHost()
        self.lives, self.starts = {"agent": 0, "engine": 0}, 0
        self.down_until = {"agent": START, "engine": START}
        self.store_secrets: tuple[str, ...] = (STORE_SECRET,)
        self.agent_environment = {
            "COUNTERFOIL_SHOP_KEY": SHOP_KEY,
            "COUNTERFOIL_SHOP_SECRET": SHOP_SECRET,
            "COUNTERFOIL_ENGINE_SECRET": STORE_SECRET,
        }
        self.rules_text = rules_text(parties=self.options.parties)
        self.free_bytes = 10**12
        self.bounds: dict[str, Any] = {}  # of the outbox, where they are not the usual ones
        self.firewall: Callable[[bytes], int | None] = lambda body: None  # the status with which it blocks events
        self.before_erp: Callable[[requests.PreparedRequest], int | None] = lambda request: None
        self.defect: Callable[[str], None] = lambda subject: None  # in the engine's code: raises for some subjects
        self.on_found: Callable[[Sequence[Found]], None] = lambda found: None  # told of what sweeps call breaks
        self.equip: Callable[[Settings], tuple[Settings, dict[str, Any]]] = lambda settings: (settings, {})
        self.steps = 0
        self._in_a_step: list[Looker | Poster | Listener] = []
        self.front: Any = None
        self._agent: Agent | None = None
        self._engine: EngineLife | None = None
        self._database: Database | None = None
        self._agent_rests_until = START
        self.erp_token = ERP_TOKEN
        shutil.copy(empty_engine(), self.engine_file)
        self._make_shop()
        self._make_erp()
        self.parties = Parties(self) if self.options.parties else None

    # The parties that don't crash here: what they are asked for is carried out or not, which the lines decide.

    def _make_shop(self) -> None:
        clock = self.clock.of("shop")
        self.take_shop(Shop(clock=clock.now, utc_offset_minutes=60, site_url="https://shop", seed=self.seed))
        wire = wires.Wire(
            wires.shop_gate,
            lambda request, timeout: self.front.send(request, timeout),
            self.gates,
            self.weather,
            self.fell,
        )
        wires.open_shop("shop", wire)

    def take_shop(self, shop: Shop) -> None:
        """From now on this is the shop, behind the keys that there were."""
        keys = self.front.keys.keys if self.front else {SHOP_KEY: (SHOP_SECRET, "read")}
        mode, spoilt = (self.front.mode, self.front.spoilt) if self.front else ("up", {})
        self.shop, self.front = shop, wires.ShopFront(shop, dict(keys))
        self.front.mode, self.front.spoilt = mode, spoilt

    def _make_erp(self) -> None:
        clock, options = self.clock.of("erp"), self.options
        self.books = Books(str(self.folder / "erp.sqlite"), now=clock.now)
        modes = Modes(unique_keys=options.unique_keys, commit_delay_s=options.commit_delay_s)
        # Its application is made once for all worlds: its routes take longer than a world's whole start.
        self.erp = _erp()
        self.erp.books, self.erp.modes, self.erp.token = self.books, modes, ERP_TOKEN
        self.erp.stock = Stock(now=clock.now)
        self.erp._now, self.erp._sleep, self.erp._pending = clock.now, clock.sleep, []
        self.erp_adapter = in_process_session(self.erp, self.clock.of("engine").now).get_adapter("http://erp")
        wire = wires.Wire(wires.erp_gate, self._into_erp, self.gates, self.weather, _dies_further)
        self._erp_session = wires.session_over(wire)

    def _into_erp(self, request: Any, timeout: Any) -> Any:
        if status := self.before_erp(request):
            return wires.answer_of(request, status, {"Content-Type": "text/html"}, b"<html>Not through here.</html>")
        if self.options.commit_delay_s and wires.erp_gate(request.method, request.path_url) == "erp.post":
            try:
                self.gates("erp.post.during")
            except Crash:  # the call lives on in the ERP, and commits after its client died
                self.erp.change_modes({"fault": "cut_then_commit", "fault_times": 1})
                with contextlib.suppress(requests.ConnectionError):
                    self.erp_adapter.send(request, timeout=timeout)
                raise
        return self.erp_adapter.send(request, timeout=timeout)

    # The engine's process.

    @property
    def engine_file(self) -> Path:
        return self.folder / "engine.sqlite"

    @property
    def engine(self) -> EngineLife:
        """The engine, started if it is down. Raises Crash where it dies in starting."""
        if self._engine is None:
            self._engine = self._start_engine()
        return self._engine

    def _start_engine(self) -> EngineLife:
        self.lives["engine"] += 1
        clock = self.clock.of("engine")
        self._database = Database(f"sqlite:///{self.engine_file}", clock)
        crashing(self._database, self.gates)  # type: ignore[arg-type]
        options = self.options
        erp = options.erp_make(
            "http://erp", self.erp_token, self._erp_session, monotonic=self.clock.monotonic, lanes=options.lanes
        )
        names = Random(f"engine {self.seed} {self.lives['engine']}")
        self._database.migrate()
        engine = build(
            self._database,
            clock,
            {ENTITY: erp},
            settings=LookSettings(revisions_a_day=1000),
            dues=self._dues,
            parse=parsed_rules,
            jitter=names.random,
            new_id=lambda: f"{names.getrandbits(128):032x}",
            witnessed_starts=self.starts,
            parties=self.parties.lines() if self.parties else (),
        )
        with engine.records.transaction() as tx:
            row = identity.read(tx)
            self.starts = int(row["starts"]) if row else 0  # the note that is kept beside it
        made = engine.breaks
        engine.breaks = lambda: self._watched(made())  # type: ignore[method-assign]
        engine.jobs = dataclasses.replace(engine.jobs, note=lambda lives: setattr(self, "starts", lives))
        if options.rules_are_there:
            engine.load_rules(self.rules_text)
        life = EngineLife(engine, engine.receiver(), engine.feed(), engine.sweeping(), self.store_secrets, [], [])
        for _ in range(options.workers):
            life.lookers.append(engine.looker())
            life.posters += engine.posters(ENTITY)
            for line in engine.parties:
                life.posters += engine.posters(ENTITY, line.kind)
        return life

    def _watched(self, breaks: Breaks) -> Breaks:
        """Breaks that tell what is recorded as one."""
        record = breaks.record

        def told(tx: Any, sweep: str, store: str, found: Sequence[Found]) -> None:
            self.on_found(found)
            record(tx, sweep, store, found)

        breaks.record = told  # type: ignore[method-assign]
        return breaks

    def _dues(self, facts: OrderFacts, rules: Rules, as_of: datetime) -> Dues:
        self.defect(facts.subject)
        return domain_dues(facts, rules, as_of)

    # The agent's process.

    @property
    def outbox_file(self) -> Path:
        return self.folder / "outbox.sqlite"

    @property
    def agent(self) -> Agent:
        """The agent, started if it is down. Raises Crash where it dies in starting."""
        if self._agent is None:
            self._agent = self.make_agent(self.outbox_file)
        return self._agent

    def make_agent(self, outbox_file: Path) -> Agent:
        self.lives["agent"] += 1
        options = self.options
        settings = Settings(
            STORE,
            ShopSettings(
                "https://shop",
                **{
                    "poll_s": options.poll_s,
                    "page_orders": options.page_orders,
                    "reread_every_h": 0.2,
                    "reread_page_s": 1.0,
                    **options.shop,
                },
            ),
            EngineSettings(
                "http://engine",
                batch_events=options.batch_events,
                batch_bytes=options.batch_bytes,
                heartbeat_s=options.heartbeat_s,
                updates_s=options.updates_s,
            ),
            OutboxSettings(outbox_file, **self.bounds),
        )
        settings, more = self.equip(settings)
        with self.outbox_host.opening(self.disk):
            return agent_bootstrap.agent(
                settings,
                engine=self.uplink(),
                clock=self.clock.of("agent"),
                random=Random(f"agent {self.seed} {self.lives['agent']}"),
                free_bytes=lambda: self.free_bytes,
                environment=self.agent_environment,
                **more,
            )

    def uplink(self) -> Uplink:
        """A line of an agent's to the engine."""
        uplink = Uplink(
            "http://engine", STORE, self.agent_environment["COUNTERFOIL_ENGINE_SECRET"], self.clock.of("agent")
        )
        uplink._session = wires.session_over(
            wires.Wire(wires.line_gate, self._into_engine, self.gates, self.weather, self.fell)
        )
        return uplink

    def _into_engine(self, request: Any, timeout: Any) -> Any:
        if self.clock.true < self.down_until["engine"]:
            raise wires.refused(request)
        is_events = wires.line_gate(request.method, request.path_url) == "line.events"
        if is_events and (status := self.firewall(wires.unpacked(request))):
            return wires.answer_of(request, status, {"Content-Type": "text/html"}, b"<html>Access denied.</html>")
        return _api(self.engine, self.clock.of("engine")).send(request, timeout=timeout)

    def _open_outbox(self, path: Any, **given: Any) -> sqlite3.Connection:
        gates = self.gates

        class Gated(sqlite3.Connection):
            def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:  # type: ignore[override]
                if sql != "commit" or self.total_changes == getattr(self, "changes", 0):
                    return super().execute(sql, *values)
                gates("agent.commit.before")
                done = super().execute(sql, *values)
                self.changes = self.total_changes
                gates("agent.commit.after")
                return done

        return sqlite3.connect(path, factory=Gated, **given)

    # Dying and living on.

    def fell(self, crash: Crash) -> None:
        """On a line: where the other side died, this side lives on; where it is this side itself, it dies further."""
        if crash.party != "engine":
            raise crash
        self.kill("engine")

    def kill(self, party: Party) -> None:
        """The process is gone, and with it all that it held in memory."""
        if party == "agent" and self._agent is not None:
            agent, self._agent = self._agent, None
            agent.close(clean=False)
        if party == "engine":
            self._engine = None
            if self._database is not None:
                self._database.close()

    def stop(self, party: Party) -> None:
        """The process ends in good order: as when a person stops its service."""
        if party == "agent" and self._agent is not None:
            agent, self._agent = self._agent, None
            agent.close()
        if party == "engine" and self._engine is not None:
            for poster in self._engine.posters:
                poster.give_back()
            self.kill("engine")

    def surviving(self, act: Callable[[], Any]) -> Any:
        """Do this, however often a process has to be started again for it."""
        while True:
            try:
                return act()
            except Crash as crash:
                self.kill(crash.party)

    # Steps. Each returns whether it did something.

    def step_agent(self) -> float:
        """The agent's next step; seconds until it has something to do."""
        self.steps += 1
        rests_s = (self._agent_rests_until - self.clock.true).total_seconds()
        if rests_s > 0:
            return rests_s
        try:
            return self.agent.step()
        except Stop as error:
            if self._agent is None:
                raise
            self.stopped(error)
            self._agent_rests_until = self.clock.true + timedelta(seconds=STOPPED_S)
            return STOPPED_S

    def stopped(self, error: Stop) -> None:
        """The agent says that a person has to help."""
        raise error

    def step_look(self, worker: int = 0) -> bool:
        return self._alone(self.engine.lookers[worker])

    def step_post(self, poster: int = 0) -> bool:
        return self._alone(self.engine.posters[poster])

    def _alone(self, one: Looker | Poster | Listener) -> bool:
        """Each is a thread: while it stands still inside a step it can't begin another."""
        if one in self._in_a_step:
            return False
        self.steps += 1
        self._in_a_step.append(one)
        try:
            return one.step()
        finally:
            self._in_a_step.remove(one)

    def step_facts(self) -> bool:
        """Read a page of what each party has to say."""
        more = [self._alone(Listener(self.engine.engine, line)) for line in self.engine.engine.parties]
        return any(more)

    @property
    def in_a_step(self) -> str | None:
        """Who is in the middle of a step of the engine's: looker or poster."""
        return type(self._in_a_step[-1]).__name__.lower() if self._in_a_step else None

    def step_jobs(self) -> bool:
        self.steps += 1
        return self.engine.engine.step_jobs()

    # Coming to rest.

    def come_to_rest(self, most_s: float = 590.0) -> None:
        """Let all parts work until nothing is on its way and the shop was asked once more."""
        until = self.clock.true + timedelta(seconds=most_s)
        idle_s = 0.0
        while idle_s <= self.options.poll_s:
            if self.surviving(self.step_agent) == 0:
                continue
            while self.surviving(self.step_engine):
                idle_s = 0.0
            step_s = 2.0 if self.on_its_way() else 15.0  # longer than a subject rests between two looks
            self.clock.pass_time(step_s)
            idle_s = idle_s + step_s if step_s > 2 else 0.0
            if self.clock.true > until:
                raise AssertionError(f"The world doesn't come to rest: {self.on_its_way()}")

    def on_its_way(self) -> list[str]:
        """What has not arrived yet: orders to be read, events to be sent, subjects to be looked at, intents to post."""
        found = []
        if self._agent is None or self._engine is None:
            return ["a party is down"]
        outbox = self._agent.outbox
        if self.parties and not self._agent.pump.welcomed:
            found.append("agent and engine to meet")  # a restored one may have lost what the other has forgotten
        if marks := outbox.marks_waiting():
            found.append(f"{marks} orders to be read")
        if waiting := outbox.depth().waiting:
            found.append(f"{waiting} events to be sent")
        if doubtful := outbox.in_doubt("probing"):
            found.append(f"{doubtful} orders that may be gone")
        execute = Database.transaction
        assert self._database is not None
        with execute(self._database) as tx:
            found += [f"{row['subject']} to be looked at" for row in tx.all("select subject from work")]
            found += [f"{row['key']} {row['state']}" for row in tx.all(_ON_ITS_WAY)]
            found += [row["what"] for row in tx.all(TO_BE_ASKED)]
            found += self.parties.on_their_way(tx) if self.parties else []
        return found

    def step_engine(self) -> bool:
        """A step of every worker and every poster."""
        did = False
        for worker in range(len(self.engine.lookers)):
            did = self.step_look(worker) or did
        for poster in range(len(self.engine.posters)):
            did = self.step_post(poster) or did
        return did

    def close(self) -> None:
        self.kill("agent")
        self.kill("engine")
        self.books.close()
        self.shop.close()
        if self.parties:
            self.parties.close()


@dataclass(frozen=True)
class Listener:
    """A thread that reads what one party has to say."""

    engine: Engine
    line: PartyLine

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listener) and other.line is self.line

    def step(self) -> bool:
        return self.engine.read_facts(self.line)


@dataclass
class OutboxHost:
    """What the outbox meets where it is opened. unwritable: of what it can't write there, "folder" or "file"; layout:
    the one that the installed agent knows, None: today's."""

    unwritable: str = ""
    layout: int | None = None

    @contextlib.contextmanager
    def opening(self, connect: Callable[..., Any] = sqlite3.connect) -> Iterator[None]:
        """While the outbox opens its file, `sqlite3.connect` is this one; errors and all else stay the module's own."""
        errors = {name: getattr(sqlite3, name) for name in _SQLITE_ERRORS}
        changed: dict[str, Any] = {"sqlite3": SimpleNamespace(connect=connect, Connection=sqlite3.Connection, **errors)}
        if self.unwritable == "folder":
            changed["open"] = _is_read_only
        if self.unwritable == "file":
            changed["os"] = SimpleNamespace(open=_is_anothers, close=os.close, O_CREAT=os.O_CREAT, O_RDWR=os.O_RDWR)
        if self.layout is not None:
            changed["LAYOUT"] = self.layout
        before = {name: getattr(agent_outbox, name) for name in changed if hasattr(agent_outbox, name)}
        vars(agent_outbox).update(changed)
        try:
            yield
        finally:
            vars(agent_outbox).update(before)
            vars(agent_outbox).pop("open", None)


_SQLITE_ERRORS = ("Error", "OperationalError", "DatabaseError", "IntegrityError")


def _is_read_only(path: str, *_: Any) -> Any:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


def _is_anothers(path: Path, *_: Any) -> Any:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _dies_further(crash: Crash) -> None:
    """The ERP doesn't die here: who did is the one that called it."""
    raise crash


@functools.cache
def _erp() -> SandboxErp:
    return create_erp(Books(), ERP_TOKEN)


class _Api:
    """The engine's API, made once; what it speaks to is the life of the engine that is on now."""

    def __init__(self) -> None:
        self.life: Any = None
        self.clock: Any = None
        settings = ApiSettings("", "", None, Limits(), _Secrets(self), "", {})
        receiver, feed, clock = (_Now(lambda name=name: getattr(self, name)) for name in ("receiver", "feed", "clock"))
        sweeping: Any = _Now(lambda: self.life.sweeping)
        asked = ApiEngine(receiver, None, None, clock, settings, feed=feed, sweeping=sweeping)  # type: ignore[arg-type]
        app = create_app(asked)
        self.adapter = in_process_session(app).get_adapter("http://engine")  # type: ignore[arg-type]

    @property
    def receiver(self) -> Receiver:
        return self.life.receiver

    @property
    def feed(self) -> Feed:
        return self.life.feed


class _Now:
    def __init__(self, current: Callable[[], Any]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


class _Secrets(Mapping[str, tuple[str, ...]]):
    def __init__(self, api: _Api) -> None:
        self._api = api

    def __getitem__(self, store: str) -> tuple[str, ...]:
        return {STORE: self._api.life.store_secrets}[store]

    def __iter__(self) -> Iterator[str]:
        return iter((STORE,))

    def __len__(self) -> int:
        return 1


@functools.cache
def _the_api() -> _Api:
    return _Api()


def _api(life: EngineLife, clock: PartyClock) -> Any:
    api = _the_api()
    api.life, api.clock = life, clock
    return api.adapter


@functools.cache
def parsed_rules(text: str, version: str | None = None) -> Any:
    return parse_rules(text, version)


@functools.cache
def empty_engine() -> Path:
    """A migrated database to copy."""
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-template-", dir=MEMORY))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder / 'engine.sqlite'}", Clock().of("engine"))
    database.migrate()
    database.peewee.execute_sql("pragma wal_checkpoint(truncate)")
    database.close()
    return folder / "engine.sqlite"
