"""One store for the agent's tests: a clock, a shop, an engine, and an agent between them that can be crashed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from counterfoil_agent import bootstrap
from counterfoil_agent.config import EngineSettings, OutboxSettings, Settings, ShopSettings, WebhookSettings
from counterfoil_agent.loop import Agent
from fakes.agent_engine import FakeEngine
from fakes.agent_shop import FakeShop
from fakes.clock import FakeClock


class World:
    """One store with its agent and an engine; time passes only when told to."""

    def __init__(self, path: Path, **shop_settings: Any) -> None:
        self.path, self.clock = path, FakeClock()
        self.shop, self.engine = FakeShop(self.clock), FakeEngine()
        self.random, self.free_bytes = Random(1), 10**12
        self.shop_settings = {"reread_days": 0, "poll_s": 10, **shop_settings}
        self.engine_settings: dict[str, Any] = {"idle_s": 5}
        self.orders: Any = None  # to be told something; None: they can't be
        self._agent: Agent | None = None

    @property
    def agent(self) -> Agent:
        if self._agent is None:
            settings = Settings(
                "eu1",
                ShopSettings("http://shop", **self.shop_settings),
                EngineSettings("http://engine", **self.engine_settings),
                OutboxSettings(self.path),
                WebhookSettings("127.0.0.1:0"),
            )
            self._agent = bootstrap.agent(
                settings,
                store=self.shop,
                engine=self.engine,
                orders=self.orders,
                clock=self.clock,
                random=self.random,
                free_bytes=lambda: self.free_bytes,
                environment={"COUNTERFOIL_WEBHOOK_SECRET": "s3cret"},
            )
        return self._agent

    def crash(self) -> None:
        """Kill the agent; the next use starts it again over what is on the disk."""
        if self._agent is not None:
            self._agent.close(clean=False)
            self._agent = None

    def run(self, seconds: float = 30) -> None:
        """Let the agent work for so long: steps as they are due, time passing in between."""
        left = seconds
        steps = 0
        while True:
            wait_s = self.agent.step()
            steps += 1
            assert steps < 20_000, "the agent never comes to rest"
            if wait_s > 0:
                if left <= 0:
                    return
                self.clock.pass_time(min(wait_s, left))
                left -= wait_s
