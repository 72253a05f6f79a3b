"""Freeing what is parked: new rules free all that they may help, a retry frees one subject or all of one cause."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from counterfoil_engine.domain.rules import TABLES, Rules
from counterfoil_engine.domain.rules import Row as RuleRow
from counterfoil_engine.ports import Records


def load_rules(records: Records, parse: Callable[[str], Rules], text: str, who: str) -> tuple[str, int]:
    """Put a rules file in force and mark due what it may free; its version, and how many subjects.

    The file is parsed before anything is written: a fault leaves the version before it in force."""
    rules = parse(text)
    with records.transaction() as tx:
        return put_in_force(records, tx, rules, text, who)


def put_in_force(records: Records, tx: Any, rules: Rules, text: str, who: str) -> tuple[str, int]:
    """As `load_rules`, of rules that are parsed already, within a transaction."""
    if not records.rules.load(tx, rules.version, text, who):
        return rules.version, 0
    freed = unpark_by(records, tx, rules)
    records.restatements.audit(tx, who, "load rules", version=rules.version)
    return rules.version, freed


def unpark_by(records: Records, tx: Any, rules: Rules) -> int:
    """Mark due the subjects of every open case whose missing rows these rules have now; how many."""
    freed: set[str] = set()
    for group in records.cases.grouped(tx):
        if group["category"] == "missing_mapping" and any(
            _may_have(rules, row) for row in json.loads(group["missing_rows"]) or [{}]
        ):
            freed.update(records.cases.subjects_of(tx, group["fingerprint"]))
    records.work.mark_due(tx, sorted(freed), "live")
    return len(freed)


def _may_have(rules: Rules, missing: Mapping[str, Any]) -> bool:
    """Whether a row of the rules fits the missing one, on whatever day; unknown tables: yes, a look will tell."""
    table = missing.get("table")
    if table == "stores":
        return missing.get("id") in rules.stores
    if table == "entities":
        return missing.get("id") in rules.entities
    if table == "warehouses":
        return missing.get("id") in rules.warehouses
    if table not in TABLES:
        return True
    match = {name: str(missing[name]) for name in TABLES[table][0] if missing.get(name) is not None}
    return any(_fits(rules, table, row, match) for row in rules.tables.get(table, ()))


def _fits(rules: Rules, table: str, row: RuleRow, match: Mapping[str, str]) -> bool:
    return rules.find(table, row.since, **match) is not None


def retry(records: Records, subject: str, who: str) -> list[str]:
    """Let a subject try again: its refusals count as ended, its crashes as over; the subjects marked due."""
    with records.transaction() as tx:
        marked = _retry(records, tx, subject)
        records.restatements.audit(tx, who, "retry", subject=subject)
        return marked


def retry_all(records: Records, fingerprint: str, who: str) -> list[str]:
    """Let every subject try again that one cause holds. What another cause refused stays refused: a key that another
    document bears gets no next revision before a person has seen to that very case (K3)."""
    with records.transaction() as tx:
        held = records.cases.subjects_of(tx, fingerprint)
        marked = {name for subject in held for name in _retry(records, tx, subject, fingerprint)}
        for subject in held:
            records.restatements.audit(tx, who, "retry", subject=subject)
        return sorted(marked)


def _retry(records: Records, tx: Any, subject: str, cause: str | None = None) -> list[str]:
    """cause: a fingerprint, None: whatever holds it."""
    cases = records.cases.of_subject(tx, subject)
    others = [case for case in cases if cause not in (None, case["fingerprint"])]
    sparing = [case["about_key"] for case in others if case["origin"] == "post" and case["about_key"]]
    is_conflict = cause is None or cause.startswith("conflict:")
    subjects = {subject, *records.intents.release(tx, subject, sparing, refused_only=not is_conflict)}
    for case in cases:
        if case not in others and case["origin"] not in ("look", "away"):  # those end by what they say of themselves
            records.cases.resolve(tx, case["id"], "retried")
    marked = sorted(subjects)
    records.work.mark_due(tx, marked, "live")
    return marked
