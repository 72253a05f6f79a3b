"""What takes a second person: each decision says exactly what it would do, and does exactly that later.

Another one joins by a class like these and its line in `the_decisions`. `freeze` puts into the payload also what it
rests on, so that `carry_out` can refuse where that has moved since.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Records, RulesBook
from counterfoil_engine.work import restate, switches, unpark

DIFFERENCE_LINES_MAX = 500


@dataclass(frozen=True)
class Frozen:
    """What would be done. summary: a sentence. amounts: currency → minor units at stake; None: no amount can say it."""

    payload: Mapping[str, Any]
    summary: str
    amounts: Mapping[str, int] | None = None


class Decision:
    """what: as the rules' table `approvals` names it. Payloads are JSON."""

    what: str

    def prepare(self, payload: Mapping[str, Any]) -> None:
        """What takes long and needs no transaction; payload: as asked, or as frozen."""

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        """Exactly what would be done now. Raises CounterfoilError where it can't be."""
        raise NotImplementedError

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        """Do what was frozen. Raises CounterfoilError where what it rests on has moved."""
        raise NotImplementedError

    def explain(self, tx: Any, payload: Mapping[str, Any]) -> Sequence[str]:
        """Lines for who decides, beside the summary."""
        return ()


class LoadRules(Decision):
    """Rules, account maps among them, on top of the version that was in force when they were proposed."""

    what = "load_rules"

    def __init__(self, records: Records, parse: Callable[[str], Rules]) -> None:
        self._records, self._parse = records, functools.lru_cache(maxsize=2)(parse)

    def prepare(self, payload: Mapping[str, Any]) -> None:
        self._parse(payload["text"])

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        rules, base = self._parse(asked["text"]), self._records.rules.current_version(tx)
        is_in_force = base is not None and self._records.rules.text_of(tx, base) == asked["text"]
        payload = {"text": asked["text"], "version": rules.version, "base": base}
        return Frozen(payload, f"Put the rules {rules.version} in force.", {} if is_in_force else None)

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        current = self._records.rules.current_version(tx)
        if current != payload["base"]:
            raise _moved(f"The rules {current} came into force since, and these would undo them", "Load the file anew.")
        rules = self._parse(payload["text"])
        version, freed = unpark.put_in_force(self._records, tx, rules, payload["text"], who)
        return {"version": version, "freed": freed, "dry_run": False}

    def explain(self, tx: Any, payload: Mapping[str, Any]) -> Sequence[str]:
        base = payload["base"]
        before = (self._records.rules.text_of(tx, base) or "") if base else ""
        changed = difflib.unified_diff(before.splitlines(), payload["text"].splitlines(), str(base), "proposed", "", "")
        return list(changed)[:DIFFERENCE_LINES_MAX]


class ApproveRestatement(Decision):
    """Post what rules or code alone would change, up to the amounts that were held when it was proposed."""

    what = "approve_restatement"

    def __init__(self, records: Records) -> None:
        self._records = records

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        amounts, subjects = self._held(tx, asked["version"])
        if not subjects:
            raise restate.nothing_held(asked["version"])
        money = ", ".join(show(amount, currency) for currency, amount in sorted(amounts.items()))
        summary = f"Post the restatement of {asked['version']}: {subjects} subject(s), moving {money}."
        return Frozen({"version": asked["version"], "amounts": amounts}, summary, amounts)

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        amounts, _ = self._held(tx, payload["version"])
        if any(amount > payload["amounts"].get(currency, 0) for currency, amount in amounts.items()):
            raise _moved("More is held by now than was proposed", "Look at it again: counterfoil restatements.")
        return {
            "version": payload["version"],
            "subjects": restate.approve_in(self._records, tx, payload["version"], who),
        }

    def _held(self, tx: Any, version: str) -> tuple[dict[str, int], int]:
        """What would move, by currency, both ways added up; and how many subjects."""
        amounts: dict[str, int] = {}
        subjects = set()
        for row in self._records.restatements.held(tx, version):
            moved = abs(int(row["due_minor"]) - int(row["standing_minor"]))
            amounts[row["currency"]] = amounts.get(row["currency"], 0) + moved
            subjects.add(row["subject"])
        return amounts, len(subjects)


class ReleaseBrake(Decision):
    """Let an entity's reversals go on, after the brake that was on when it was proposed and no later one."""

    what = "release_brake"

    def __init__(self, records: Records) -> None:
        self._records = records

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        entity = asked["entity"]
        brake = self._brake(tx, entity)
        if brake is None:
            raise restate.not_on(entity)
        return Frozen(
            {"entity": entity, "tripped_at": str(brake["tripped_at"])},
            f"Release the brake of {entity}, which says: {brake['reason']}",
        )

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        brake = self._brake(tx, payload["entity"])
        if brake is not None and str(brake["tripped_at"]) != payload["tripped_at"]:
            raise _moved("The brake came on again since", "Find out why, then release it anew.")
        return {
            "entity": payload["entity"],
            "subjects": restate.release_in(self._records, tx, payload["entity"], who),
        }

    def _brake(self, tx: Any, entity: str) -> Mapping[str, Any] | None:
        return next((row for row in self._records.restatements.brakes(tx) if row["entity"] == entity), None)


class SwitchOn(Decision):
    """A party's write switch of a store: from then on documents go."""

    what = "switch_on"

    def __init__(self, records: Records, book: RulesBook) -> None:
        self._records, self._book = records, book

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        store, party = asked["store"], asked["party"]
        switches.check(self._book.current(tx), store, party, "on")
        would = switches.would_be_posted(self._records.intents.would_post(tx, store, party))
        return Frozen({"store": store, "party": party}, f"Switch {party} on for {store}. It would post {would}")

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        store, party = payload["store"], payload["party"]
        switched = switches.switch_in(self._records, tx, self._book.current(tx), store, party, "on", who, True)
        return {"store": store, "party": party, "setting": "on", "would_post": switched.would_post}


def the_decisions(records: Records, book: RulesBook, parse: Callable[[str], Rules]) -> list[Decision]:
    """All that may take a second person."""
    return [
        LoadRules(records, parse),
        ApproveRestatement(records),
        ReleaseBrake(records),
        SwitchOn(records, book),
    ]


def _moved(cause: str, remedy: str) -> CounterfoilError:
    return CounterfoilError(f"{cause}: nothing was done.", remedy, "conflict")
