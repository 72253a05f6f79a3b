"""The agent killed at every durable and network step between store and engine: no move lost, none counted twice, no
number written that is older than one applied or that hides a sale."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_stock import StockStore, stock_store

START = {"MUG": 20, "CUP": 15}


class PowerCut(BaseException):
    pass


class Steps:
    """Counts every durable and network step, and cuts the power after the one it is told."""

    def __init__(self, cut_after: int | None) -> None:
        self.count, self.cut_after = 0, cut_after

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.cut_after:
            raise PowerCut


class Watched:
    """The plugin, with a step before and after each call."""

    def __init__(self, plugin: Any, steps: Steps) -> None:
        self._plugin, self._steps = plugin, steps

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._plugin, name)

        def call(*given: Any) -> Any:
            self._steps()
            answer = real(*given)
            self._steps()
            return answer

        return call


class Trade:
    """A store that sells, an engine that counts what it holds, and what must be right at every moment."""

    def __init__(self, store: StockStore, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.steps = store, steps
        self.products = {sku: store.product(sku, stock) for sku, stock in START.items()}
        self.true, self.versions, self.counted = dict(START), dict.fromkeys(START, 0), -1
        store.wrap_plugin = lambda plugin: Watched(plugin, steps)
        store.agent.outbox.remember("stock:accepted", "yes")
        store.feed.fail = store.feed.after = steps
        store.engine.before = steps
        store.engine.after = self._after
        self._count_commits(monkeypatch)

    def _count_commits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from counterfoil_agent.outbox import Outbox

        run, steps = Outbox._run, self.steps

        def counted(outbox: Outbox, sql: str, values: Any = ()) -> Any:
            if sql != "commit" or outbox._db.total_changes == getattr(outbox, "_changes", 0):
                return run(outbox, sql, values)
            steps()  # before it is durable
            done = run(outbox, sql, values)
            outbox._changes = outbox._db.total_changes  # type: ignore[attr-defined]
            steps()  # and after
            return done

        monkeypatch.setattr(Outbox, "_run", counted)

    def _after(self, what: str) -> None:
        self._publish()
        self.steps()

    def _publish(self) -> None:
        """The engine's numbers: what there was less what it has counted, up to where it has counted."""
        engine = self.store.engine
        through = engine.through().n
        if through == self.counted:
            return
        self.counted = through
        left, seen = dict(START), set()
        for (epoch, n), name in engine.numbers.items():
            if epoch == engine.epoch and n <= through:
                for move in json.loads(engine.facts[name][2]).get("moves", ()):
                    if move["move_id"] not in seen:
                        seen.add(move["move_id"])
                        left[move["sku"]] += int(move["quantity"])
        for sku, number in left.items():
            self.store.feed.tell(sku, number, basis=(engine.epoch, through))

    def sell(self, **units: int) -> int:
        for sku, sold in units.items():
            self.true[sku] -= sold
        return self.store.sell(*((self.products[sku], sold) for sku, sold in units.items()))

    def restock(self, order: int, sku: str, units: int) -> None:
        self.true[sku] += units
        lines = self.store.shop.order(order)["line_items"]
        self.store.shop.refund(order, lines={next(line["id"] for line in lines if line["sku"] == sku): units})

    def live(self, seconds: float) -> None:
        """Let the agent work, and start it again where it was killed."""
        until = self.store.clock.now() + timedelta(seconds=seconds)
        while self.store.clock.now() < until:
            try:
                wait_s = self.store.agent.step()
            except PowerCut:
                self.store.crash()
                wait_s = 0.0
            self.check()
            self.store.clock.pass_time(min(max(wait_s, 0.01), 1.0))

    def check(self) -> None:
        for sku, product in self.products.items():
            assert self.store.stock_of(product) <= self.true[sku], f"{sku}: a sale is hidden"
        for stock_id, version in self.store.shop._all("select stock_id, version from plugin_stock", ()):
            sku = next(sku for sku, product in self.products.items() if product == stock_id)
            assert version >= self.versions[sku], f"{sku}: an older number was written"
            self.versions[sku] = version


@contextmanager
def trade(folder: Path, cut_after: int | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trade]:
    folder.mkdir()
    with monkeypatch.context() as patched, stock_store(folder) as store:
        yield Trade(store, Steps(cut_after), patched)


def play(trade: Trade) -> None:
    trade.live(3)
    first = trade.sell(MUG=3)
    trade.live(8)
    trade.sell(MUG=1, CUP=2)
    trade.sell(CUP=1)
    trade.live(12)
    trade.restock(first, "MUG", 2)
    trade.live(70)


def test_whichever_step_the_agent_is_killed_after_stock_and_count_end_the_same(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cut_after: int | None) -> int:
        with trade(quick_path / f"{cut_after}", cut_after, monkeypatch) as one:
            play(one)
            store = one.store
            told = [move["move_id"] for _, data in store.events() for move in data.get("moves", ())]
            made = [name for (name,) in store.shop._all("select move_id from plugin_moves", ())]
            assert sorted(told) == sorted(made), f"a move lost or told twice after step {cut_after}"
            assert not store.engine.conflicts
            waiting = store.shop._all("select count(*) from plugin_changes where acked_ms is null", ())
            assert waiting == [(0,)], f"something waits after step {cut_after}"
            stock = {sku: store.stock_of(product) for sku, product in one.products.items()}
            assert stock == one.true == {"MUG": 18, "CUP": 12}, f"after step {cut_after}"
            last = {each["sku"]: each["version"] for each in store.feed.said("writes") if each["verdict"] != "error"}
            latest = {sku: number.version for sku, number in store.feed.numbers.items()}
            assert last == latest, f"the last write isn't reported after step {cut_after}"
            return one.steps.count

    count = run(None)
    cuts = range(1, count, max(1, count // 30))
    print(f"{count} steps, killed after {len(cuts)} of them")
    assert count > 100
    for cut_after in cuts:
        run(cut_after)
