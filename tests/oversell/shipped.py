"""The agent as it is shipped, in the place of the small one: outbox on disk, change log, pump, stock book, applier.

Only sockets are missing: its client of the plugin and of the shop's REST API call the sandbox shop in process, and the
engine's use cases answer what its API would. Every call may be lost, cut, doubled or late as with the small one.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import requests
from counterfoil_agent import bootstrap
from counterfoil_agent.config import (
    AcceptWhen,
    EngineSettings,
    OutboxSettings,
    PluginSettings,
    Settings,
    ShopSettings,
    StockSettings,
    WebhookSettings,
)
from counterfoil_agent.errors import Denied, OtherEpoch, Unavailable
from counterfoil_agent.feed import EngineFeed
from counterfoil_agent.loop import Agent
from counterfoil_agent.plugin import SignedPlugin
from counterfoil_agent.ports import Answer, Through, UpdatePage, Verdict, Welcome
from counterfoil_agent.pump import EPOCH_WANTED
from counterfoil_engine.ports import FeedRow, Rejected
from counterfoil_engine.work.receive import Receiver
from counterfoil_sandbox.shop import Shop
from counterfoil_sandbox.shop_plugin_routes import SPACE, Routes
from requests.adapters import HTTPAdapter
from simulation import wires

from oversell.agent import BROKEN, BROKEN_AND_CUT, CUT, DOUBLED, KEY, LATE, LOST, Lost
from oversell.engine import Engine

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
STEPS = 12  # of one part, in one go
SETTINGS = StockSettings("on", AcceptWhen(1.0), brake_from=1_000_000, idle_s=0.01, most_items=2)

Fault = Callable[[str], str | None]
Later = Callable[[Callable[[], Any]], None]
Json = dict[str, Any]


class ShippedAgent:
    """As `StoreAgent`."""

    def __init__(
        self,
        store: str,
        shop: Shop,
        engine: Engine,
        fault: Fault,
        later: Later,
        wrote: Callable[[list[Json], list[Json]], None],
    ) -> None:
        self.store, self.shop, self.engine = store, shop, engine
        self._folder = Path(tempfile.mkdtemp(prefix="counterfoil-", dir=MEMORY))
        self.on_changed: Callable[[list[FeedRow]], None] = lambda rows: None
        self._line = _Line(store, engine, fault, later)
        self._plugin = _PluginWire(shop, fault, later, wrote)
        wires.open_shop(store, wires.ShopFront(shop, {"ck": ("cs", "read_write")}))  # type: ignore[arg-type]
        self._lives = 0
        self._agent: Agent | None = None

    @property
    def agent(self) -> Agent:
        if self._agent is None:
            self._lives += 1
            clock = self.engine.clock
            plugin = SignedPlugin(f"https://{self.store}", KEY, clock)
            plugin._session = requests.Session()
            plugin._session.mount("https://", self._plugin)
            self._agent = bootstrap.agent(
                Settings(
                    self.store,
                    ShopSettings(f"https://{self.store}", poll_s=86_000, reread_every_h=0.01, reread_page_s=0),
                    EngineSettings("http://engine", idle_s=0.01, batch_events=3, heartbeat_s=3_600),
                    OutboxSettings(self._folder / "outbox.sqlite"),
                    WebhookSettings(),
                    PluginSettings("COUNTERFOIL_PLUGIN_KEY", poll_s=5),
                    SETTINGS,
                ),
                engine=self._line,
                plugin=plugin,
                feed=EngineFeed(lambda: self._line),  # type: ignore[arg-type, return-value]
                clock=clock,
                random=Random(f"{self.store} {self._lives}"),
                free_bytes=lambda: 10**12,
                environment={"COUNTERFOIL_SHOP_KEY": "ck", "COUNTERFOIL_SHOP_SECRET": "cs"},
            )
        return self._agent

    def start(self) -> None:
        """The process dies, and another begins over what is on the disk."""
        if self._agent is not None:
            self._agent.close(clean=False)
            self._agent = None

    def close(self) -> None:
        self.start()
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self) -> bool:
        self.agent.nudge()
        return self._steps(self.agent.step_store)

    def acknowledge(self) -> bool:
        return self._steps(self.agent.step_store, 1)

    def send(self) -> bool:
        return self._steps(self.agent.pump.step)

    def ask(self) -> bool:
        return self._steps(self.agent.step_stock, 1)

    def write(self) -> bool:
        return self._steps(self.agent.step_stock)

    @property
    def has_numbers(self) -> bool:
        return True

    def _steps(self, step: Callable[[], float], most: int = STEPS) -> bool:
        """Let a part of it work until it has nothing to do, or for so many steps; whether that led anywhere."""
        before = self._progress()
        for _ in range(most):
            if step() > 0:
                break
        return self._progress() != before

    def _progress(self) -> tuple[Any, ...]:
        """What moves when it works: events to be sent, rows to be read, the feed's place, versions in the shop."""
        applier, shop = self.agent.applier, self.shop
        assert applier is not None
        unread = shop._one("select count(*) from plugin_changes where acked_ms is null", ())
        versions = shop._one("select coalesce(sum(version), 0) from plugin_stock", ())
        return self.agent.outbox.depth().waiting, unread, applier.book.feed_place(), versions

    def renumber(self) -> None:
        self.agent.outbox.remember(EPOCH_WANTED, "The next epoch, because a history says so.")
        self.agent.pump.welcomed = False


