"""The agent between a shop with the plugin and the engine's own counting, publisher and feed, over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent.feed import EngineFeed
from counterfoil_agent.uplink import Uplink
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.api.feed import FeedServer
from counterfoil_engine.api.listener import Bounds
from counterfoil_engine.config import Limits, settings
from counterfoil_engine.records import ats, cases, feed, identity, store_writes, wakes
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.feed_cases import FeedCases
from counterfoil_engine.work.receive import Receiver
from fakes.agent_stock import StockStore, stock_store
from fakes.commands import FakeCommands
from fakes.databases import open_database
from fakes.stock import StockWorld
from werkzeug.serving import WSGIRequestHandler, make_server

SECRET = "the secret of the store eu1, for tests"


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)


class Chain:
    """store: the shop and its agent. world: the engine's records, with what the warehouses say."""

    def __init__(self, store: StockStore, world: StockWorld) -> None:
        self.store, self.world = store, world

    def live(self, rounds: int = 6) -> None:
        """Agent and publisher take turns."""
        for _ in range(rounds):
            self.store.run(5)
            self.world.publish()

    def cases(self) -> list[str]:
        return self.world.cases()


@pytest.fixture
def chain(quick_path: Path, tmp_path: Path) -> Iterator[Chain]:
    with stock_store(quick_path) as store, open_database("sqlite", tmp_path, store.clock) as database:
        world = StockWorld(database, store.clock)
        with database.transaction() as tx:
            identity.establish(tx, "here", "an-id", 0)
        world.events.hand_over("eu1")
        stop = threading.Event()
        api = _api(world)
        feed_url, thread = _feed(world, stop)
        store.engine = Uplink(api[0], "eu1", SECRET, store.clock, timeout_s=10)  # type: ignore[assignment]
        line = Uplink(feed_url, "eu1", SECRET, store.clock, timeout_s=10)
        store.feed = EngineFeed(lambda: line)  # type: ignore[assignment]
        yield Chain(store, world)
        stop.set()
        thread.join(timeout=30)
        api[1].shutdown()
        api[1].server_close()


def _api(world: StockWorld) -> tuple[str, Any]:
    app = create_app(
        Engine(
            Receiver(world.events, world.clock),
            FakeCommands(),
            lambda: None,
            world.clock,
            settings({}, {"COUNTERFOIL_STORE_SECRET_EU1": SECRET, "COUNTERFOIL_API_TOKEN": "t" * 32}),
        )
    )
    server = make_server("127.0.0.1", 0, app, request_handler=_Quiet)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", server


def _feed(world: StockWorld, stop: threading.Event) -> tuple[str, threading.Thread]:
    numbers = Feed(world.database, world.book, identity, ats, feed, store_writes, FeedCases(cases, store_writes))
    server = FeedServer(
        numbers,
        {"eu1": (SECRET,)},
        Limits(),
        world.clock,
        wakes.listen(world.database, wakes.POOL),
        look_s=0.2,
        bounds=Bounds(request_s=2.0, linger_s=0.2),
    )
    opened, ports = threading.Event(), list[int]()

    def serves(port: int) -> None:
        ports.append(port)
        opened.set()

    thread = threading.Thread(target=server.run, args=("127.0.0.1", 0, stop, False, serves))
    thread.start()
    assert opened.wait(20)
    return f"http://127.0.0.1:{ports[0]}", thread


def test_stock_follows_the_warehouse_and_every_sale_stays_sold(chain: Chain) -> None:
    store, world = chain.store, chain.world
    mug = store.product("MUG", 3)
    world.position("MUG", 10)
    world.publish()
    chain.live()
    assert store.stock_of(mug) == 3, "a person has not accepted it yet"
    store.accept()
    chain.live()
    assert store.stock_of(mug) == 10
    store.sell((mug, 4))
    assert store.stock_of(mug) == 6
    chain.live()
    assert store.stock_of(mug) == 6 and world.feed("eu1")["MUG"].number == 6
    world.position("MUG", 25)
    world.publish()
    chain.live()
    assert store.stock_of(mug) == 21


def test_an_edit_by_hand_is_told_and_written_over_with_a_new_version(chain: Chain) -> None:
    store, world = chain.store, chain.world
    mug = store.product("MUG", 3)
    world.position("MUG", 10)
    world.publish()
    store.accept()
    chain.live()
    version = world.version("MUG")
    store.shop.products.change(mug, {"stock_quantity": 2})
    chain.live()
    assert world.version("MUG") > version and store.stock_of(mug) == 10
    with world.database.transaction() as tx:
        assert tx.one("select count(*) as many from stock_moves where kind = 'set'")["many"] == 1  # type: ignore[index]


def test_what_became_of_numbers_is_known_to_the_engine(chain: Chain) -> None:
    store, world = chain.store, chain.world
    store.product("MUG", 3)
    world.position("MUG", 10)
    world.position("PLATE", 4)
    world.publish()
    store.accept()
    chain.live(16)
    with world.database.transaction() as tx:
        rows = tx.all("select sku_key, verdict from store_writes order by sku_key")
    assert [(row["sku_key"], row["verdict"]) for row in rows] == [("mug", "applied"), ("plate", "missing")]
    assert any("PLATE" in cause for cause in chain.cases())
    store.product("PLATE", 0)
    chain.live(16)
    assert not any("PLATE" in cause for cause in chain.cases())
