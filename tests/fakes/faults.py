"""Crashes at will: every durable and every network step of the engine is a point at which its process may die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from counterfoil_engine.records.database import Database, Transaction

CALLS = ("find", "post", "list_since", "open_day", "rate")


class Crash(BaseException):
    """The process died here: nothing of it runs any more, so nothing may catch this."""


class Faults:
    """Counts the points; dies at one of them. at: which, from 1; 0: never."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.passed = at, 0
        self.names: list[str] = []

    def point(self, name: str) -> None:
        self.passed += 1
        self.names.append(name)
        if self.passed == self.at:
            raise Crash(name)


def crashing(database: Database, faults: Faults) -> None:
    """Let a database's process die just before a commit (all is rolled back) or just after it. What only reads has no
    such points."""
    transaction = Database.transaction

    @contextmanager
    def transaction_that_may_crash() -> Iterator[Transaction]:
        with transaction(database) as tx:
            before = changes(tx)
            yield tx
            wrote = changes(tx) != before
            if wrote:
                faults.point("before commit")
        if wrote:
            faults.point("after commit")

    def changes(tx: Transaction) -> Any:
        if database.is_sqlite:
            return database.peewee.connection().total_changes
        return tx.one("select pg_current_xact_id_if_assigned()::text as id")

    database.transaction = transaction_that_may_crash  # type: ignore[method-assign]


class CrashingErp:
    """An ERP whose caller may die just before a call, or just after it was carried out."""

    def __init__(self, erp: Any, faults: Faults) -> None:
        self._erp, self._faults = erp, faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._erp, name)
        return self._guard(name, value) if name in CALLS else value

    def _guard(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            self._faults.point(f"before {name}")
            answer = call(*given)
            self._faults.point(f"after {name}")
            return answer

        return called
