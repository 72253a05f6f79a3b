"""Breaks: kept as sweeps find them, healed by the way that everything goes, settled by people where a rule says so.

    record    what was found, each with its policy      ┐ within the transaction of a sweep
    heal      what heals by itself, behind the brake    │
    settle    what a whole sweep no longer found        ┘
    BreakDesk       what people see and say: heal, accept

A repair never writes past the usual way: a number is published anew, an order is read again by its store's agent, what
an ERP lacks is looked up and posted under its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
from loguru import logger

from counterfoil_engine.domain.breaks import (
    STANDING,
    Found,
    Kept,
    Scope,
    Size,
    State,
    braked,
    heals_by_itself,
    is_repairable,
    is_same_size,
    policy_of,
    seen_again,
)
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Caller, Records, Rejected, RulesBook
from counterfoil_engine.work.decisions import Decision, Frozen
from counterfoil_engine.work.four_eyes import FourEyes

BY_SWEEP = "sweep"  # who found or healed it, in its history
REPAIR_TAKES = timedelta(minutes=30)  # after that, what is still found wasn't healed
AT_ONCE = 2_000
RUNBOOK = "docs/runbooks/breaks.md"  # a section for each class

Row = Mapping[str, Any]
Repair = Callable[[Any, str, Sequence[str]], None]
"""Let the subjects of a store be looked at again: (transaction, store, subjects)."""


class BreakRecords(Protocol):
    """Breaks as kept (`records/breaks.py`)."""

    def known(
        self, tx: Any, sweep: str, store: str, subjects: Sequence[str]
    ) -> Mapping[tuple[str, str], tuple[Kept, Row]]: ...
    def keep(
        self, tx: Any, found: Sequence[tuple[Found, State, str]], came_back: frozenset[str] = frozenset()
    ) -> None: ...
    def ids_of(self, tx: Any, sweep: str, store: str, subjects: Sequence[str]) -> Mapping[tuple[str, str], int]: ...
    def tell(self, tx: Any, said: Sequence[tuple[int, str, State, int | None, int | None]], who: str) -> None: ...
    def set_state(self, tx: Any, ids: Sequence[int], state: State, what: str, who: str) -> None: ...
    def unseen(self, tx: Any, sweep: str, store: str, since: datetime, scope: Scope) -> list[int]: ...
    def stand_on(
        self, tx: Any, sweep: str, stores: Sequence[str], subjects: Collection[str], since: datetime
    ) -> None: ...
    def seen_since(self, tx: Any, sweep: str, store: str, since: datetime, state: State) -> list[Row]: ...
    def any_healing(self, tx: Any, sweep: str, store: str) -> bool: ...
    def read(self, tx: Any, break_id: int) -> Row | None: ...
    def history(self, tx: Any, break_id: int) -> list[Row]: ...
    def listed(
        self, tx: Any, sweep: str | None, store: str | None, states: Sequence[str], limit: int
    ) -> tuple[list[Row], int]: ...


class Breaks:
    """repairs: by sweep. of: how many SKUs a store sells, or documents it has posted, for the brake of a sweep."""

    def __init__(
        self,
        records: BreakRecords,
        book: RulesBook,
        repairs: Mapping[str, Repair],
        of: Callable[[Any, str, str], int] = lambda tx, sweep, store: 0,
    ) -> None:
        self._records, self._book, self._repairs, self._of = records, book, repairs, of

    def record(self, tx: Any, sweep: str, store: str, found: Sequence[Found]) -> None:
        """Keep what a sweep found, each in the state that it has now; heals nothing yet."""
        for first in range(0, len(found), AT_ONCE):
            self._record(tx, sweep, store, found[first : first + AT_ONCE])

    def _record(self, tx: Any, sweep: str, store: str, found: Sequence[Found]) -> None:
        rules, today, over = self._rules(tx), tx.now().date(), tx.now() - REPAIR_TAKES
        known = self._records.known(tx, sweep, store, [one.subject for one in found])
        kept: list[tuple[Found, State, str]] = []
        happened: list[tuple[Found, State, str]] = []
        came_back: set[str] = set()
        for one in found:
            before, row = known.get((one.subject, one.kind), (None, None))
            state, said = seen_again(before, one, row is not None and _moment(row["changed_at"]) < over)
            policy = policy_of(rules, today, store, sweep, one.kind)
            if state == "open" and not heals_by_itself(policy, one):
                state, said = "proposed", said if said else "proposed"
            kept.append((one, state, str(policy)))
            if said is not None:
                happened.append((one, state, said))
            if before is not None and before.state == "healed":
                came_back.add(one.subject)
        self._records.keep(tx, kept, frozenset(came_back))
        ids = self._records.ids_of(tx, sweep, store, [one.subject for one, _, _ in happened])
        said_of = [(ids[one.subject, one.kind], said, state, *one.size[:2]) for one, state, said in happened]
        self._records.tell(tx, said_of, BY_SWEEP)

    def heal(self, tx: Any, sweep: str, store: str, since: datetime) -> Mapping[str, int]:
        """Begin the repair of what heals by itself and was seen since then. What would take too many to zero waits."""
        rows = self._records.seen_since(tx, sweep, store, since, "open")
        of = self._of(tx, sweep, store) if any(row["to_zero"] for row in rows) else 0
        waiting = braked([_found(row) for row in rows], of)
        held = [row["id"] for row in rows if row["subject"] in waiting]
        if held:
            what = "post too many again" if sweep == "erp" else "take too many to zero"
            why = f"brake: its repair with {len(held) - 1} others would {what}; a person looks first"
            self._records.set_state(tx, held, "proposed", why, BY_SWEEP)
            logger.warning("brake", sweep=sweep, store=store, breaks=len(held))
        going = [row for row in rows if row["subject"] not in waiting]
        begun = self._begin(tx, sweep, store, going, "its repair began", BY_SWEEP)
        return {"healing": begun, "braked": len(held)}

    def stand_on(self, tx: Any, sweep: str, stores: Sequence[str], subjects: Collection[str], since: datetime) -> None:
        """Something of these subjects is on its way: a break there is neither found again nor healed."""
        if subjects:
            self._records.stand_on(tx, sweep, stores, subjects, since)

    def settle(self, tx: Any, sweep: str, store: str, since: datetime, scope: Scope) -> int:
        """A sweep has ended: what it looked at and didn't find again agrees."""
        healed = self._records.unseen(tx, sweep, store, since, scope)
        self._records.set_state(tx, healed, "healed", "both sides agree again", BY_SWEEP)
        return len(healed)

    def heal_one(self, tx: Any, row: Row, who: str) -> None:
        self._begin(tx, row["sweep"], row["store"], [row], f"its repair was let go by {who}", who)

    def accept(self, tx: Any, row: Row, who: str, reason: str) -> None:
        self._records.set_state(tx, [row["id"]], "accepted", f"accepted: {reason}", who)

    def can_repair(self, row: Row) -> bool:
        return row["sweep"] in self._repairs and is_repairable(row["sweep"], row["class"], row["subject"])

    def _begin(self, tx: Any, sweep: str, store: str, rows: Sequence[Row], what: str, who: str) -> int:
        """How many of these a repair was begun of."""
        rows = [row for row in rows if self.can_repair(row)]
        if rows:
            self._repairs[sweep](tx, store, [row["subject"] for row in rows])
            self._records.set_state(tx, [row["id"] for row in rows], "healing", what, who)
        return len(rows)

    def _rules(self, tx: Any) -> Rules | None:
        try:
            return self._book.current(tx)
        except Unavailable:
            return None


