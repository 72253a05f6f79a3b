"""The feed over real HTTP: who asks is answered at once or as soon as something changes, whatever else happens."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from counterfoil_contracts import faults
from counterfoil_engine.api.feed import FeedServer
from counterfoil_engine.api.listener import Bounds
from counterfoil_engine.api.requests import signature
from counterfoil_engine.config import Limits
from counterfoil_engine.records import ats, cases, feed, identity, store_writes, wakes
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.feed_cases import FeedCases
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, empty, open_database
from fakes.stock import RULES, StockWorld

SECRETS = {store: (f"the secret of the store {store}, for tests",) for store in ("eu1", "eu2", "us9")}
FIRST = 1 << 40


class Served:
    """A feed over the world's database, in a thread of its own."""

    def __init__(self, world: StockWorld) -> None:
        self.world, self.stop = world, threading.Event()
        self.feed = Feed(world.database, world.book, identity, ats, feed, store_writes, FeedCases(cases, store_writes))
        self.server = FeedServer(
            self.feed,
            SECRETS,
            Limits(),
            world.clock,
            wakes.listen(world.database, wakes.POOL),
            look_s=0.2,
            bounds=Bounds(request_s=2.0, linger_s=0.2),
        )
        opened = threading.Event()

        def serves(port: int) -> None:
            self.port = port
            opened.set()

        self.thread = threading.Thread(target=self.server.run, args=("127.0.0.1", 0, self.stop, False, serves))
        self.thread.start()
        assert opened.wait(20)

    def headers(self, path: str, raw: bytes, store: str = "eu1") -> dict[str, str]:
        at = str(int(self.world.clock.now().timestamp()))
        return {
            "Content-Type": "application/json",
            "Counterfoil-Store": store,
            "Counterfoil-Timestamp": at,
            "Counterfoil-Signature": signature(SECRETS.get(store, ("x" * 16,))[0], "POST", path, at, raw),
        }

    def post(self, path: str, body: Any, store: str = "eu1", **headers: str) -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(
            f"http://127.0.0.1:{self.port}{path}", raw, headers=self.headers(path, raw, store) | headers, timeout=70
        )

    def ask(self, version: int = 0, wait_s: float = 0, store: str = "eu1", **more: Any) -> dict[str, Any]:
        asked = {"version": version, "engine_epoch": None, "wait_s": wait_s, "limit": 1000} | more
        answer = self.post("/v1/feed", asked, store)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        assert faults("feed/numbers.v1", said) == []
        return said

    def say(self, store: str = "eu1", **said: Any) -> requests.Response:
        return self.post("/v1/feed/writes", {"writes": [], "drift": [], "unknown": None, "doubled": None} | said, store)

    def written(self, sku: str = "MUG", version: int = 1, number: int = 10, **more: Any) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat()
        one = {"sku": sku, "version": FIRST + version, "number": number, "verdict": "applied", "stock": number}
        return {**one, "reason": None, "at": at, **more}

    def close(self) -> None:
        self.stop.set()
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module", params=DIALECTS)
def _database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _clock: FakeClock
) -> Iterator[Database]:
    with open_database(request.param, tmp_path_factory.mktemp("feed"), _clock) as opened:
        yield opened


@pytest.fixture
def served(_database: Database, _clock: FakeClock) -> Iterator[Served]:
    _clock.start_anew()
    empty(_database)
    world = StockWorld(_database, _clock)
    with world.database.transaction() as tx:
        identity.establish(tx, "here", "an-id", 0)
    world.position("MUG", 10)
    world.position("CUP", 3)
    world.publish()
    served = Served(world)
    yield served
    served.close()


def test_an_agent_that_holds_nothing_gets_all_with_its_basis(served: Served) -> None:
    served.world.sell("eu1", "1001", "46", "MUG", 2)
    served.world.publish()
    said = served.ask()
    assert (said["pool"], said["engine_epoch"], said["more"], said["resync"]) == ("eu", 1, False, False)
    rows = {row["sku"]: row for row in said["rows"]}
    assert said["version"] == max(row["version"] for row in said["rows"]) == FIRST + 3
    mug = rows["MUG"]
    assert (mug["number"], mug["basis"], mug["sold"], mug["excluded"]) == (8, {"epoch": 1, "n": 1}, 2, False)
    assert served.ask(store="eu2")["rows"][-1]["basis"] == {"epoch": 1, "n": 0}
    assert served.ask(said["version"])["rows"] == []


