"""What people do about cases: take them, put them off, say something, fill in what is missing, let them try again.

A command names a case, and with `alike` all that share its cause. Whatever is done is noted at each case it was done
to, and is in the audit log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Caller, InboxRecords, NoteRecords, Records, Rejected, Wanted
from counterfoil_engine.work import unpark
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.inbox import read_case
from counterfoil_engine.work.rules_file import with_label, with_row

ALIKE_MOST = 100_000  # cases of one cause that one command is about


class CaseHands:
    """parse: a rules file's text → Rules."""

    def __init__(
        self,
        records: Records,
        inbox: InboxRecords,
        notes: NoteRecords,
        parse: Callable[[str], Rules],
        four_eyes: FourEyes,
    ) -> None:
        self._records, self._inbox, self._notes = records, inbox, notes
        self._parse, self._four_eyes = parse, four_eyes

    def assign(self, case_id: int, owner: str | None, alike: bool, caller: Caller) -> Mapping[str, Any]:
        """Who looks after it from now on, one of the named users; None: nobody."""
        with self._records.transaction() as tx:
            if owner is not None:
                user = self._records.users.read(tx, owner)
                if user is None or user["removed_at"] is not None:
                    raise _refused(f"There is no user {owner[:80]!r}.", "See who there is: counterfoil users list.")
            cases = self._open(tx, case_id, alike)
            self._notes.assign(tx, cases, owner)
            self._note(tx, cases, caller, "assigned", f"to {owner}" if owner else "to nobody")
        return {"cases": cases, "owner": owner}

    def snooze(self, case_id: int, until: datetime | None, alike: bool, caller: Caller) -> Mapping[str, Any]:
        """Out of the inbox until then, when it comes back by itself; None: back at once."""
        with self._records.transaction() as tx:
            if until is not None and until <= tx.now():
                raise _refused("A case can't be put off until a moment that is past.", "Name a later one.")
            cases = self._open(tx, case_id, alike)
            self._notes.snooze(tx, cases, until)
            self._note(tx, cases, caller, "snoozed", f"until {until.isoformat()}" if until else "no longer")
        return {"cases": cases, "snoozed_until": until.isoformat() if until else None}

    def comment(self, case_id: int, text: str, alike: bool, caller: Caller) -> Mapping[str, Any]:
        """Say something about it; it stays."""
        with self._records.transaction() as tx:
            cases = self._open(tx, case_id, alike)
            self._note(tx, cases, caller, "said", text)
        return {"cases": cases, "said": text}

    def retry(self, case_id: int, alike: bool, caller: Caller) -> Mapping[str, Any]:
        """Let its subject try again, or those of all that share its cause."""
        with self._records.transaction() as tx:
            cases = self._open(tx, case_id, alike)
            row = read_case(self._inbox, tx, case_id)
            self._notes.add(tx, cases, caller.name, "retried", "is tried again")
        if alike:
            return {"subjects": unpark.retry_all(self._records, row["fingerprint"], caller.name)}
        return {"subjects": unpark.retry(self._records, row["subject"], caller.name)}

    def fill(self, case_id: int, values: Mapping[str, str], caller: Caller) -> Mapping[str, Any]:
        """Fill in the rows that the case lacks, as a new version of the rules; every subject that they held goes on.

        Where four eyes are in force it waits for a second person, like any rules."""
        with self._records.transaction() as tx:
            cases = self._open(tx, case_id, True)
            text, label = self.filled(tx, case_id, values)
        try:
            done = self._four_eyes.ask("load_rules", {"text": text}, caller)
        except Rejected:
            raise
        except CounterfoilError as error:
            raise Rejected(error.cause, error.remedy, slug="rules") from None
        said = ", ".join(f"{name} {value}" for name, value in sorted(values.items()))
        with self._records.transaction() as tx:
            how = f"as proposal {done['proposal']}" if "proposal" in done else f"with the rules {label}"
            self._note(tx, cases, caller, "filled in", f"{said}, {how}")
        return {**done, "rules": label}

    def correct(self, case_id: int, reason: str, given: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        """Read the case's order as corrected; given: its `patch` or its whole `body`. Waits for a second person."""
        asked = {**given, "case": case_id, "reason": reason, "by": caller.name}
        return self._four_eyes.ask("correct_order", asked, caller)

    def filled(self, tx: Any, case_id: int, values: Mapping[str, str]) -> tuple[str, str]:
        """The rules in force with the case's rows filled in, under a label of their own; that label."""
        missing = json.loads(read_case(self._inbox, tx, case_id)["missing_rows"])
        version = self._records.rules.current_version(tx)
        text = self._records.rules.text_of(tx, version) if version else None
        if not missing or text is None or version is None:
            raise _refused(f"The case {case_id} lacks no row of the rules.", "Do what its remedy says, then retry it.")
        try:
            for row in _filled(missing, values):
                text = with_row(text, row)
            label = self._next_label(tx, version)
            return with_label(text, label), label
        except CounterfoilError as error:
            raise Rejected(error.cause, error.remedy, slug="rules") from None

    def _next_label(self, tx: Any, version: str) -> str:
        """one → one.1 → one.2: the first that was never loaded."""
        name, _, number = version.rpartition(".")
        base, last = (name, int(number)) if name and re.fullmatch("[0-9]{1,9}", number) else (version, 0)
        known = {row["version"] for row in self._records.rules.versions(tx)}
        while (label := f"{base[:88]}.{(last := last + 1)}") in known:
            pass
        return label

    def _open(self, tx: Any, case_id: int, alike: bool) -> list[int]:
        """The cases that a command is about, all of them open."""
        row = read_case(self._inbox, tx, case_id)
        if row["resolved_at"] is not None:
            raise Rejected(
                f"The case {case_id} is over: {row['resolution']}.",
                "See what is open: counterfoil cases.",
                slug="request",
            )
        if not alike:
            return [case_id]
        wanted = Wanted(fingerprint=row["fingerprint"], with_snoozed=True, sort="age", limit=ALIKE_MOST)
        return [one["id"] for one in self._inbox.cases(tx, wanted)]

    def _note(self, tx: Any, cases: Sequence[int], caller: Caller, what: str, said: str) -> None:
        self._notes.add(tx, cases, caller.name, what, said)
        self._records.restatements.audit(tx, caller.name, f"case {what}", cases=list(cases)[:100], said=said)


def _filled(missing: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The missing rows with these values, each where its table has that field."""
    blank = {name for row in missing for name, value in row.items() if value is None}
    several = len(missing) > 1
    unknown = sorted(set(values) - blank - {"from"}) if several or blank else []
    if unknown:
        raise _refused(
            f"What the case lacks has no field {', '.join(unknown)[:80]}.", f"Fill in {', '.join(sorted(blank))}."
        )
    given = {name: _WORDS.get(value, value) for name, value in values.items()}
    return [{**row, **{name: given[name] for name in given if not several or name in row}} for row in missing]


_WORDS: Mapping[str, Any] = {"true": True, "false": False}


def _refused(cause: str, remedy: str) -> Rejected:
    return Rejected(cause, remedy, slug="request")