class SettleBreak(Decision):
    """Heal or accept one break, of the size that it had when that was proposed."""

    what = "settle_break"

    def __init__(self, records: Records, reads: BreakRecords, breaks: Breaks) -> None:
        self._records, self._reads, self._breaks = records, reads, breaks

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        row = self._standing(tx, asked["break"], asked["action"])
        size = {"units": row["units"], "amount_minor": row["amount_minor"], "currency": row["currency"]}
        money = {row["currency"]: abs(row["amount_minor"])} if row["amount_minor"] is not None else None
        payload = {"break": row["id"], "action": asked["action"], "reason": asked.get("reason", ""), **size}
        return Frozen(payload, f"{asked['action'].capitalize()} break {row['id']}: {row['cause']}", money)

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        row = self._standing(tx, payload["break"], payload["action"])
        if not is_same_size(row["sweep"], _size(row), _size(payload)):
            raise CounterfoilError(
                "The break has another size by now: nothing was done.",
                "Look at it again: counterfoil breaks.",
                "conflict",
            )
        if payload["action"] == "accept":
            self._breaks.accept(tx, row, who, payload["reason"])
        else:
            self._breaks.heal_one(tx, row, who)
        self._records.restatements.audit(tx, who, f"{payload['action']} break", **payload)
        return {"break": row["id"], "action": payload["action"], "subject": row["subject"]}

    def _standing(self, tx: Any, break_id: int, action: str) -> Row:
        row = self._reads.read(tx, break_id)
        if row is None:
            raise Rejected(
                f"There is no break {break_id}.", "See which there are: counterfoil breaks.", slug="no-such-subject"
            )
        if row["state"] not in STANDING:
            raise Rejected(f"Break {break_id} is {row['state']}.", "Nothing has to be done.", slug="request")
        if action == "heal" and not self._breaks.can_repair(row):
            raise Rejected(f"Nothing here can heal break {break_id}.", str(row["remedy"]), slug="request")
        return row


