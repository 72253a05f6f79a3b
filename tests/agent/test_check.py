"""`check` against the sandbox shop: each thing that can be wrong is found, with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent import config
from counterfoil_agent.check import Finding, check
from fakes import agent_engine
from fakes.agent_engine import FakeEngine
from fakes.agent_sandbox import SandboxShop, sandbox
from fakes.clock import FakeClock

ENVIRONMENT = {
    "COUNTERFOIL_SHOP_KEY": "ck_sandbox",
    "COUNTERFOIL_SHOP_SECRET": "cs_sandbox",
    "COUNTERFOIL_ENGINE_SECRET": "s3cret",
    "COUNTERFOIL_WEBHOOK_SECRET": "wh",
}


class Bench:
    def __init__(self, shop: SandboxShop, engine: agent_engine.Served, clock: FakeClock, folder: Path) -> None:
        self.shop, self.engine, self.clock, self.folder = shop, engine, clock, folder
        self.environment = dict(ENVIRONMENT)
        self.webhook: dict[str, Any] = {}
        self.outbox: dict[str, Any] = {"disk_free_bytes": 0}

    def found(self) -> dict[str, Finding]:
        settings = config.read(
            {
                "store": "eu1",
                "shop": {"url": self.shop.url, "timeout_s": 5},
                "engine": {"url": self.engine.url},
                "outbox": {"path": str(self.folder / "outbox.sqlite"), **self.outbox},
                "webhook": self.webhook,
            }
        )
        found = {each.name: each for each in check(settings, self.clock, self.environment)}
        assert all(each.remedy for each in found.values() if each.state != "ok")
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    # The sandbox's web server tells the machine's time beside the shop's.
    clock = FakeClock(datetime.now(UTC))
    with sandbox(clock) as shop, agent_engine.serving(FakeEngine(), clock) as engine:
        yield Bench(shop, engine, clock, tmp_path)


def test_all_is_well(bench: Bench) -> None:
    bench.shop.shop.place(bench.shop.recorded("order_simple_paid"))
    assert [each for each in bench.found().values() if each.state != "ok"] == []
    assert "11.0.1" in bench.found()["woocommerce"].detail


def test_a_wrong_key_is_told(bench: Bench) -> None:
    bench.environment["COUNTERFOIL_SHOP_SECRET"] = "wrong"
    assert "read permission" in bench.found()["shop"].remedy


@pytest.mark.parametrize(("mode", "says"), [("all_404", "Permalinks"), ("firewall", "firewall"), ("busy", "Nothing")])
def test_a_shop_in_bad_weather_is_told(bench: Bench, mode: str, says: str) -> None:
    bench.shop.weather.mode = mode
    assert says in bench.found()["shop"].remedy


def test_clocks_that_disagree_are_told(bench: Bench) -> None:
    bench.clock = FakeClock(bench.clock.now() - timedelta(seconds=200))
    found = bench.found()
    assert found["shop clock"].state == "warning"
    assert found["engine clock"].state == "warning"


def test_a_wrong_engine_secret_is_told(bench: Bench) -> None:
    bench.environment["COUNTERFOIL_ENGINE_SECRET"] = "wrong"
    assert bench.found()["engine"].state == "failed"


def test_a_firewall_before_the_engine_is_told(bench: Bench) -> None:
    bench.engine.answers.append((403, {}, b"<html>no</html>"))
    assert "firewall" in bench.found()["engine"].remedy


def test_too_little_disk_is_told(bench: Bench) -> None:
    bench.outbox["disk_free_bytes"] = 10**13
    assert bench.found()["disk"].state == "failed"


def test_webhooks_that_are_missing_or_asleep_are_told(bench: Bench) -> None:
    bench.webhook["listen"] = "127.0.0.1:8077"
    assert bench.found()["webhook"].state == "warning"
    bench.shop.shop.webhooks.add("order.created", "http://127.0.0.1:8077/", "wh")
    assert bench.found()["webhook"].state == "ok"
    for hook in bench.shop.shop.webhooks.all():
        bench.shop.shop.webhooks.set_status(hook["id"], "disabled")
    assert bench.found()["webhook"].state == "failed"
