"""The plugin's word that something changed: taken in within a second, at no cost while nothing happens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from counterfoil_agent.bootstrap import SystemClock
from counterfoil_agent.nudge import Nudges
from counterfoil_sandbox.shop import nudge
from fakes.agent_sandbox import sandbox
from fakes.agent_stock import StockStore


def wait_until(holds: Callable[[], object], timeout_s: float = 10.0) -> float:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < timeout_s, "it takes too long"
        time.sleep(0.01)
    return time.monotonic() - began_s


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_sale_is_taken_in_within_a_second_and_the_agent_stops_at_once(tmp_path: Path) -> None:
    with sandbox(SystemClock(), permission="read_write") as shop:
        port = free_port()
        store = StockStore(tmp_path / "outbox.sqlite", shop, SystemClock())  # type: ignore[arg-type]
        store.plugin_settings = {"poll_s": 3600, "nudge_listen": f"127.0.0.1:{port}"}
        store.shop_settings["poll_s"] = 3600
        asked = 0

        class Asked:
            def __init__(self, plugin: object) -> None:
                self._plugin = plugin

            def __getattr__(self, name: str) -> object:
                nonlocal asked
                asked += name == "changes"
                return getattr(self._plugin, name)

        store.wrap_plugin = Asked
        assert store.plugin is not None
        plugin = store.plugin
        plugin.on_change = lambda: nudge(f"127.0.0.1:{port}", plugin.fingerprint())
        mug = store.product("MUG", 10)
        agent = store.agent
        agent.nudges = Nudges(("127.0.0.1", port), agent.nudge)
        stopping = threading.Event()
        running = threading.Thread(target=agent.run, args=(stopping,))
        running.start()
        try:
            wait_until(lambda: agent.outbox.recall("plugin:there") == "1")
            time.sleep(1.5)
            before = asked
            time.sleep(2)
            assert asked == before, "nothing happens, nothing is asked"
            store.sell((mug, 1))
            took_s = wait_until(lambda: agent.outbox.position().last.n >= 1 and store.moves())
            assert took_s < 2.0, "read, sent and held by the engine"
        finally:
            stopping.set()
            stopped_s = wait_until(lambda: not running.is_alive())
        assert stopped_s < 3.0
        store.crash()


def test_only_its_own_word_wakes_the_agent() -> None:
    heard: list[int] = []
    nudges = Nudges(("127.0.0.1", 0), lambda: heard.append(1))
    nudges.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"something else", ("127.0.0.1", nudges.port or 0))
        sender.sendto(b"counterfoil " + b"f" * 64, ("127.0.0.1", nudges.port or 0))
        wait_until(lambda: heard)
    nudges.stop()
    assert heard == [1]


def test_an_address_in_use_costs_the_nudges_and_nothing_else() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        nudges = Nudges(("127.0.0.1", taken.getsockname()[1]), lambda: None)
        nudges.start()
        assert nudges.port is None
        nudges.stop()
