"""Where the parties of a demo are, so that it can be proven from another terminal; and how each is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from woocommerce import API  # type: ignore[import-untyped]

from counterfoil_engine.demo.branches import BRANCHES, Branch
from counterfoil_engine.domain.errors import CounterfoilError

FILE, AWAY, STILL = "demo.json", "away", "still"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Place:
    """A store's shop and the ERP that keeps its company's books, in a file that is read only."""

    branch: Branch
    shop_url: str
    shop_key: str
    shop_secret: str
    erp_url: str
    erp_token: str
    erp_file: Path

    @property
    def store(self) -> str:
        return self.branch.store

    def shop(self) -> API:
        return API(self.shop_url, self.shop_key, self.shop_secret, version="wc/v3", timeout=TIMEOUT_S)

    def erp(self, what: str, **query: Any) -> dict[str, Any]:
        """What the ERP answers to a question of its contract."""
        headers = {"Authorization": f"Bearer {self.erp_token}"}
        answer = requests.get(f"{self.erp_url}/v1/{what}", params=query, headers=headers, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return dict(answer.json())


@dataclass(frozen=True)
class Places:
    """The engine's file, read only, and the stores."""

    engine_file: Path
    stores: tuple[Place, ...]

    @property
    def erp_files(self) -> tuple[Path, ...]:
        return tuple(place.erp_file for place in self.stores)

    def away(self) -> set[str]:
        """The stores whose agents the demo has sent away."""
        file = self.engine_file.with_name(AWAY)
        return set(file.read_text().split()) if file.exists() else set()

    def send_away(self, store: str) -> None:
        self.engine_file.with_name(AWAY).write_text("\n".join(sorted(self.away() | {store})))

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nobody buys meanwhile."""
        file = self.engine_file.with_name(STILL)
        file.touch()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def is_still(self) -> bool:
        return self.engine_file.with_name(STILL).exists()

    def write(self, folder: Path) -> None:
        """For `--prove`; the folder is readable by its owner alone."""
        stores = [{**vars(place), "branch": place.store, "erp_file": str(place.erp_file)} for place in self.stores]
        (folder / FILE).write_text(json.dumps({"engine_file": str(self.engine_file), "stores": stores}, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Places:
        try:
            told = json.loads((folder / FILE).read_text())
        except (OSError, ValueError):
            raise CounterfoilError(
                f"No demo is up in {folder}.", "Start one with `make demo` and use the folder that it names."
            ) from None
        branches = {branch.store: branch for branch in BRANCHES}
        stores = [
            Place(**{**each, "branch": branches[each["branch"]], "erp_file": Path(each["erp_file"])})
            for each in told["stores"]
        ]
        return cls(Path(told["engine_file"]), tuple(stores))


class NotThereYet(Exception):
    """A database, or a table in it, that its process has not made yet."""


def rows(file: Path, query: str, values: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
    """What a query finds in a process's database, read only. Raises NotThereYet."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            yield from connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        raise NotThereYet(str(error)) from error