def test_many_rows_come_page_by_page_and_none_is_missed(served: Served) -> None:
    for number in range(25):
        served.world.position(f"S{number:02}", number)
    served.world.publish()
    version, seen = 0, []
    for _ in range(20):
        said = served.ask(version, limit=4)
        seen += [row["sku"] for row in said["rows"]]
        version = said["version"]
        if not said["more"]:
            break
    assert sorted(seen) == sorted(["MUG", "CUP", *(f"S{number:02}" for number in range(25))])


def test_who_waits_is_told_as_soon_as_something_changes(served: Served) -> None:
    held = served.ask()["version"]
    with ThreadPoolExecutor(2) as others:
        waiting = [others.submit(served.ask, held, 40, store) for store in ("eu1", "eu2")]
        time.sleep(0.5)
        assert not any(one.done() for one in waiting)
        began = time.monotonic()
        served.world.position("MUG", 7)
        served.world.publish()
        told = [one.result() for one in waiting]
        assert time.monotonic() - began < 10
    assert [[(row["sku"], row["number"]) for row in said["rows"]] for said in told] == [[("MUG", 7)]] * 2
    assert all(said["version"] == held + 1 for said in told)


def test_who_waited_in_vain_is_told_that_nothing_changed(served: Served) -> None:
    held = served.ask()["version"]
    began = time.monotonic()
    said = served.ask(held, 0.5)
    assert time.monotonic() - began >= 0.5
    assert (said["rows"], said["version"], said["more"], said["resync"]) == ([], held, False, False)


def test_an_agent_that_was_away_gets_the_latest_of_each_sku_and_no_backlog(served: Served) -> None:
    held = served.ask()["version"]
    for on_hand in range(20, 29):
        served.world.position("MUG", on_hand)
        served.world.publish()
    assert [(row["sku"], row["number"]) for row in served.ask(held)["rows"]] == [("MUG", 28)]