class BreakDesk:
    """What people see of breaks, and say of them."""

    def __init__(
        self, records: Records, reads: BreakRecords, breaks: Breaks, book: RulesBook, four_eyes: FourEyes
    ) -> None:
        self._records, self._reads, self._book, self._four_eyes = records, reads, book, four_eyes
        self._decision = SettleBreak(records, reads, breaks)

    def listed(self, sweep: str | None, store: str | None, with_settled: bool, limit: int) -> Mapping[str, Any]:
        states = (*STANDING, "accepted", "healed") if with_settled else STANDING
        with self._records.transaction() as tx:
            rows, count = self._reads.listed(tx, sweep, store, states, limit)
            return {"breaks": [_shown(row, tx.now()) for row in rows], "count": count}

    def show(self, break_id: int) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            row = self._reads.read(tx, break_id)
            if row is None:
                raise Rejected(
                    f"There is no break {break_id}.", "See which there are: counterfoil breaks.", slug="no-such-subject"
                )
            history = [
                {
                    **{name: one[name] for name in ("who", "what", "state", "units", "amount_minor")},
                    "at": _text(one["at"]),
                }
                for one in self._reads.history(tx, break_id)
            ]
            return {**_shown(row, tx.now()), "history": history}

    def settle(self, break_id: int, action: str, reason: str, caller: Caller) -> Mapping[str, Any]:
        """Heal or accept it: at once, or by two people where its policy says so."""
        asked = {"break": break_id, "action": action, "reason": reason}
        with self._records.transaction() as tx:
            frozen = self._decision.freeze(tx, asked)
            row = self._reads.read(tx, break_id)
            assert row is not None
            policy = policy_of(self._book.current(tx), tx.now().date(), row["store"], row["sweep"], row["class"])
            if policy.heal != "four_eyes":
                return self._decision.carry_out(tx, frozen.payload, caller.name)
        return self._four_eyes.ask(self._decision.what, asked, caller)


def _size(row: Row) -> Size:
    return row["units"], row["amount_minor"], row["currency"]


def _found(row: Row) -> Found:
    return Found(
        row["sweep"],
        row["store"],
        row["subject"],
        row["class"],
        row["cause"],
        row["remedy"],
        to_zero=bool(row["to_zero"]),
    )


def _shown(row: Row, now: datetime) -> dict[str, Any]:
    names = ("id", "sweep", "store", "subject", "class", "units", "amount_minor", "currency", "cause", "remedy")
    return {
        **{name: row[name] for name in (*names, "state", "policy")},
        "recurring": bool(row["recurring"]),
        "runbook": f"{RUNBOOK}#{row['class']}",
        "detail": msgspec.json.decode(row["detail"]),
        "found_at": _text(row["found_at"]),
        "seen_at": _text(row["seen_at"]),
        "age_s": round((now - _moment(row["found_at"])).total_seconds()),
    }


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _text(value: Any) -> str:
    return _moment(value).isoformat()
