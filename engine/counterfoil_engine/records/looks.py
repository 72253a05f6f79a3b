"""What was looked at: each look with its facts, rules and moment, and the last reading of every subject."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.ports import Claim, Look, SubjectFacts
from counterfoil_engine.records.database import Transaction, as_time
from counterfoil_engine.records.work import mark_due


def record(tx: Transaction, seen: Sequence[tuple[Claim, SubjectFacts, Dues]], as_of: datetime, code: str) -> list[int]:
    """Keep looks; their ids, in the same order. Steps are filled in once they are known."""
    rows = [
        (
            claim.subject,
            facts.arrival,
            facts.party_arrival,
            claim.gen,
            dues.rules_version,
            dues.reading,
        )
        for claim, facts, dues in seen
    ]
    table, params = tx.given(
        rows,
        subject="text",
        arrival="bigint",
        party_arrival="bigint",
        gen="bigint",
        rules_version="text",
        reading="text",
    )
    made = tx.all(
        "insert into looks (subject, as_of, arrival, party_arrival, gen, rules_version, code_version, reading, steps)"
        " select subject, %s, arrival, party_arrival, gen, rules_version, %s, reading, '[]'"
        f" from {table} returning id, subject",
        as_of,
        code,
        *params,
    )
    ids = {row["subject"]: int(row["id"]) for row in made}
    return [ids[claim.subject] for claim, _, _ in seen]


def record_steps(tx: Transaction, steps: Mapping[int, Sequence[str]]) -> None:
    """What looks did, as sentences for people. steps: by the look's id."""
    rows = [(look_id, json.dumps(done)) for look_id, done in sorted(steps.items()) if done]
    if rows:
        table, params = tx.given(rows, look_id="bigint", done="text")
        tx.run(f"update looks set steps = done from {table} where id = look_id", *params)


def read(tx: Transaction, look_id: int) -> Look | None:
    row = tx.one("select * from looks where id = %s", look_id)
    if row is None:
        return None
    as_of = as_time(row["as_of"])
    assert as_of is not None
    places = row["arrival"], row["rules_version"], row["code_version"], row["party_arrival"]
    return Look(row["id"], row["subject"], as_of, *places)


def of_subject(tx: Transaction, subject: str, limit: int = 100) -> list[Mapping[str, Any]]:
    """The latest looks of a subject, newest first."""
    return tx.all("select * from looks where subject = %s order by id desc limit %s", subject, limit)


def save_readings(tx: Transaction, seen: Sequence[tuple[SubjectFacts, Dues, int]]) -> None:
    """The subjects' lines of status, each with its look's id; again_at is what time alone could change (L5)."""
    rows = [
        (
            dues.subject,
            facts.store,
            dues.reading,
            dues.reason,
            dues.currency,
            dues.total_minor,
            int(dues.unproven),
            json.dumps([[p.name, p.ok, p.left_minor, p.right_minor] for p in dues.proofs]),
            json.dumps(dues.waits),
            dues.again_at,
            look_id,
            dues.rules_version,
        )
        for facts, dues, look_id in seen
    ]
    table, params = tx.given(
        rows,
        subject="text",
        store="text",
        reading="text",
        reason="text",
        currency="text",
        total_minor="bigint",
        unproven="bigint",
        proofs="text",
        waits="text",
        again_at="timestamptz",
        look_id="bigint",
        rules_version="text",
    )
    tx.run(
        "insert into subjects (subject, store, reading, reason, currency, total_minor, unproven, proofs, waits,"
        " again_at, look_id, rules_version, looked_at)"
        f" select subject, store, reading, reason, currency, total_minor, unproven, proofs, waits, again_at, look_id,"
        f" rules_version, %s from {table} where true"
        " on conflict (subject) do update set reading = excluded.reading, reason = excluded.reason,"
        " currency = excluded.currency, total_minor = excluded.total_minor, unproven = excluded.unproven,"
        " proofs = excluded.proofs, waits = excluded.waits, again_at = excluded.again_at,"
        " looked_at = excluded.looked_at, look_id = excluded.look_id, rules_version = excluded.rules_version",
        tx.now(),
        *params,
    )


def reading(tx: Transaction, subject: str) -> Mapping[str, Any] | None:
    """The last reading, with proofs and waits as lists."""
    row = tx.one("select * from subjects where subject = %s", subject)
    return row and {**row, "proofs": json.loads(row["proofs"]), "waits": json.loads(row["waits"])}


def readings(tx: Transaction, store: str | None = None) -> list[Mapping[str, Any]]:
    """How many subjects of each store have which reading."""
    return tx.all(
        "select store, reading, count(*) as subjects from subjects where (cast(%s as text) is null or store = %s)"
        " group by store, reading order by store, reading",
        store,
        store,
    )


def mark_again(tx: Transaction, limit: int = 1000) -> int:
    """Mark the subjects due whose moment has come (L5); how many."""
    rows = tx.all(
        "select subject from subjects where again_at is not null and again_at <= %s order by again_at limit %s",
        tx.now(),
        limit,
    )
    subjects = [row["subject"] for row in rows]
    mark_due(tx, subjects, "live")
    for subject in subjects:
        tx.run("update subjects set again_at = null where subject = %s", subject)
    return len(subjects)


def prune(tx: Transaction, before: datetime) -> int:
    """Forget looks from before a moment that made nothing and are not their subject's last; how many."""
    return tx.run(
        "delete from looks where as_of < %s and steps = '[]'"
        " and not exists (select 1 from intents where intents.look_id = looks.id)"
        " and not exists (select 1 from subjects where subjects.look_id = looks.id)",
        before,
    )


def note_failure(tx: Transaction, subject: str, error: str) -> None:
    """What made a look fail, kept for the case that it may become."""
    tx.run(
        "insert into failures (subject, at, error) values (%s, %s, %s)"
        " on conflict (subject) do update set at = excluded.at, error = excluded.error",
        subject,
        tx.now(),
        error,
    )


def failure(tx: Transaction, subject: str) -> str | None:
    row = tx.one("select error from failures where subject = %s", subject)
    return row["error"] if row else None


def forget_failure(tx: Transaction, subject: str) -> None:
    tx.run("delete from failures where subject = %s", subject)


def subjects_of(tx: Transaction, store: str) -> list[str]:
    """Every subject of a store that was ever looked at."""
    return [row["subject"] for row in tx.all("select subject from subjects where store = %s", store)]
