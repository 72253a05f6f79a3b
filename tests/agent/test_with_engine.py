"""The agent and the engine's own API, over real HTTP: what each side asks of the other is what the other says."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_agent.errors import Denied
from counterfoil_agent.snapshot import VOID, Event, void_body
from counterfoil_agent.uplink import Uplink, batch_of
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.events import StoredEvents
from counterfoil_engine.work.receive import Receiver
from fakes.agent_world import World
from fakes.commands import FakeCommands
from fakes.databases import open_database
from werkzeug.serving import WSGIRequestHandler, make_server

SECRET = "the secret of the store eu1, for tests"


class Line:
    """A world whose engine is the real one's API over SQLite."""

    def __init__(self, world: World, database: Database, receiver: StoredEvents, url: str) -> None:
        self.world, self.database, self.receiver, self.url = world, database, receiver, url
        self.connect(world)

    def connect(self, world: World) -> None:
        world.engine = Uplink(self.url, "eu1", SECRET, world.clock, timeout_s=10)  # type: ignore[assignment]

    def stored(self) -> list[tuple[int, int, str, str]]:
        with self.database.transaction() as tx:
            rows = tx.all("select epoch, n, subject, verdict from events order by epoch, n")
        return [(row["epoch"], row["n"], row["subject"], row["verdict"]) for row in rows]

    def through(self) -> tuple[int, int]:
        with self.database.transaction() as tx:
            row = tx.one("select epoch, stored_through from epochs order by epoch desc limit 1")
        assert row is not None
        return row["epoch"], row["stored_through"]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""

    def send_response(self, code: int, message: str | None = None) -> None:
        # The engine says its own time; a second Date would be the machine's.
        self.send_response_only(code, message)


