"""Sweeps of a store: begun here, answered by its agent, which only dials out and so fetches what it is asked.

    POST /v1/sweeps    answers to what was handed out, and how many more → questions, the oldest first

An answer is taken in one transaction: it names buckets or days that differ, and more is asked; or SKUs and orders, and
what they mean is kept as breaks. When nothing is asked any more the run ends, and what heals by itself is healed. An
answer that can't be right ends the run with its cause and remedy, and nothing of it is written.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec
from loguru import logger

from counterfoil_engine.domain.breaks import Found, InFlight, Scope, Sweep
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Records, Rejected, RulesBook
from counterfoil_engine.work.breaks import Breaks
from counterfoil_engine.work.feed import read_as

AGAIN = timedelta(minutes=10)  # after that, a question without an answer is handed out again
LONGEST = timedelta(hours=24)  # a run that nobody answers for so long has failed
CLOCKS_APART_S = 300
MOST_NAMED = 50  # of what a run found, in its own account; breaks hold them all
MOST_TASKS = 10
OF_STORES: tuple[Sweep, ...] = ("stock", "orders")
OF_BOOKS: tuple[Sweep, ...] = ("erp", "money")  # of an entity; `work/sweep_books.py` carries them out
PAUSE_S = 5

Row = Mapping[str, Any]


class SweepRecords(Protocol):
    """Runs and questions (`records/sweeps.py`)."""

    def begin(self, tx: Any, sweep: str, store: str, dry_run: bool, who: str) -> int | None: ...
    def read(self, tx: Any, sweep_id: int) -> Row | None: ...
    def lock(self, tx: Any, sweep_id: int) -> Row | None: ...
    def running(self, tx: Any) -> list[Row]: ...
    def progressed(self, tx: Any, sweep_id: int, progress: Mapping[str, Any]) -> None: ...
    def end(self, tx: Any, sweep_id: int, cause: str | None = None, remedy: str | None = None) -> None: ...
    def last_started(self, tx: Any, sweep: str, store: str) -> datetime | None: ...
    def ask(
        self, tx: Any, store: str, sweep_id: int | None, kind: str, body: Mapping[str, Any], due_at: datetime
    ) -> None: ...
    def hand_out(self, tx: Any, store: str, limit: int, again_before: datetime) -> list[Row]: ...
    def answered(self, tx: Any, store: str, task_id: int) -> Row | None: ...
    def unanswered(self, tx: Any, sweep_id: int) -> int: ...
    def speaks(self, tx: Any, store: str) -> bool | None: ...


@dataclass
class Impossible(CounterfoilError):
    """An answer that can't be right; the run ends with it."""


class Question(NamedTuple):
    """What to ask of the agent; after_s: not before so many seconds from now."""

    kind: str
    body: Mapping[str, Any]
    after_s: float = 0.0


class LeftOut(NamedTuple):
    """A part of a run that could not be compared. subjects: how they begin; their breaks stay as they are."""

    subjects: str
    error: CounterfoilError


@dataclass
class Run:
    """A run as an answer finds it. notes: what its sweep has to remember between answers, JSON. found, in_flight: what
    this answer adds. apart: subjects that it can't compare since something of theirs is on its way, or a case already.
    sweep parameters by rule: `settings`. store: an entity for sweeps of books; covers: whose breaks it finds, itself
    and the entity's stores. left_out: a part that could not be compared, while the rest was."""

    id: int
    sweep: Sweep
    store: str
    started_at: datetime
    rules: Rules
    settings: Mapping[str, Any]
    notes: dict[str, Any]
    covers: Sequence[str]
    found: list[Found] = field(default_factory=list)
    in_flight: list[InFlight] = field(default_factory=list)
    apart: set[str] = field(default_factory=set)
    left_out: LeftOut | None = None

    def looks_at(self, first: date, older: Sequence[date] = ()) -> None:
        """The days that it compares: from the first on, and some before that."""
        self.notes |= {"first": first.isoformat(), "older": [day.isoformat() for day in older]}

    @property
    def scope(self) -> Scope:
        first, older = self.notes.get("first"), self.notes.get("older", ())
        return Scope(
            date.fromisoformat(first) if first else None,
            tuple(map(date.fromisoformat, older)),
            self.left_out.subjects if self.left_out else None,
        )

    @property
    def pause_s(self) -> int:
        """Between two requests where the store is read over REST."""
        return int(self.settings.get("pause_s", PAUSE_S))