class _Line:
    """The engine, as the agent's port has it, over the engine's use cases; and the line that its feed is asked by."""

    def __init__(self, store: str, engine: Engine, fault: Fault, later: Later) -> None:
        self._store, self._engine, self._fault, self._later = store, engine, fault, later
        self._receiver = Receiver(engine.events, engine.clock)
        self.clock_offset_s: float | None = 0.0

    def hello(self, body: Mapping[str, Any]) -> Welcome:
        return _welcome(self._ask(self._receiver.hello, json.dumps(body).encode()))

    def new_epoch(self, body: Mapping[str, Any]) -> Welcome:
        return _welcome(self._ask(self._receiver.new_epoch, json.dumps(body).encode()))

    def events(self, batch: bytes, wrapped: bool = False) -> Answer:
        fault = self._fault("events")
        if fault == LOST:
            raise _away()
        batch = _mangled(batch) if fault in (BROKEN, BROKEN_AND_CUT) else batch
        if fault == LATE:
            self._later(lambda: self._carry(batch))
            raise _away()
        for _ in range(2 if fault == DOUBLED else 1):
            told = self._ask(self._receiver.events, batch)
        if fault in (CUT, BROKEN_AND_CUT):
            raise _away()
        verdicts = [Verdict(each["n"], each["id"], each["verdict"], each["reason"]) for each in told["verdicts"]]
        return Answer(verdicts, Through(**told["stored_through"]), [(a, b) for a, b in told["holes"]])

    def _carry(self, batch: bytes) -> None:
        try:
            self._receiver.events(self._store, batch)
        except Rejected:
            return

    def reaches(self) -> bool:
        return True

    def heartbeat(self, event: bytes) -> Through | None:
        return Through(**self._ask(self._receiver.heartbeat, event)["stored_through"])

    def updates(self, results: Sequence[Any], limit: int) -> UpdatePage:
        """Nothing is told to a store's orders here."""
        return UpdatePage([], False)

    def post(self, path: str, body: bytes, kind: type[Any], wrapped: bool = False, wait_s: float = 0.0) -> Any:
        """What the feed's client asks."""
        if self._fault("feed") in (LOST, CUT):
            raise _away()
        if path.endswith("/writes"):
            return self._ask(self._engine.feed.writes, body)
        asked = self._engine.feed.asked(self._store, body)
        told = self._engine.feed.answers([asked])[0]
        if isinstance(told, Rejected):
            raise Denied(told.cause, told.remedy, slug=told.slug)
        return msgspec.json.decode(told.body, type=kind)

    def _ask(self, act: Callable[[str, bytes], Json], raw: bytes) -> Json:
        try:
            return act(self._store, raw)
        except Rejected as no:
            if no.slug == "epoch":
                raise OtherEpoch(no.cause, no.remedy) from None
            raise Denied(no.cause, no.remedy, slug=no.slug) from None


class _PluginWire(HTTPAdapter):
    """The line to the plugin's routes, in process."""

    def __init__(self, shop: Shop, fault: Fault, later: Later, wrote: Callable[[list[Json], list[Json]], None]) -> None:
        super().__init__()
        self._shop, self._fault, self._later, self._wrote = shop, fault, later, wrote

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        fault = self._fault(urlsplit(request.url).path.rpartition("/")[2])
        if fault == LOST:
            raise wires.refused(request)
        if fault == LATE:
            late = copy.copy(request)
            self._later(lambda: self._carry(late))
            raise requests.ReadTimeout("No answer came in time.", request=request)
        try:
            status, body = self._carry(request)
        except Lost:
            raise requests.ConnectionError("The process died.", request=request) from None
        if fault == CUT:
            raise requests.ConnectionError("The line was cut.", request=request)
        return wires.answer_of(request, status, {"Content-Type": "application/json"}, body)

    def _carry(self, request: Any) -> tuple[int, bytes]:
        assert self._shop.plugin is not None
        address = urlsplit(request.url)
        path, query = address.path.partition(SPACE)[2], dict(parse_qsl(address.query))
        raw = request.body or b""
        answer = Routes(self._shop.plugin).answer(request.method, path, query, dict(request.headers), raw)
        if path == "/stock" and answer.status == 200:
            self._wrote(json.loads(raw)["items"], answer.body["results"])
        return answer.status, json.dumps(answer.body).encode()


def _mangled(batch: bytes) -> bytes:
    events = json.loads(batch)
    for event in events:
        if "moves" in event["data"]:
            event["data"]["moves"] = "?"
            break
    return json.dumps(events).encode()


def _away() -> Unavailable:
    return Unavailable("The engine can't be reached.", "It is tried again by itself.")


def _welcome(told: Json) -> Welcome:
    return Welcome(told["epoch"], Through(**told["stored_through"]), told.get("retain_s"), told.get("contracts", {}))
