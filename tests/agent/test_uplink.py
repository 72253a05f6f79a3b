"""The engine over real HTTP: signed, packed, by its clock; and what each answer means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_agent.errors import Blocked, Denied, OtherEpoch, RateLimited, TooLarge, Unavailable
from counterfoil_agent.ports import Through
from counterfoil_agent.uplink import Uplink
from fakes.agent_engine import FakeEngine, Served, serving
from fakes.agent_world import World
from fakes.clock import FakeClock

HELLO = {"store": "eu1", "installation": "a" * 32, "epoch": None, "last": None}
PROBLEM = {"Content-Type": "application/problem+json"}


def problem(slug: str) -> bytes:
    return json.dumps(
        {"type": f"/problems/{slug}", "title": "No", "detail": "The cause.", "remedy": "A remedy."}
    ).encode()


class Line:
    def __init__(self, served: Served, engine: FakeEngine) -> None:
        self.served, self.engine, self.clock = served, engine, FakeClock()
        self.uplink = Uplink(served.url, "eu1", "s3cret", self.clock, timeout_s=5)


@pytest.fixture
def line() -> Iterator[Line]:
    engine = FakeEngine()
    with serving(engine, FakeClock()) as served:
        yield Line(served, engine)


def test_hello_is_signed_and_answered(line: Line) -> None:
    welcome = line.uplink.hello(HELLO)
    assert (welcome.epoch, welcome.stored_through, welcome.retain_s) == (1, Through(0, None), 604_800)


def test_a_new_epoch_starts_at_nothing(line: Line) -> None:
    line.engine.epoch = 4
    assert line.uplink.new_epoch({"epoch": 4}).epoch == 5


def test_large_bodies_are_packed(line: Line) -> None:
    line.uplink.hello(HELLO)
    line.uplink.heartbeat(json.dumps({"data": "x" * 5000}).encode())
    assert line.served.seen[-1]["Content-Encoding"] == "gzip"
    assert int(line.served.seen[-1]["Content-Length"]) < 500


def test_what_is_wrapped_goes_under_another_form(line: Line) -> None:
    line.uplink.events(b"[]", wrapped=True)
    assert line.served.seen[-1]["Content-Type"] == "application/cloudevents-batch+json"
    assert line.served.seen[-1]["Content-Encoding"] == "gzip"


def test_a_wrong_clock_is_corrected_and_the_request_repeated_once(line: Line) -> None:
    line.clock.pass_time(-7200)
    assert line.uplink.hello(HELLO).epoch == 1
    assert line.uplink.clock_offset_s == 7200
    line.uplink.hello(HELLO)
    assert len(line.served.seen) == 3


def test_a_clock_that_the_engine_still_refuses_is_no_endless_loop(line: Line) -> None:
    line.served.answers += [(401, PROBLEM, problem("clock"))] * 3
    with pytest.raises(Denied):
        line.uplink.hello(HELLO)
    assert len(line.served.answers) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (409, PROBLEM, problem("epoch"), OtherEpoch),
        (409, PROBLEM, problem("other-installation"), Denied),
        (401, PROBLEM, problem("signature"), Denied),
        (413, PROBLEM, problem("too-large"), TooLarge),
        (413, {}, b"<html>nginx</html>", TooLarge),
        (400, PROBLEM, problem("json"), Blocked),
        (403, {}, b"<html>Blocked by the firewall</html>", Blocked),
        (406, {}, b"Not Acceptable", Blocked),
        (429, {"Retry-After": "9"}, b"", RateLimited),
        (503, {**PROBLEM, "Retry-After": "9"}, problem("unavailable"), RateLimited),
        (503, PROBLEM, problem("unavailable"), Unavailable),
        (500, PROBLEM, problem("failed"), Unavailable),
        (502, {}, b"<html>Bad gateway</html>", Unavailable),
        (404, {}, b"<html>Not found</html>", Unavailable),
        (302, {"Location": "/login"}, b"", Unavailable),
        (200, {}, b"<html>Please sign in</html>", Unavailable),
        (200, {}, b'{"verdicts":"none"}', Unavailable),
        (200, {}, b'{"verdicts":[{"n":1,"id":"a","verdict":"lost"}]}', Unavailable),
        (200, {}, b"[" * 100_000, Unavailable),
        (500, PROBLEM, b'{"type":', Unavailable),
    ],
)
def test_what_each_answer_means(
    line: Line, status: int, headers: dict[str, str], body: bytes, error: type[Exception]
) -> None:
    line.served.answers.append((status, headers, body))
    with pytest.raises(error) as told:
        line.uplink.events(b"[]")
    assert "s3cret" not in str(told.value)


def test_the_engines_own_words_are_passed_on(line: Line) -> None:
    line.served.answers.append((409, PROBLEM, problem("other-installation")))
    with pytest.raises(Denied) as told:
        line.uplink.hello(HELLO)
    assert (told.value.cause, told.value.remedy, told.value.slug) == ("The cause.", "A remedy.", "other-installation")


def test_the_way_is_open_when_the_engine_itself_says_no(line: Line) -> None:
    line.served.answers += [(400, PROBLEM, problem("json")), (403, {}, b"<html>firewall</html>")]
    assert line.uplink.reaches()
    assert not line.uplink.reaches()


def test_an_engine_that_isnt_there_is_told() -> None:
    with pytest.raises(Unavailable):
        Uplink("http://127.0.0.1:9", "eu1", "s3cret", FakeClock(), timeout_s=1).hello(HELLO)


def test_a_whole_agent_over_real_http(world: World, tmp_path: Path) -> None:
    from counterfoil_agent.rest import RestStore
    from fakes import agent_shop

    with serving(world.engine, world.clock) as engine, agent_shop.serving(world.shop) as (url, _):
        line = World(tmp_path / "b" / "outbox.sqlite", page_orders=3)
        line.clock = world.clock
        line.shop = RestStore(url, "ck", "cs", world.clock)  # type: ignore[assignment]
        line.engine = Uplink(engine.url, "eu1", "s3cret", world.clock)  # type: ignore[assignment]
        for order_id in range(1001, 1011):
            world.shop.put(order_id)
        world.shop.add_refund(1004, 5001)
        line.run(30)
        assert world.engine.through().n == 10
        assert world.engine.latest("order/1004")["refunds"][0]["id"] == 5001
        assert world.engine.beats
        line.crash()
