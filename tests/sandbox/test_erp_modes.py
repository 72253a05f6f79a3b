"""The sandbox ERP's bad days, each by its switch, on a clock of the test's own; and the ERP as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import LineCut, create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.erp_modes import FAULTS, Modes
from sandbox.erp_documents import a_payment, an_order

AUTHORISED = {"Authorization": "Bearer t"}
PAYMENTS = [a_payment(natural_id=str(number)) for number in range(4)]


class World:
    """An ERP and a clock that sleeping moves."""

    def __init__(self, **modes: Any) -> None:
        self.moment = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self.erp = create_erp(Books(), "t", Modes().changed(modes), now=lambda: self.moment, sleep=self.sleep)
        self.client = self.erp.flask.test_client()

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def post(self, documents: list[Any] = PAYMENTS) -> Any:
        return self.client.post("/v1/documents", json={"documents": documents}, headers=AUTHORISED)

    def found(self) -> int:
        keys = [document["key"] for document in PAYMENTS]
        return len(self.client.post("/v1/documents/find", json={"keys": keys}, headers=AUTHORISED).json["found"])


def test_slow_takes_so_long_a_call_and_a_document() -> None:
    world = World(slow_call_ms=500, slow_document_ms=20)
    began = world.moment
    world.post()
    assert world.moment - began == timedelta(milliseconds=580)


@pytest.mark.parametrize(("fault", "status"), [("down", 503), ("rate_limit", 429)])
def test_down_and_rate_limit_do_nothing_and_ask_for_a_pause(fault: str, status: int) -> None:
    world = World(fault=fault, retry_after_s=7)
    answer = world.post()
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert world.client.get("/v1/health", headers=AUTHORISED).status_code == status
    world.erp.change_modes({"fault": None})
    assert world.found() == 0


@pytest.mark.parametrize(
    ("fault", "committed"), [("fail_before_commit", 0), ("fail_halfway", 2), ("fail_after_commit", 4)]
)
def test_a_failing_post_has_committed_nothing_half_or_all(fault: str, committed: int) -> None:
    world = World(fault=fault)
    assert world.post().status_code == 500
    assert world.found() == committed


@pytest.mark.parametrize(("fault", "committed"), [("cut_before_commit", 0), ("cut_after_commit", 4)])
def test_a_cut_line_gives_no_answer(fault: str, committed: int) -> None:
    world = World(fault=fault)
    with pytest.raises(LineCut):
        world.post()
    assert world.found() == committed


def test_a_fault_lasts_for_so_many_calls_and_spares_reads_unless_told() -> None:
    world = World(fault="fail_before_commit", fault_times=2)
    assert world.found() == 0
    assert [world.post().status_code for _ in range(3)] == [500, 500, 200]
    assert world.erp.modes == Modes()
    world = World(fault="fail_before_commit", fault_times=1, fault_on="all")
    assert world.client.get("/v1/health", headers=AUTHORISED).status_code == 500


def test_it_commits_seconds_after_its_client_died_and_find_sees_nothing_before() -> None:
    world = World(fault="cut_then_commit", fault_times=1, commit_delay_s=5, unique_keys=False)
    with pytest.raises(LineCut):
        world.post()
    world.sleep(4.9)
    assert world.found() == 0
    world.sleep(0.1)
    assert world.found() == 4
    assert world.erp.modes.commit_lag_s(100) >= 5


def test_who_posts_again_too_early_has_everything_twice_where_keys_are_not_unique() -> None:
    world = World(fault="cut_then_commit", fault_times=1, commit_delay_s=5, unique_keys=False)
    with pytest.raises(LineCut):
        world.post()
    assert world.found() == 0
    world.post()
    assert world.found() == 8


def test_with_unique_keys_the_late_commit_and_the_second_post_are_one() -> None:
    world = World(fault="cut_then_commit", fault_times=1, commit_delay_s=5)
    with pytest.raises(LineCut):
        world.post()
    assert [outcome["status"] for outcome in world.post().json["outcomes"]] == ["posted"] * 4
    assert world.found() == 4


def test_a_wrong_role_is_booked_where_one_is_planted() -> None:
    world = World(wrong_role={"revenue:goods": "revenue:services"})
    world.post(an_order())
    assert ("DE01", "revenue:services", "EUR") in world.erp.books.balances()
    assert ("DE01", "revenue:goods", "EUR") not in world.erp.books.balances()


def test_switches_turn_by_the_control_call_and_reset() -> None:
    world = World()
    answer = world.client.post("/sandbox/modes", json={"fault": "down", "fault_times": 3}, headers=AUTHORISED)
    assert answer.json == world.erp.modes.as_json() == world.client.get("/sandbox/modes", headers=AUTHORISED).json
    assert world.erp.modes.fault_times == 3
    world.client.post("/sandbox/modes", json={"reset": True, "slow_call_ms": 5}, headers=AUTHORISED)
    assert world.erp.modes == Modes(slow_call_ms=5)


@pytest.mark.parametrize(
    "values",
    [
        {"volume": 11},
        {"fault": "tired"},
        {"fault": ["down"]},
        {"slow_call_ms": -1},
        {"slow_call_ms": True},
        {"slow_call_ms": 10**30},
        {"commit_delay_s": "5"},
        {"unique_keys": "no"},
        {"wrong_role": [1]},
        {"fault_on": {}},
    ],
    ids=str,
)
def test_a_switch_that_is_none_is_refused_with_what_can_be_sent(values: Any) -> None:
    world = World()
    answer = world.client.post("/sandbox/modes", json=values, headers=AUTHORISED)
    assert answer.status_code == 400
    assert answer.json["detail"] and answer.json["remedy"]
    assert world.erp.modes == Modes()


def test_the_pages_buttons_turn_switches_tamper_and_close_periods() -> None:
    world = World()
    world.post(an_order())
    token = {"form_token": world.erp.form_token}
    form = {**token, "fault": "down", "fault_times": "2", "fault_on": "all"}
    assert world.client.post("/sandbox/modes", data=form).status_code == 303
    assert (world.erp.modes.fault, world.erp.modes.fault_times) == ("down", 2)
    assert "2 calls left" in world.client.get("/").text
    world.client.post("/sandbox/modes", data={**token, "reset": "true"})
    world.client.post("/sandbox/tamper", data={**token, "key": a_payment()["key"], "amount_minor": "3000"})
    period = {"entity": "DE01", "first_day": "2026-10-01", "last_day": "2026-10-31"}
    world.client.post("/sandbox/periods", data={**token, **period})
    page = world.client.get("/").text
    assert "30.00" in page and "2026-10-31" in page
    world.client.post("/sandbox/periods", data={**token, "entity": "DE01", "open": "true"})
    assert "2026-10-31" not in world.client.get("/").text


def test_the_page_pages_back_to_the_first_document() -> None:
    world = World()
    world.post([a_payment(natural_id=str(number)) for number in range(60)])
    seen, path = [], "/"
    while path:
        page = world.client.get(path).text
        seen += re.findall(r">(PA-2026-\d+)<", page)
        older = re.search(r'href="(/\?before=\d+)"', page)
        path = older.group(1) if older else ""
    assert seen == [f"PA-2026-{number:06}" for number in range(60, 0, -1)]


def test_every_fault_is_told_on_the_page() -> None:
    page = World().client.get("/").text
    assert all(f"{fault}: {what}" in page for fault, what in FAULTS.items())


def test_rates_items_and_periods_are_set_by_the_control_calls() -> None:
    world = World()

    def control(path: str, **values: Any) -> int:
        return int(world.client.post(f"/sandbox/{path}", json=values, headers=AUTHORISED).status_code)

    usd = {"currency": "USD", "book": "EUR", "from": "2026-01-01"}
    assert [control("rates", **usd, rate=rate) for rate in ("1.25", "0", "-1", 1.25)] == [200, 400, 400, 400]
    assert [control("items", accept_all=False, items=items) for items in (["SKU-2"], [7])] == [200, 400]
    november = {"entity": "DE01", "first_day": "2026-11-01", "last_day": "2026-11-30"}
    assert [control("periods", **november), control("periods", **{**november, "last_day": "2026-10-01"})] == [200, 400]
    assert world.erp.books.rate("USD", "EUR", date(2026, 11, 23)) == "1.25"
    assert world.erp.books.open_day("DE01", date(2026, 11, 23)) == date(2026, 12, 1)
    assert control("periods", entity="DE01", open=True) == 200
    categories = [outcome.get("category") for outcome in world.post(an_order()).json["outcomes"]]
    assert categories == [None, "missing_mapping", None, "missing_mapping", None]


def test_a_call_that_outlasts_its_timeout_on_a_simulated_clock_ends_as_one() -> None:
    world = World(slow_call_ms=3_000)
    session = in_process_session(world.erp, lambda: world.moment)
    with pytest.raises(requests.ReadTimeout):
        session.post("http://erp/v1/documents", json={"documents": PAYMENTS}, headers=AUTHORISED, timeout=(1, 2))
    assert world.erp.books.count() == 4


# A process of its own


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        command = [sys.executable, "-m", "counterfoil_sandbox.erp", "--listen", "127.0.0.1:0", *arguments]
        environment = {**os.environ, "COUNTERFOIL_ERP_TOKEN": "t"}
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True))
        assert running[-1].stdout is not None
        return running[-1].stdout.readline().split(": ", 1)[1].strip().rstrip("/")

    start.running = running  # type: ignore[attr-defined]
    yield start
    for each in running:
        each.kill()
        each.wait()
        assert each.stdout is not None
        each.stdout.close()


def test_the_process_keeps_its_books_through_a_kill(process: Any, tmp_path: Path) -> None:
    database = str(tmp_path / "erp.sqlite3")
    url = process("--database", database, "--rate", "USD/EUR=1.25", "--mode", "slow_call_ms=1")
    posted = requests.post(f"{url}/v1/documents", json={"documents": an_order()}, headers=AUTHORISED, timeout=10)
    assert [outcome["status"] for outcome in posted.json()["outcomes"]] == ["posted"] * 5
    process.running[0].kill()
    url = process("--database", database)
    again = requests.post(f"{url}/v1/documents", json={"documents": an_order()}, headers=AUTHORISED, timeout=10)
    assert again.json() == posted.json()
    query = {"currency": "USD", "book": "EUR", "on": "2026-11-23"}
    assert requests.get(f"{url}/v1/rates", params=query, headers=AUTHORISED, timeout=10).json() == {"rate": "1.25"}


def test_the_process_ends_cleanly_on_a_signal(process: Any, tmp_path: Path) -> None:
    database = str(tmp_path / "erp.sqlite3")
    process("--database", database)
    process.running[0].send_signal(signal.SIGTERM)
    assert process.running[0].wait(timeout=10) == 0
    assert sqlite3.connect(database).execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_cut_line_over_the_wire_is_a_closed_connection(process: Any) -> None:
    url = process("--mode", "fault=cut_after_commit", "--mode", "fault_times=1")
    body = json.dumps({"documents": PAYMENTS})
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{url}/v1/documents", data=body, headers=AUTHORISED, timeout=5)
    found = requests.post(
        f"{url}/v1/documents/find", json={"keys": [PAYMENTS[0]["key"]]}, headers=AUTHORISED, timeout=5
    )
    assert len(found.json()["found"]) == 1


@pytest.mark.parametrize(
    ("arguments", "token"),
    [
        ([], ""),
        (["--mode", "fault=tired"], "t"),
        (["--listen", "127.0.0.1:port"], "t"),
        (["--rate", "USD=1"], "t"),
        (["--database", "/nowhere/at/all"], "t"),
        (["--items", "/nowhere/at/all"], "t"),
        (["--listen", "127.0.0.1:99999"], "t"),
        (["--listen", "192.0.2.1:0"], "t"),
    ],
)
def test_a_wrong_start_says_why_and_ends_with_2(arguments: list[str], token: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "counterfoil_sandbox.erp", "--listen", "127.0.0.1:0", *arguments],
        env={**os.environ, "COUNTERFOIL_ERP_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr and "Traceback" not in run.stderr
