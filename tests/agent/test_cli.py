"""The command: what it says, how it ends, and that every command has help with examples."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from counterfoil_agent import cli, errands
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import FeedPage, Item, Number
from counterfoil_agent.snapshot import ORDER, Event
from counterfoil_agent.stock_book import StockBook
from fakes import agent_engine, agent_shop
from fakes.agent_engine import FakeEngine
from fakes.agent_shop import FakeShop

COMMANDS = [name for name in cli.HELP if name]
SECRETS = {"COUNTERFOIL_SHOP_KEY": "ck_a", "COUNTERFOIL_SHOP_SECRET": "cs_b", "COUNTERFOIL_ENGINE_SECRET": "s3cret"}


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration whose shop and engine are at work."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    shop, engine = FakeShop(RealClock()), FakeEngine()
    for order_id in (1001, 1002):
        shop.put(order_id)
    path = tmp_path / "agent.toml"
    with agent_shop.serving(shop) as (shop_url, _), agent_engine.serving(engine, RealClock()) as served:
        path.write_text(
            f'store = "eu1"\n[shop]\nurl = "{shop_url}"\npoll_s = 1\n[engine]\nurl = "{served.url}"\nidle_s = 0.05\n'
            f'[outbox]\npath = "{tmp_path}/outbox.sqlite"\ndisk_free_bytes = 0\n'
        )
        yield path


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = cli.main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_two_examples_and_its_exit_statuses(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    status, out, _ = call(capsys, name, "--help")
    assert status == 0
    assert out.startswith(f"usage: counterfoil-agent {name}")
    assert out.count(f"  counterfoil-agent {name if name != 'allow-deletions' else ''}") >= 1
    assert out.count("\n  counterfoil-agent ") >= 2
    assert "Exit status" in out
    assert "--json" in out


def test_the_first_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    out = call(capsys, "--help")[1]
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--fast"],
        ["backfill"],
        ["backfill", "--from", "2026-13-01"],
        ["backfill", "--from", "2026-11-01", "--to", "tomorrow"],
        ["fetch"],
        ["fetch", "0"],
        ["fetch", "1001; drop table rows"],
        ["allow-deletions", "--count", "-1"],
        ["outbox"],
        ["outbox", "burn"],
        ["status", "--confg", "x"],
    ],
)
def test_a_wrong_use_ends_with_2_and_where_to_read_on(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    status, _, err = call(capsys, *arguments)
    assert status == 2
    assert "--help` for what it takes" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", [["run"], ["check"], ["status"], ["outbox", "list"], ["fetch", "5"]])
def test_a_missing_configuration_is_told_with_a_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: list[str]
) -> None:
    status, out, err = call(capsys, *name, "--config", str(tmp_path / "none.toml"))
    assert (status, out) == (1, "")
    assert "example.toml" in err
    status, out, _ = call(capsys, *name, "--json", "--config", str(tmp_path / "none.toml"))
    assert (status, set(json.loads(out)["error"])) == (1, {"category", "cause", "remedy"})


def test_check_proves_everything_where_all_is_well(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    status, out, _ = call(capsys, "check", "--config", str(toml))
    assert status == 0, out
    assert "0 failed" in out
    assert "answers and takes the signature" in out


def test_check_says_what_helps(capsys: pytest.CaptureFixture[str], toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_ENGINE_SECRET", "wrong")
    monkeypatch.delenv("COUNTERFOIL_SHOP_KEY")
    status, out, _ = call(capsys, "check", "--json", "--config", str(toml))
    found = json.loads(out)
    failed = {each["name"]: each for each in found["findings"] if each["state"] == "failed"}
    assert (status, found["failed"], set(failed)) == (1, 3, {"secrets", "shop", "engine"})
    assert all(each["remedy"] for each in failed.values())


def test_backfill_without_an_agent_does_it_itself(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    status, out, _ = call(capsys, "backfill", "--from", today, "--json", "--config", str(toml))
    assert status == 0
    assert json.loads(out.splitlines()[-1])["under_way"] is False
    status, out, _ = call(capsys, "status", "--json", "--config", str(toml))
    told = json.loads(out)
    assert (told["depth_events"], told["stored_through_n"], told["at_work"]) == (0, 2, False)


def test_a_range_that_ends_before_it_begins_is_refused(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    status, _, err = call(capsys, "backfill", "--from", "2026-11-02", "--to", "2026-11-01", "--config", str(toml))
    assert status == 1
    assert "earlier day" in err


def test_status_calls_somebody_where_something_is_wrong(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    assert call(capsys, "status", "--config", str(toml))[0] == 1
    Outbox.open(toml.parent / "outbox.sqlite", Random(1)).close()
    status, out, _ = call(capsys, "status", "--check", "--config", str(toml))
    assert status == 1
    assert "systemctl start" in out
    assert call(capsys, "status", "--config", str(toml))[0] == 0


def test_the_outbox_can_be_looked_into(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    outbox = Outbox.open(toml.parent / "outbox.sqlite", Random(1))
    now = datetime.now(UTC)
    outbox.append(Event(ORDER, 1001, b'{"order":{}}'), now)
    outbox.append(Event(ORDER, 1002, b"{}"), now)
    row = outbox.batch(1, 10**6, now)[0]
    outbox.bury(row, "Too large.", now)
    outbox.close()
    config = ("--config", str(toml))
    assert "order 1002" in call(capsys, "outbox", "list", *config)[1]
    assert "Too large." in call(capsys, "outbox", "tombstones", *config)[1]
    told = json.loads(call(capsys, "outbox", "tombstones", "--json", *config)[1])
    assert told["tombstones"][0]["id"] == row.id
    assert call(capsys, "outbox", "show", "nothing", *config)[0] == 1


def test_an_errand_for_an_agent_that_isnt_at_work_waits(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    Outbox.open(toml.parent / "outbox.sqlite", Random(1)).close()
    status, out, _ = call(capsys, "fetch", "1001", "--config", str(toml))
    assert (status, "No agent is at work" in out) == (0, True)
    assert [errand.kind for _, errand in errands.waiting(toml.parent / "outbox.sqlite")] == ["fetch"]


def a_book(toml: Path) -> None:
    """What an agent has read: a shop with two products, and two numbers."""
    outbox = Outbox.open(toml.parent / "outbox.sqlite", Random(1))
    book = StockBook(outbox)
    book.take_items(
        [Item(1, 1, "MUG", Decimal(10), "instock", True), Item(2, 2, "CUP", Decimal(3), "instock", True)], 1
    )
    book.end_pass(1, datetime.now(UTC))
    plain = Number("MUG", 1, 4, None, "2026-11-23T09:00:00Z", None, None, False, False, 0)
    plate = replace(plain, sku="PLATE", version=2)
    book.take_page(FeedPage(1, 2, [plain, plate], False, False))
    outbox.remember("feed:complete", "1")
    outbox.close()


def test_a_preview_says_what_would_change_and_is_accepted_only_where_it_can_be_written(
    capsys: pytest.CaptureFixture[str], toml: Path
) -> None:
    a_book(toml)
    config = ("--config", str(toml))
    status, out, _ = call(capsys, "preview", *config)
    assert (status, "1 of 1 SKUs would change" in out, "MUG: 10 → 4" in out) == (0, True, True)
    assert "unknown in the shop: PLATE" in out and "unknown in the feed: CUP" in out
    assert json.loads(call(capsys, "preview", "--json", *config)[1])["would_change"] == 1
    status, _, error = call(capsys, "accept-preview", *config)
    assert (status, 'Set [stock] switch = "on"' in error) == (1, True)
    toml.write_text(toml.read_text() + '[stock]\nswitch = "on"\n')
    out = call(capsys, "status", *config)[1]
    assert "held: preview" in out and "counterfoil-agent accept-preview" in out
    for command in ("accept-preview", "release-brake", "accept-restored-store", "sweep"):
        assert call(capsys, command, *config)[0] == 0
    left = [errand.kind for _, errand in errands.waiting(toml.parent / "outbox.sqlite")]
    assert sorted(left) == ["accept-preview", "accept-restored-store", "release-brake", "sweep"]


def wait_until(holds: Any, timeout_s: float = 20) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


def test_a_running_agent_works_does_errands_and_stops_when_told(capsys: pytest.CaptureFixture[str], toml: Path) -> None:
    agent = subprocess.Popen(
        [sys.executable, "-m", "counterfoil_agent.cli", "run", "--config", str(toml)],
        env={**os.environ, **SECRETS},
        stderr=subprocess.PIPE,
        text=True,
    )
    config = ("--json", "--config", str(toml))
    try:
        wait_until(lambda: (toml.parent / "outbox.sqlite").exists())
        wait_until(lambda: json.loads(call(capsys, "status", *config)[1]).get("stored_through_n") == 2)
        status, out, _ = call(capsys, "status", "--check", *config)
        assert status == 0, out
        assert json.loads(out)["at_work"]
        today = datetime.now(UTC).date().isoformat()
        assert call(capsys, "backfill", "--from", today, "--follow", *config)[0] == 0
        assert call(capsys, "run", *config)[0] == 1
    finally:
        agent.send_signal(signal.SIGTERM)
        _, log = agent.communicate(timeout=20)
    assert agent.returncode == 0
    assert "stopped" in log
    assert not any(secret in log for secret in ("cs_b", "s3cret", "ck_a", "Mustermann", "@example.com"))


def test_run_gives_reading_and_sending_a_thread_each(tmp_path: Path) -> None:
    from fakes.agent_world import World

    world = World(tmp_path / "outbox.sqlite")
    world.clock = RealClock()  # type: ignore[assignment]
    world.shop.clock = world.clock
    world.engine_settings["idle_s"] = 0.05
    world.shop.put(1001)
    stopping = threading.Event()
    agent = world.agent
    working = threading.Thread(target=agent.run, args=(stopping,))
    working.start()
    wait_until(lambda: world.engine.facts)
    stopping.set()
    working.join(10)
    assert not working.is_alive()
    world.crash()
