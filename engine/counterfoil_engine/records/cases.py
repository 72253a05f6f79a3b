"""Cases: subjects that can't go on, each with its cause and its remedy; they resolve themselves when the cause goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.records.database import Transaction, as_time


def open_case(
    tx: Transaction,
    subject: str,
    store: str,
    origin: str,
    case: Case,
    about_key: str | None = None,
    rules_version: str | None = None,
    party: str = "store",
) -> None:
    """Open a case, or see it again; one line per subject, origin and fingerprint. party: who is at its far end."""
    now = tx.now()
    tx.run(
        "insert into cases (subject, store, origin, about_key, category, fingerprint, cause, remedy, missing_rows,"
        " money_minor, currency, rules_version, party, opened_at, seen_at)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (subject, origin, fingerprint) where resolved_at is null do update set"
        " seen_at = excluded.seen_at, cause = excluded.cause, remedy = excluded.remedy,"
        " money_minor = excluded.money_minor, rules_version = excluded.rules_version, about_key = excluded.about_key",
        subject,
        store,
        origin,
        about_key,
        case.category,
        case.fingerprint,
        case.cause,
        case.remedy,
        json.dumps([dict(row) for row in case.rows], default=str, ensure_ascii=False),
        case.money_minor,
        case.currency,
        rules_version,
        party,
        now,
        now,
    )


def settle(
    tx: Transaction,
    subject: str,
    store: str,
    found: Mapping[str, Sequence[Case]],
    still_refused: Callable[[str], bool],
    rules_version: str,
    open_now: Sequence[Mapping[str, Any]],
) -> None:
    """What a look found, by origin, is what is open; the rest has lost its cause and resolves itself.

    still_refused: whether the cause of a refused posting's case goes on, by its key. open_now: see `open_of`."""
    kept = {(origin, case.fingerprint) for origin, cases in found.items() for case in cases}
    for row in open_now:
        if row["origin"] == "post":
            goes_on = still_refused(row["about_key"] or "")
        else:
            goes_on = row["origin"] not in found or (row["origin"], row["fingerprint"]) in kept
        if not goes_on:
            resolve(tx, row["id"], _why(row, rules_version))
    for origin, cases in found.items():
        for case in cases:
            open_case(tx, subject, store, origin, case, rules_version=rules_version)


def _why(row: Mapping[str, Any], rules_version: str) -> str:
    """Why a look ends a case."""
    if row["category"] == "closed_period":
        return "its document goes on the next open day"
    if row["origin"] == "post":
        return "it is not due any more as it was refused"
    if row["origin"] == "crash":
        return "a look at it came to an end"
    if row["category"] == "missing_mapping" and row["rules_version"] != rules_version:
        return f"the rules {rules_version} have what was missing"
    return "by what is known now its cause is gone"


def resolve(tx: Transaction, case_id: int, resolution: str) -> None:
    tx.run(
        "update cases set resolved_at = %s, resolution = %s where id = %s and resolved_at is null",
        tx.now(),
        resolution,
        case_id,
    )


RETRIED = "retried"


def retried_at(tx: Transaction, subject: str) -> datetime | None:
    """When a person last let the subject try again."""
    row = tx.one("select max(resolved_at) as at from cases where subject = %s and resolution = %s", subject, RETRIED)
    return as_time(row["at"]) if row else None


def resolve_slots(tx: Transaction, slots: Mapping[str, Sequence[str]], resolution: str) -> None:
    """Slots have their documents: cases of their refused postings are over. slots: by subject."""
    if not slots:
        return
    table, params = tx.given([[subject] for subject in sorted(slots)], about="text")
    rows = tx.all(
        f"select id, subject, about_key from {table} join cases on subject = about"
        " where origin = 'post' and resolved_at is null",
        *params,
    )
    for row in rows:
        if (row["about_key"] or "").startswith(tuple(f"{slot}/" for slot in slots[row["subject"]])):
            resolve(tx, row["id"], resolution)


def resolve_all(tx: Transaction, origin: str, fingerprint: str, resolution: str) -> list[str]:
    """Resolve the cases that share a fingerprint; the subjects that they held."""
    rows = tx.all(
        "update cases set resolved_at = %s, resolution = %s where origin = %s and fingerprint = %s"
        " and resolved_at is null returning subject",
        tx.now(),
        resolution,
        origin,
        fingerprint,
    )
    return [row["subject"] for row in rows]


def of_subject(tx: Transaction, subject: str, with_resolved: bool = False) -> list[Mapping[str, Any]]:
    ended = "" if with_resolved else " and resolved_at is null"
    return tx.all(f"select * from cases where subject = %s{ended} order by id", subject)


def open_of(tx: Transaction, subjects: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """The open cases of each subject, oldest first; a subject without any is absent."""
    table, params = tx.given([[subject] for subject in sorted(subjects)], about="text")
    found: dict[str, list[Mapping[str, Any]]] = {}
    sql = f"select cases.* from {table} join cases on subject = about where resolved_at is null order by id"
    for row in tx.all(sql, *params):
        found.setdefault(row["subject"], []).append(row)
    return found


def of_origin(tx: Transaction, origin: str) -> list[Mapping[str, Any]]:
    """Open cases of one origin."""
    return tx.all("select * from cases where origin = %s and resolved_at is null order by id", origin)


def grouped(tx: Transaction) -> list[Mapping[str, Any]]:
    """Open cases by what they share, so that 400 orders held by one missing row are one line."""
    return tx.all(
        "select fingerprint, category, min(cause) as cause, min(remedy) as remedy, min(missing_rows) as missing_rows,"
        " count(*) as subjects, sum(money_minor) as money_minor, min(currency) as currency, min(opened_at) as oldest"
        " from cases where resolved_at is null group by fingerprint, category order by count(*) desc, fingerprint"
    )


def subjects_of(tx: Transaction, fingerprint: str) -> list[str]:
    rows = tx.all("select distinct subject from cases where fingerprint = %s and resolved_at is null", fingerprint)
    return [row["subject"] for row in rows]


def subjects_with(tx: Transaction, origin: str, beginning: str) -> list[str]:
    """Subjects of the open cases of one origin whose cause begins with these words."""
    rows = tx.all("select subject, cause from cases where origin = %s and resolved_at is null", origin)
    return sorted({row["subject"] for row in rows if row["cause"].startswith(beginning)})


def held_by_store(tx: Transaction) -> list[Mapping[str, Any]]:
    """How many subjects of each store have an open case."""
    return tx.all(
        "select s.store, count(distinct c.subject) as subjects from stores s"
        " left join cases c on c.store = s.store and c.resolved_at is null group by s.store"
    )


def money_held(tx: Transaction, store: str | None = None) -> list[Mapping[str, Any]]:
    """What is at stake in open cases, by store and currency: each subject's dearest case counts once; where no case
    knows an amount, what the order comes to. store: only this one's."""
    which, named = (" and c.store = %s", [store]) if store is not None else ("", [])
    return tx.all(
        "select store, currency, sum(amount_minor) as amount_minor from (select c.store,"
        "  coalesce(max(c.currency), max(s.currency)) as currency,"
        "  coalesce(max(c.money_minor), max(s.total_minor)) as amount_minor"
        "  from cases c left join subjects s on s.subject = c.subject"
        f"  where c.resolved_at is null{which} group by c.store, c.subject) as dearest"
        " where amount_minor is not null and currency <> '' group by store, currency order by store, currency",
        *named,
    )