@pytest.fixture
def line(world: World, tmp_path: Path) -> Iterator[Line]:
    with open_database("sqlite", tmp_path, world.clock) as database:
        events = StoredEvents(database, lambda tx, key: None)
        app = create_app(
            Engine(
                Receiver(events, world.clock),
                FakeCommands(),
                lambda: None,
                world.clock,
                settings({}, {"COUNTERFOIL_STORE_SECRET_EU1": SECRET, "COUNTERFOIL_API_TOKEN": "t" * 32}),
            )
        )
        server = make_server("127.0.0.1", 0, app, request_handler=_Quiet)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield Line(world, database, events, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        server.server_close()


def test_events_and_heartbeats_are_taken(line: Line) -> None:
    for order_id in (1001, 1002):
        line.world.shop.put(order_id)
    line.world.shop.add_refund(1001, 5001)
    line.world.run(130)
    assert line.world.agent.pump.trouble is None
    assert {verdict for *_, verdict in line.stored()} == {"stored"}
    assert line.through() == (1, 2)
    with line.database.transaction() as tx:
        assert tx.one("select count(*) as beats from heartbeats") is not None


def test_an_empty_batch_shows_that_the_way_is_open(line: Line) -> None:
    line.world.run(5)
    assert line.world.engine.reaches()


def test_a_clock_that_is_hours_off_is_corrected(line: Line) -> None:
    slow = World(line.world.path.parent / "slow" / "outbox.sqlite")
    slow.clock.pass_time(-10_000)
    slow.shop.clock = slow.clock
    line.connect(slow)
    slow.run(30)
    assert slow.agent.pump.trouble is None
    slow.crash()


def test_a_restored_agent_goes_on_in_a_new_epoch(line: Line) -> None:
    world = line.world
    world.shop.put(1001)
    world.run()
    world.crash()
    backup = world.path.parent / "backup.sqlite"
    shutil.copy(world.path, backup)
    for order_id in (1002, 1003):
        world.shop.put(order_id)
        world.run()
    world.crash()
    for beside in world.path.parent.glob("outbox.sqlite-*"):
        beside.unlink()
    shutil.copy(backup, world.path)
    world.shop.put(1003, status="completed")
    world.run(60)
    assert line.through()[0] == 2
    assert {subject for _, _, subject, _ in line.stored()} == {"order eu1/1001", "order eu1/1002", "order eu1/1003"}
    assert "refused" not in {verdict for *_, verdict in line.stored()}


def test_an_agent_restored_to_before_it_knew_an_order_still_finds_out_that_it_was_deleted(line: Line) -> None:
    world = line.world
    world.shop.put(1001)
    world.run()
    world.crash()
    backup = world.path.parent / "backup.sqlite"
    shutil.copy(world.path, backup)
    world.shop.put(1002)
    world.run()
    world.crash()
    for beside in world.path.parent.glob("outbox.sqlite-*"):
        beside.unlink()
    shutil.copy(backup, world.path)
    world.shop.delete(1002)
    world.run(300)
    assert [subject for _, _, subject, _ in line.stored()].count("order eu1/1002") == 2
    assert world.agent.outbox.known(1002).gone


def test_a_restored_engine_gets_again_what_it_lost(line: Line) -> None:
    world = line.world
    world.shop.put(1001)
    world.run()
    for order_id in (1002, 1003):
        world.shop.put(order_id)
        world.run()
    first = line.stored()
    with line.database.transaction() as tx:
        one = tx.one("select event_id from events where n = 1")
        assert one is not None
        tx.run("delete from events where n > 1")
        tx.run("update epochs set stored_through = 1, through_id = %s", one["event_id"])
    world.run(130)
    assert line.stored() == first


def test_an_engine_that_forgot_an_epoch_is_asked_past_those_that_were_used(line: Line) -> None:
    world = line.world
    world.shop.put(1001)
    world.run()
    world.agent.outbox.renumber(5)
    world.agent.pump.welcomed = False
    world.shop.put(1002)
    world.run(60)
    assert line.through()[0] == 6
    assert {subject for _, _, subject, _ in line.stored()} == {"order eu1/1001", "order eu1/1002"}


def test_what_waits_under_a_number_that_is_somebody_elses_by_now_goes_in_a_new_epoch(line: Line) -> None:
    """A firewall held it back; somebody with the store's secret took its number, and its neighbour went on."""
    world = line.world
    world.shop.put(1001)
    world.run()
    outbox, now = world.agent.outbox, world.clock.now()
    held, behind = (outbox.append(Event(VOID, order_id, void_body("A test.")), now) for order_id in (1002, 1003))
    assert held is not None and behind is not None
    outbox.hold(held, now + timedelta(seconds=60))
    theirs = replace(held, id="f" * 32, order_id=1)
    Uplink(line.url, "eu1", SECRET, world.clock).events(batch_of([theirs.encoded("eu1")]))
    world.run(50)
    assert line.through() == (1, 3)
    outbox.bury(held, "It can't pass.", world.clock.now())
    world.run(60)
    assert (2, 1, "order eu1/1002", "stored") in line.stored()


def test_a_second_agent_waits_for_the_hand_over(line: Line) -> None:
    line.world.shop.put(1001)
    line.world.run()
    second = World(line.world.path.parent / "second" / "outbox.sqlite")
    second.clock, second.shop = line.world.clock, line.world.shop
    second.random.seed(9)
    line.connect(second)
    second.run(60)
    assert isinstance(second.agent.pump.trouble, Denied)
    assert second.agent.pump.trouble.slug == "other-installation"
    line.receiver.hand_over("eu1")
    second.run(400)
    assert second.agent.pump.trouble is None
    assert line.through() == (2, 1)
    second.crash()


def test_tombstones_and_deletions_are_taken(line: Line) -> None:
    world = line.world
    world.shop_settings |= {"reread_days": 14, "reread_every_h": 0.1, "reread_page_s": 0}
    for order_id in (1001, 1002, 1003):
        world.shop.put(order_id)
    world.shop.raw[1003] = b'{"id":1003,"total":NaN}'
    world.run(30)
    world.shop.delete(1002)
    world.agent.hint(1002)
    world.run(200)
    assert {verdict for *_, verdict in line.stored()} == {"stored"}
    assert line.through() == (1, 4)