class StoreSweep(Protocol):
    """One kind of sweep. Raises Impossible, or CounterfoilError where it can't begin."""

    def begin(self, tx: Any, run: Run) -> Sequence[Question]: ...
    def take(self, tx: Any, run: Run, task: Row, said: Mapping[str, Any]) -> Sequence[Question]: ...


class Sweeps:
    """The use cases of sweeps over stores; to be called from any thread."""

    def __init__(
        self,
        records: Records,
        sweeps: SweepRecords,
        book: RulesBook,
        breaks: Breaks,
        kinds: Mapping[Sweep, StoreSweep],
        ledgers: Collection[str] = (),
    ) -> None:
        """ledgers: entities whose ERP tells its documents."""
        self._records, self._sweeps, self._book, self._breaks, self._kinds = records, sweeps, book, breaks, kinds
        self.ledgers = ledgers

    # Begun by the schedule or a person

    def start(self, sweep: Sweep, store: str, who: str, dry_run: bool = False) -> int:
        """Begin a run; the number of the one that is running already, where there is one. Raises Rejected."""
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
            if sweep in OF_BOOKS:
                store = self._entity_of(rules, store)
            else:
                rules.store(store)
                self._refuse_without_agent(tx, store)
            sweep_id = self._sweeps.begin(tx, sweep, store, dry_run, who)
            if sweep_id is None:
                return next(
                    row["id"] for row in self._sweeps.running(tx) if (row["store"], row["sweep"]) == (store, sweep)
                )
            if sweep in OF_STORES:
                run = self.run_of(tx, self._sweeps.read(tx, sweep_id))
                self._ask(tx, run, self._kinds[sweep].begin(tx, run))
                self.advance(tx, run, dry_run, {"size_bytes": 0, "engine_ms": 0, "answers": 0})
            return sweep_id

    def _entity_of(self, rules: Rules, name: str) -> str:
        """The entity of that name, or that of a store, whose ERP can be asked."""
        entity = rules.stores[name].entity if name in rules.stores else name
        if entity not in rules.entities:
            known = ", ".join(sorted({*rules.stores, *rules.entities})[:10])
            raise Rejected(f"{name!r} is neither a store nor an entity.", f"Known are {known}.", slug="no-such-store")
        if entity not in self.ledgers:
            raise Rejected(
                f"The ERP of {entity} can't tell its ledger document by document.",
                "Use an adapter that can, or compare it by hand (counterfoil close check).",
                slug="request",
            )
        return entity

    def show(self, sweep_id: int) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            row = self._sweeps.read(tx, sweep_id)
            if row is None:
                raise Rejected(
                    f"There is no sweep {sweep_id}.", "Begin one: counterfoil sweep.", slug="no-such-subject"
                )
            return {**shown(row), "unanswered": self._sweeps.unanswered(tx, sweep_id)}

    def give_up(self) -> int:
        """End runs that were not answered in all that time; how many."""
        with self._records.transaction() as tx:
            late = [row for row in self._sweeps.running(tx) if moment(row["started_at"]) < tx.now() - LONGEST]
            for row in late:
                self._sweeps.end(
                    tx,
                    row["id"],
                    f"The agent of {row['store']} didn't answer.",
                    "See whether it runs: counterfoil status.",
                )
            return len(late)

    # Asked and answered by the agent

    def exchange(self, store: str, raw: bytes) -> dict[str, Any]:
        """Take a store's answers, hand out what else waits. Raises Rejected where the request is none."""
        try:
            said = read_as("feed/sweep_answers.v1", raw)
        except Rejected as error:
            self._fail_those_meant(store, raw, error)
            raise
        for answer in said["answers"]:
            self._take(store, answer, len(raw) // max(1, len(said["answers"])))
        with self._records.transaction() as tx:
            limit = min(said["limit"], MOST_TASKS)
            rows = self._sweeps.hand_out(tx, store, limit, tx.now() - AGAIN)
        tasks = [{"task": row["id"], "kind": row["kind"], **msgspec.json.decode(row["body"])} for row in rows]
        return {"tasks": tasks, "more": 0 < limit <= len(rows)}

    def _take(self, store: str, answer: Mapping[str, Any], size_bytes: int) -> None:
        try:
            with self._records.transaction() as tx:
                self._take_in(tx, store, answer, size_bytes)
        except Unavailable:
            raise
        except CounterfoilError as error:
            self._fail(store, answer["task"], error.cause, error.remedy)

    def _take_in(self, tx: Any, store: str, answer: Mapping[str, Any], size_bytes: int) -> None:
        began_s = time.perf_counter()
        task = self._sweeps.answered(tx, store, answer["task"])
        if task is None or task["sweep_id"] is None:
            return  # nobody waits for it any more; or it belonged to no run
        row = self._sweeps.lock(tx, task["sweep_id"])
        if row is None or row["state"] != "running":
            return
        if failed := answer.get("failed"):
            raise Impossible(failed["cause"], failed["remedy"], "outage")
        self._refuse_what_is_not_asked(tx, store, task, answer)
        run = self.run_of(tx, row)
        self._ask(tx, run, self._kinds[run.sweep].take(tx, run, task, answer))
        self.advance(
            tx,
            run,
            bool(row["dry_run"]),
            {
                "size_bytes": size_bytes,
                "engine_ms": round((time.perf_counter() - began_s) * 1000),
                "answers": 1,
            },
        )

    def _refuse_what_is_not_asked(self, tx: Any, store: str, task: Row, answer: Mapping[str, Any]) -> None:
        if answer["kind"] != task["kind"]:
            raise Impossible(
                f"The agent of {store} answered another question than was asked ({answer['kind']}).",
                "Update the agent to a version that fits this engine.",
                "contract",
            )
        apart_s = (_told(answer["at"]) - tx.now()).total_seconds()
        if abs(apart_s) > CLOCKS_APART_S:
            side = "ahead of" if apart_s > 0 else "behind"
            raise Impossible(
                f"The clock of {store} is {abs(round(apart_s))} s {side} the engine's: what happened before and after"
                " can't be told apart.",
                "Let both hosts keep time (chrony, systemd-timesyncd), then sweep again.",
                "data",
            )

    def _ask(self, tx: Any, run: Run, questions: Sequence[Question]) -> None:
        for one in questions:
            due_at = tx.now() + timedelta(seconds=one.after_s)
            self._sweeps.ask(tx, run.store, run.id, one.kind, one.body, due_at)

    def advance(self, tx: Any, run: Run, dry_run: bool, spent: Mapping[str, int]) -> None:
        """Keep what the answer brought; end the run where nothing is asked any more."""
        account = run.notes.setdefault("account", {"found": {}, "in_flight": {}, "named": []})
        for name, more in spent.items():
            account[name] = account.get(name, 0) + more
        for one in run.in_flight:
            account["in_flight"][one.why] = account["in_flight"].get(one.why, 0) + 1
        for break_ in run.found:
            _count(account, break_)
        for store, found in _by_store(run.found).items():
            if not dry_run:
                self._breaks.record(tx, run.sweep, store, found)
        if not dry_run:
            flying = run.apart | {one.subject for one in run.in_flight}
            self._breaks.stand_on(tx, run.sweep, run.covers, flying, run.started_at)
        is_over = not self._sweeps.unanswered(tx, run.id)
        if is_over and not dry_run:
            self._conclude(tx, run, account)
        self._sweeps.progressed(tx, run.id, run.notes)
        if is_over:
            self._end(tx, run, account)

    def _end(self, tx: Any, run: Run, account: Mapping[str, Any]) -> None:
        """Done; or failed in a part, while what was found elsewhere is kept."""
        error = run.left_out.error if run.left_out else None
        self._sweeps.end(tx, run.id, error and error.cause, error and error.remedy)
        found_in_all = sum(one["breaks"] for one in account["found"].values())
        logger.info("swept", sweep=run.sweep, store=run.store, found=found_in_all, size_bytes=account["size_bytes"])
        if error:
            logger.warning("sweep failed in a part", store=run.store, cause=error.cause)

    def _conclude(self, tx: Any, run: Run, account: dict[str, Any]) -> None:
        """What wasn't found again is healed, what heals by itself begins to."""
        account |= {"healed": 0, "healing": 0, "braked": 0}
        for store in run.covers:
            account["healed"] += self._breaks.settle(tx, run.sweep, store, run.started_at, run.scope)
            for name, more in self._breaks.heal(tx, run.sweep, store, run.started_at).items():
                account[name] += more

    def told(self, sweep_id: int, notes: Mapping[str, Any]) -> None:
        """How far a run has come, for who watches it."""
        with self._records.transaction() as tx:
            self._sweeps.progressed(tx, sweep_id, notes)

    def failed(self, sweep_id: int, store: str, error: CounterfoilError) -> None:
        """End a run; nothing of it was written."""
        with self._records.transaction() as tx:
            self._sweeps.end(tx, sweep_id, error.cause, error.remedy)
        logger.warning("sweep failed", store=store, cause=error.cause)

    def _fail(self, store: str, task_id: int, cause: str, remedy: str) -> None:
        """End the run of a question; its answer left nothing behind."""
        with self._records.transaction() as tx:
            task = self._sweeps.answered(tx, store, task_id)
            if task is not None and task["sweep_id"] is not None:
                self._sweeps.end(tx, task["sweep_id"], cause, remedy)
                logger.warning("sweep failed", store=store, cause=cause)

    def _fail_those_meant(self, store: str, raw: bytes, error: CounterfoilError) -> None:
        """What breaks its contract is still an answer to something, which would be asked again for ever."""
        try:
            tasks = [one.task for one in msgspec.json.decode(raw, type=_Meant).answers]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return
        for task in tasks[:MOST_TASKS]:
            self._fail(store, task, error.cause, error.remedy)

    def run_of(self, tx: Any, row: Row | None) -> Run:
        assert row is not None
        rules = self._book.current(tx)
        store, covers = row["store"], [row["store"]]
        if row["sweep"] in OF_STORES:
            rules.store(store)
        else:
            covers += sorted(one.id for one in rules.stores.values() if one.entity == store and one.id != store)
        settings = rules.merged("sweeps", tx.now().date(), store=store, sweep=row["sweep"])
        notes = msgspec.json.decode(row["progress"])
        return Run(row["id"], row["sweep"], store, moment(row["started_at"]), rules, settings, notes, covers)

    def _refuse_without_agent(self, tx: Any, store: str) -> None:
        speaks = self._sweeps.speaks(tx, store)
        if speaks is None:
            raise Rejected(
                f"No agent of a store {store!r} has ever said hello.",
                "See which have: counterfoil status.",
                slug="no-such-store",
            )
        if not speaks:
            raise Rejected(
                f"The agent of {store} doesn't answer sweeps.",
                "Update it to a version that fits this engine.",
                slug="request",
            )


class _MeantOne(msgspec.Struct):
    task: int


class _Meant(msgspec.Struct):
    answers: list[_MeantOne]


def _by_store(found: Sequence[Found]) -> dict[str, list[Found]]:
    by_store: dict[str, list[Found]] = {}
    for one in found:
        by_store.setdefault(one.store, []).append(one)
    return by_store


def _count(account: dict[str, Any], found: Found) -> None:
    total = account["found"].setdefault(found.kind, {"breaks": 0, "units": 0, "amounts": {}})
    total["breaks"] += 1
    total["units"] += abs(found.units or 0)
    if found.amount_minor is not None and found.currency:
        total["amounts"][found.currency] = total["amounts"].get(found.currency, 0) + abs(found.amount_minor)
    if len(account["named"]) < MOST_NAMED:
        account["named"].append({"subject": found.subject, "class": found.kind, "cause": found.cause})


def shown(row: Row) -> dict[str, Any]:
    """A run as people see it."""
    notes = msgspec.json.decode(row["progress"])
    return {
        **{name: row[name] for name in ("id", "sweep", "store", "state", "who", "cause", "remedy")},
        "dry_run": bool(row["dry_run"]),
        "started_at": moment(row["started_at"]).isoformat(),
        "ended_at": moment(row["ended_at"]).isoformat() if row["ended_at"] else None,
        "compared": notes.get("compared", 0),
        **notes.get("account", {}),
    }


def moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _told(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Impossible("The answer has no moment that there is.", "Update the agent.", "contract") from None