def test_a_wake_up_that_is_lost_costs_a_second_and_no_change(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    held = served.ask()["version"]
    monkeypatch.setattr(Database, "_tell", lambda self, words: None)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(served.ask, held, 40)
        time.sleep(0.3)
        began = time.monotonic()
        served.world.position("MUG", 7)
        served.world.publish()
        assert [row["number"] for row in waiting.result()["rows"]] == [7]
        assert time.monotonic() - began < 15


def test_each_store_has_its_own_cap_and_basis(served: Served) -> None:
    world = served.world
    world.load_rules(caps=[{"pool": "*", "store": "eu2", "sku": "MUG", "share": "0.5", "from": "2020-01-01"}])
    world.publish()
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.sell("eu2", "7", "9", "MUG", 2)
    world.publish()
    said = {store: {row["sku"]: row for row in served.ask(store=store)["rows"]} for store in ("eu1", "eu2")}
    assert (said["eu1"]["MUG"]["number"], said["eu2"]["MUG"]["number"]) == (7, 3)
    assert (said["eu1"]["MUG"]["basis"]["n"], said["eu2"]["MUG"]["basis"]["n"]) == (1, 1)
    assert (said["eu1"]["MUG"]["sold"], said["eu2"]["MUG"]["sold"]) == (1, 2)
    assert said["eu1"]["CUP"]["number"] == said["eu2"]["CUP"]["number"] == 3


def test_a_version_from_elsewhere_is_to_be_forgotten(served: Served) -> None:
    held = served.ask()["version"]
    for version, epoch in ((held + 1, 1), (held, 2), (7, None), ((2 << 40) + 1, None), (2**53 - 1, 1)):
        said = served.ask(version, 30, engine_epoch=epoch)
        assert (said["resync"], said["version"], said["rows"]) == (True, 0, []), (version, epoch)


def test_after_a_restore_all_versions_are_above_those_of_before(served: Served) -> None:
    held = served.ask()["version"]
    with served.world.database.transaction() as tx:
        identity.doubt(tx, "restored from a backup")
    refused = served.post("/v1/feed", {"version": held, "engine_epoch": 1, "wait_s": 0, "limit": 10})
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    with served.world.database.transaction() as tx:
        identity.confirm(tx, "here")
    assert served.ask(held, engine_epoch=1)["resync"]
    said = served.ask()
    assert said["engine_epoch"] == 2 and len(said["rows"]) == 2
    assert min(row["version"] for row in said["rows"]) > held


def test_a_store_without_a_pool_is_told_so(served: Served) -> None:
    stores = [{name: value for name, value in one.items() if name != "pool"} for one in RULES["stores"]]  # type: ignore
    served.world.load_rules(stores=stores)
    said = served.post("/v1/feed", {"version": 0, "engine_epoch": None, "wait_s": 30, "limit": 10})
    assert (said.status_code, said.json()["type"]) == (404, "/problems/no-pool")
    assert (
        served.post("/v1/feed", {"version": 0, "engine_epoch": None, "wait_s": 0, "limit": 1}, "us9").status_code == 404
    )
    assert served.say().json()["type"] == "/problems/no-pool"


def test_more_than_a_few_waiting_requests_of_one_store_replace_the_oldest(served: Served) -> None:
    held = served.ask()["version"]
    with ThreadPoolExecutor(6) as others:
        began = time.monotonic()
        waiting = []
        for _ in range(6):
            waiting.append(others.submit(served.ask, held, 50))
            time.sleep(0.1)
        assert [waiting[place].result()["rows"] for place in (0, 1)] == [[], []]
        assert time.monotonic() - began < 20
        served.world.position("MUG", 7)
        served.world.publish()
        assert [len(one.result()["rows"]) for one in waiting[2:]] == [1, 1, 1, 1]


def test_those_who_wait_are_answered_when_the_feed_stops(served: Served) -> None:
    held = served.ask()["version"]
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(served.ask, held, 50)
        time.sleep(0.5)
        began = time.monotonic()
        served.close()
        assert waiting.result()["rows"] == []
        assert time.monotonic() - began < 15


# What became of it


def test_answers_are_kept_and_shown_by_why(served: Served) -> None:
    said = served.say(
        writes=[served.written(), served.written("CUP", 2, 3, verdict="missing", stock=None, reason="gone")]
    )
    assert (said.status_code, said.json()) == (200, {"noted": 2})
    told = served.world.publisher.why("eu", "MUG")
    [store] = [one for one in told["stores"] if one["store"] == "eu1"]
    assert (store["writes"][0]["version"], store["writes"][0]["verdict"]) == (FIRST + 1, "applied")
    assert told["published"]["version"] == FIRST + 2 - [row["sku"] for row in served.ask()["rows"]].index("CUP")


def test_an_edit_that_was_found_is_kept_and_written_again(served: Served) -> None:
    held = served.ask()["version"]
    drift = [{"sku": "mug", "expected": 10, "found": 99, "status": "instock"}]
    assert served.say(drift=drift).json() == {"noted": 1}
    served.world.publish()
    assert [(row["sku"], row["number"]) for row in served.ask(held)["rows"]] == [("MUG", 10)]
    with served.world.database.transaction() as tx:
        rows = tx.all("select store, sku_key, expected, found from stock_drift")
    assert [dict(row) for row in rows] == [{"store": "eu1", "sku_key": "mug", "expected": 10, "found": 99}]


def test_what_a_store_cannot_be_told_of_is_a_case_until_it_is_said_no_more(served: Served) -> None:
    served.say(
        unknown=["MUG", "SPOON"],
        doubled=[{"sku": "CUP", "stock_ids": [11, 12]}],
        writes=[served.written("CUP", 2, 3, verdict="unmanaged", stock=None)],
    )
    causes = served.world.cases()
    assert len(causes) == 4
    assert any("has no product with the SKU 'MUG'" in cause for cause in causes)
    assert any("sells the SKU 'SPOON', of which no warehouse" in cause for cause in causes)
    served.say()
    assert len(served.world.cases()) == 4, "not looked at is no news"
    served.say(unknown=["SPOON"], doubled=[], writes=[served.written("CUP", 2, 3)])
    [left] = served.world.cases()
    assert "SPOON" in left
    served.say(unknown=[])
    assert served.world.cases() == []


def test_thousands_of_unknown_skus_are_a_hundred_cases_and_one_more(served: Served) -> None:
    assert served.say(unknown=[f"S{number}" for number in range(5000)]).status_code == 200
    assert len(served.world.cases()) == 101
    served.say(unknown=[])
    assert served.world.cases() == []


# Bad input


def _is_refused(answer: requests.Response, status: int, slug: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    said = answer.json()
    assert said["type"] == f"/problems/{slug}" and said["detail"].endswith(".") and said["remedy"].endswith(".")
    assert "Date" in answer.headers


def test_what_is_not_signed_by_the_store_is_refused(served: Served) -> None:
    asked = {"version": 0, "engine_epoch": None, "wait_s": 0, "limit": 10}
    for headers in (
        {"Counterfoil-Signature": "v1=" + "0" * 64},
        {"Counterfoil-Signature": "none"},
        {"Counterfoil-Store": "eu2"},
        {"Counterfoil-Store": "nobody"},
        {"Counterfoil-Timestamp": "1"},
    ):
        _is_refused(served.post("/v1/feed", asked, **headers), 401, "signature")
        _is_refused(served.post("/v1/feed/writes", asked, **headers), 401, "signature")
    raw = json.dumps(asked).encode()
    headers = served.headers("/v1/feed", raw)
    served.world.clock.pass_time(3600)
    late = requests.post(f"http://127.0.0.1:{served.port}/v1/feed", raw, headers=headers, timeout=20)
    _is_refused(late, 401, "clock")


@pytest.mark.parametrize(
    "change",
    [
        {"version": -1},
        {"version": 2**53},
        {"version": "7"},
        {"version": None},
        {"version": 1.5},
        {"engine_epoch": 0},
        {"engine_epoch": 2**40},
        {"wait_s": -1},
        {"wait_s": 3600},
        {"wait_s": "NaN"},
        {"limit": 0},
        {"limit": 5001},
        {"limit": True},
    ],
    ids=str,
)
def test_what_no_agent_asks_is_refused(served: Served, change: dict[str, Any]) -> None:
    asked = {"version": 0, "engine_epoch": None, "wait_s": 0, "limit": 10} | change
    _is_refused(served.post("/v1/feed", asked), 400, "contract")


def test_bodies_that_are_none_are_refused(served: Served) -> None:
    for raw in (b"", b"null", b"[]", b"{", b"\xff", b"[" * 3000, b'{"version": 1, "version": 2}', b"NaN"):
        _is_refused(served.post("/v1/feed", raw), 400, "contract")
        _is_refused(served.post("/v1/feed/writes", raw), 400, "contract")
    _is_refused(served.post("/v1/feed", b"x" * 5000), 413, "too-large")
    bomb = gzip.compress(b" " * 5_000_000)
    _is_refused(served.post("/v1/feed", bomb[:4000], **{"Content-Encoding": "gzip"}), 413, "too-large")
    bomb = gzip.compress(b" " * 20_000_000)
    _is_refused(served.post("/v1/feed/writes", bomb, **{"Content-Encoding": "gzip"}), 413, "too-large")
    _is_refused(served.post("/v1/feed", b"{}", **{"Content-Type": "text/plain"}), 415, "media-type")
    assert served.post("/v1/nothing", b"{}").status_code == 404
    wrong = requests.get(f"http://127.0.0.1:{served.port}/v1/feed", timeout=20)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    assert requests.get(f"http://127.0.0.1:{served.port}/v1/health", timeout=20).json() == {"ok": True}


@pytest.mark.parametrize(
    "change",
    [
        {"sku": ""},
        {"sku": "a\u0000b"},
        {"sku": "x" * 201},
        {"version": -1},
        {"number": 10**18},
        {"number": 1.5},
        {"verdict": "sold"},
        {"stock": "7"},
        {"at": "yesterday"},
        {"at": None},
    ],
    ids=str,
)
def test_an_answer_that_breaks_its_contract_is_refused_whole(served: Served, change: dict[str, Any]) -> None:
    _is_refused(served.say(writes=[served.written(), served.written() | change]), 400, "contract")
    with served.world.database.transaction() as tx:
        assert tx.all("select * from store_writes") == []


def test_what_a_store_says_in_its_own_words_is_kept_as_far_as_it_can_be(served: Served) -> None:
    odd = served.written(verdict="error", stock=10**25, reason="a\x00b\n" + "x" * 1_000)
    drift = [{"sku": "MUG", "expected": 1, "found": -(10**25), "status": "on-demand \x1b[31m"}]
    assert served.say(writes=[odd], drift=drift).json() == {"noted": 2}
    with served.world.database.transaction() as tx:
        [write], [edit] = tx.all("select * from store_writes"), tx.all("select * from stock_drift")
    assert (write["stock"], write["reason"][:4], len(write["reason"])) == (10**15, "a\ufffdb\ufffd", 300)
    assert (edit["found"], edit["status"]) == (-(10**15), "on-demand \ufffd[31m")


def test_moments_that_no_calendar_has_harm_nothing(served: Served) -> None:
    odd = [served.written(as_of="0001-01-01T00:00:00+14:00"), served.written("CUP", at="9999-12-31T23:59:59-14:00")]
    assert served.say(writes=odd).status_code in (200, 400)


def test_what_is_no_http_is_answered_4xx_and_never_repeated(served: Served) -> None:
    for sent in (
        b"Erika\r\n\r\n",
        b"POST /v1/feed HTTP/1.1\r\nContent-Length: Erika\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ):
        answer = _raw(served, sent)
        assert answer.startswith(b"HTTP/1.1 4") and b"Erika" not in answer
        assert b"application/problem+json" in answer
    huge = _raw(served, b"POST /v1/feed HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000 + b"\r\n\r\n")
    assert huge.startswith(b"HTTP/1.1 4")
    too_large = _raw(served, b"POST /v1/feed/writes HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    assert too_large.startswith(b"HTTP/1.1 413")
    assert served.ask()["rows"]


def _raw(served: Served, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as line:
        line.sendall(sent)
        return line.makefile("rb").read()


def test_half_requests_end_and_hold_nobody_up(served: Served) -> None:
    lines = [socket.create_connection(("127.0.0.1", served.port), timeout=30) for _ in range(50)]
    try:
        for place, line in enumerate(lines):
            line.sendall(
                b"POST /v1/feed HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 9\r\n\r\n{" if place % 2 else b"")
            )
        began = time.monotonic()
        assert served.ask()["rows"]
        assert time.monotonic() - began < 5
        for line in lines[:2]:
            assert line.makefile("rb").read().startswith(b"HTTP/1.1 408")
    finally:
        for line in lines:
            line.close()


def test_requests_that_come_ahead_of_their_turn_are_answered_in_order(served: Served) -> None:
    raw = json.dumps({"version": 0, "engine_epoch": None, "wait_s": 0, "limit": 1}).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in served.headers("/v1/feed", raw).items())
    request = f"POST /v1/feed HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n{head}\r\n".encode() + raw
    last = request.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
    answer = _raw(served, request + request + last)
    assert answer.count(b"HTTP/1.1 200") == 3 and answer.count(b'"more":true') == 3


def test_a_reader_that_leaves_while_it_waits_is_forgotten(served: Served) -> None:
    held = served.ask()["version"]
    raw = json.dumps({"version": held, "engine_epoch": 1, "wait_s": 55, "limit": 1}).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in served.headers("/v1/feed", raw).items())
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as line:
            line.sendall(
                f"POST /v1/feed HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n{head}\r\n".encode() + raw
            )
            time.sleep(0.1)
    for _ in range(100):
        if not served.server._waiting._by_store:
            break
        time.sleep(0.05)
    assert served.server._waiting._by_store == {}


@pytest.mark.postgresql
def test_two_writers_that_overlap_lose_nothing_on_the_feed(tmp_path: Path) -> None:
    """A writer commits late what others have passed by: each change is told, and all agents end at the same numbers."""
    clock = FakeClock()
    with open_database("postgresql", tmp_path, clock) as database:
        world = StockWorld(database, clock)
        with database.transaction() as tx:
            identity.establish(tx, "here", "an-id", 0)
        others = [Database(database.url, clock) for _ in range(4)]
        served, stop = Served(world), threading.Event()
        held: dict[str, dict[str, int]] = {"eu1": {}, "eu2": {}}
        failed: list[BaseException] = []

        def follow(store: str) -> None:
            version = 0
            while True:
                was_over = stop.is_set()
                said = served.ask(version, 0.3, store, limit=7)
                assert not said["resync"] and said["version"] >= version
                version = said["version"]
                held[store] |= {row["sku"]: row["number"] for row in said["rows"]}
                if was_over and not said["rows"]:
                    return

        def publish(database: Database) -> None:
            publisher = world.another_publisher(database)
            while not stop.is_set():
                publisher.step()

        def write(database: Database, first: int) -> None:
            for number in range(first, 60, 2):
                with database.transaction() as tx:
                    tx.run("update positions set on_hand = %s where sku_key = %s", number, f"s{number % 10}")
                    tx.run(
                        "insert into stock_dirty (pool, sku_key, reason, marked_at)"
                        " values ('eu', %s, 'position', now())",
                        f"s{number % 10}",
                    )
                    time.sleep(0.01 * (number % 3))
                    tx.tell(wakes.STOCK)

        def run(target: Any, *given: Any) -> threading.Thread:
            def safely() -> None:
                try:
                    target(*given)
                except BaseException as error:
                    failed.append(error)

            thread = threading.Thread(target=safely)
            thread.start()
            return thread

        for number in range(10):
            world.position(f"S{number}", 100)
        followers = [run(follow, store) for store in held]
        publishers = [run(publish, each) for each in others[:2]]
        for writer in [run(write, others[2], 0), run(write, others[3], 1)]:
            writer.join()
        for _ in range(100):
            if not world.marks():
                break
            time.sleep(0.05)
        stop.set()
        for thread in [*followers, *publishers]:
            thread.join()
        served.close()
        for each in others:
            each.close()
        assert [repr(error.__cause__ or error) for error in failed] == []
        numbers = {row.sku: row.number for row in world.feed().values()}
        assert held["eu1"] == held["eu2"] == numbers
        assert sorted(numbers.values()) == list(range(50, 60))
