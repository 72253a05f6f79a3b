"""Sweeps between a real agent over the sandbox shop and a whole engine, all in one thread and by one clock.

with swept_store(quick_path, tmp_path) as swept:
    swept.stock("MUG", 10)            # the warehouse has ten, the shop sells it and has the number
    swept.sweep("stock")              # begun, asked, answered: the run as people see it
    swept.breaks()                    # {subject: (class, units, amount_minor, state)}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from counterfoil_agent.feed import EngineFeed
from counterfoil_agent.sweep_line import EngineSweeps
from counterfoil_agent.uplink import Uplink
from counterfoil_engine.bootstrap import Engine, build
from counterfoil_engine.config import settings
from counterfoil_engine.domain.breaks import Sweep
from counterfoil_engine.records import breaks, identity
from counterfoil_sandbox.erp_in_process import in_process_session
from fakes.agent_stock import StockStore, stock_store
from fakes.databases import open_database
from fakes.stock import StockWorld

SECRET = "the secret of the store eu1, for tests"


class Swept:
    """store: the shop and its agent. world: what warehouses say. engine: the real one, over the same database."""

    def __init__(self, store: StockStore, world: StockWorld, engine: Engine) -> None:
        self.store, self.world, self.engine = store, world, engine
        environment = {"COUNTERFOIL_STORE_SECRET_EU1": SECRET, "COUNTERFOIL_API_TOKEN": "t" * 32}
        self.app = engine.app(settings({}, environment))
        self.sweeping = engine.sweeping()
        store.engine = self.uplink()  # type: ignore[assignment]
        line = self.uplink()
        store.feed = EngineFeed(lambda: line)  # type: ignore[assignment]
        self.line = self.uplink()
        store.sweeps = EngineSweeps(lambda: self.line)

    def uplink(self) -> Uplink:
        made = Uplink("http://engine", "eu1", SECRET, self.store.clock, timeout_s=10)
        made._session = in_process_session(self.app)
        return made

    def live(self, rounds: int = 6, seconds: float = 5) -> None:
        """Agent and engine take turns."""
        for _ in range(rounds):
            self.store.run(seconds)
            self.world.publish()
            while self.engine.step_look():
                pass

    def stock(self, sku: str, units: int, **more: Any) -> int:
        """The warehouse has so many, the shop sells it; its number is written once the agent has lived."""
        product = self.store.product(sku, units + 1 if units else 0, **more)
        self.world.position(sku, units)
        self.world.publish()
        return product

    def edit_silently(self, product: int, units: int) -> None:
        """Somebody changes stock in the shop's database, past all hooks."""
        plugin, self.store.shop.plugin = self.store.shop.plugin, None
        self.store.shop.products.change(product, {"stock_quantity": units})
        self.store.shop.plugin = plugin

    def sweep(self, kind: Sweep, dry_run: bool = False, rounds: int = 60) -> Mapping[str, Any]:
        """A run to its end."""
        number = self.sweeping.sweeps.start(kind, "eu1", "anna", dry_run)
        for _ in range(rounds):
            self.store.run(20)
            run = self.sweeping.sweeps.show(number)
            if run["state"] != "running":
                return run
        raise AssertionError(f"the sweep doesn't end: {run}")

    def breaks(self) -> dict[str, tuple[str, int | None, int | None, str]]:
        states = ["open", "proposed", "healing", "healed", "accepted"]
        with self.engine.database.transaction() as tx:
            rows, _ = breaks.listed(tx, None, None, states, 1_000)
        return {row["subject"]: (row["class"], row["units"], row["amount_minor"], row["state"]) for row in rows}


@contextmanager
def swept_store(quick_path: Path, tmp_path: Path, plugin: bool = True, dialect: str = "sqlite") -> Iterator[Swept]:
    with stock_store(quick_path, plugin) as store, open_database(dialect, tmp_path, store.clock) as database:
        world = StockWorld(database, store.clock)
        engine = build(database, store.clock, {})
        world.events.hand_over("eu1")
        with database.transaction() as tx:
            assert identity.life(tx) == 1
        yield Swept(store, world, engine)
