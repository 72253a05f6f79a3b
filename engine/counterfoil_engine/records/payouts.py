"""Payout reports as kept: each file whole, each payout that it reports, and what people decided of its lines."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from counterfoil_engine.domain.readers import read_json
from counterfoil_engine.domain.settlement.lines import Report, Total
from counterfoil_engine.domain.settlement.payout_list import Listed
from counterfoil_engine.ports import PayoutFile
from counterfoil_engine.records.database import Row, Transaction, as_time


def lock_source(tx: Transaction, source: str) -> None:
    """One taker of reports for each source at a time."""
    tx.run(
        "insert into counters (name, value) values (%s, 1) on conflict (name) do update set value = counters.value + 1",
        f"payout reports {source}",
    )


def keep_file(tx: Transaction, file: PayoutFile) -> None:
    """Keep a file whole; once, however often it comes."""
    tx.run(
        "insert into payout_files (source, digest, name, format, body, taken_at, taken_by)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        file.source,
        file.digest,
        file.name,
        file.format,
        file.body,
        tx.now(),
        file.taken_by,
    )


def digests(tx: Transaction, source: str, payouts: Sequence[str]) -> dict[str, str]:
    """Payout → digest of the report that stands, of those that were reported before."""
    named, params = tx.among("payout", payouts)
    rows = tx.all(
        f"select payout, digest from payout_reports where source = %s and stands = 1 and {named}", source, *params
    )
    return {row["payout"]: row["digest"] for row in rows}


def keep(tx: Transaction, report: Report, file_digest: str, stands: bool) -> None:
    """Keep a payout as it was reported; stands: it is the one that counts."""
    tx.run(
        "insert into payout_reports (subject, digest, source, payout, file_digest, currency, paid_on, net_minor,"
        " line_count, report, stands, taken_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (subject, digest) do nothing",
        f"payout {report.source}/{report.payout}",
        report.digest,
        report.source,
        report.payout,
        file_digest,
        report.currency,
        report.paid_on.isoformat(),
        report.net_minor,
        len(report.lines),
        msgspec.json.encode(report),
        int(stands),
        tx.now(),
    )


def standing(tx: Transaction, subjects: Sequence[str]) -> dict[str, Report]:
    """The report that counts of each payout; one without is absent."""
    named, params = tx.among("subject", subjects)
    rows = tx.all(f"select subject, report from payout_reports where stands = 1 and {named}", *params)
    return {row["subject"]: _report(row) for row in rows}


def of_digest(tx: Transaction, subject: str, digest: str) -> Report | None:
    row = tx.one("select report from payout_reports where subject = %s and digest = %s", subject, digest)
    return _report(row) if row else None


def _report(row: Row) -> Report:
    return msgspec.json.decode(bytes(row["report"]), type=Report)


def totals(tx: Transaction, source: str) -> dict[str, Total]:
    """What the gateway's facts say of its payouts, the first of each."""
    beginning = f"payout {source}/"
    rows = tx.all(
        "select body from party_facts where party = 'gateway' and source = %s and kind = 'payout'"
        " and subject >= %s and subject < %s order by arrival desc",
        source,
        beginning,
        f"payout {source}0",
    )
    bodies = [read_json(bytes(row["body"])) for row in rows]
    return {
        str(body["payout"]): Total(
            int(body["amount_minor"]), str(body["currency"]), date.fromisoformat(str(body["paid_on"]))
        )
        for body in bodies
        if not body.get("test")
    }


def currencies(tx: Transaction, source: str, payouts: Sequence[str]) -> dict[str, str]:
    """Payout → the currency of the report that stands."""
    named, params = tx.among("payout", payouts)
    rows = tx.all(
        f"select payout, currency from payout_reports where source = %s and stands = 1 and {named}", source, *params
    )
    return {row["payout"]: row["currency"] for row in rows}


def keep_listed(tx: Transaction, source: str, listed: Sequence[Listed]) -> None:
    """What a list says of payouts whose currency nobody knows yet; the latest word counts."""
    tx.run_many(
        "insert into payouts_listed (source, payout, amount, paid_on, listed_at) values (%s, %s, %s, %s, %s)"
        " on conflict (source, payout) do update set amount = excluded.amount, paid_on = excluded.paid_on,"
        " listed_at = excluded.listed_at",
        [(source, each.payout, f"{each.amount:f}", each.paid_on.isoformat(), tx.now()) for each in listed],
    )


def take_listed(tx: Transaction, source: str, payouts: Sequence[str]) -> list[Listed]:
    """What lists said of these payouts, and waits for their currency no longer."""
    named, params = tx.among("payout", payouts)
    rows = tx.all(
        f"delete from payouts_listed where source = %s and {named} returning payout, amount, paid_on", source, *params
    )
    return [
        Listed(row["payout"], Decimal(row["amount"]), None, date.fromisoformat(row["paid_on"]), "paid", 0)
        for row in sorted(rows, key=lambda row: row["payout"])
    ]


def unreported(tx: Transaction, sources: Collection[str]) -> set[str]:
    """Of these gateways the subjects `payouts <source>` with a case: a report that came may have ended it."""
    named, params = tx.among("subject", {f"payouts {source}" for source in sources})
    rows = tx.all(
        f"select distinct subject from cases where origin = 'engine' and resolved_at is null and {named}", *params
    )
    return {row["subject"] for row in rows}


# What people decided


def decided(tx: Transaction, subjects: Sequence[str]) -> dict[str, dict[str, str]]:
    """Line → slot of each payout."""
    named, params = tx.among("subject", subjects)
    found: dict[str, dict[str, str]] = {}
    for row in tx.all(f"select subject, line, slot from payout_decisions where {named}", *params):
        found.setdefault(row["subject"], {})[row["line"]] = row["slot"]
    return found


def decide(tx: Transaction, subject: str, line: str, slot: str, who: str) -> None:
    """A line of a payout is what stands in this slot; what was decided of it before is replaced."""
    tx.run(
        "insert into payout_decisions (subject, line, slot, decided_by, decided_at) values (%s, %s, %s, %s, %s)"
        " on conflict (subject, line) do update set slot = excluded.slot, decided_by = excluded.decided_by,"
        " decided_at = excluded.decided_at",
        subject,
        line,
        slot,
        who,
        tx.now(),
    )


def choose(tx: Transaction, subject: str, digest: str) -> bool:
    """Let another report of the payout be the one that counts; whether there is such a one."""
    if of_digest(tx, subject, digest) is None:
        return False
    tx.run("update payout_reports set stands = 0 where subject = %s and stands = 1", subject)
    tx.run("update payout_reports set stands = 1 where subject = %s and digest = %s", subject, digest)
    return True


# What looks saw


def keep_seen(tx: Transaction, look_id: int, seen: Mapping[str, Any]) -> None:
    tx.run("insert into payout_looks (look_id, seen) values (%s, %s)", look_id, json.dumps(seen))


def seen(tx: Transaction, look_id: int) -> Mapping[str, Any] | None:
    row = tx.one("select seen from payout_looks where look_id = %s", look_id)
    return json.loads(row["seen"]) if row else None


# What people ask


def listed(tx: Transaction, source: str | None, limit: int) -> list[Row]:
    """Payouts that were reported or announced, the latest first, each with its last reading and open cases."""
    rows = tx.all(
        "select p.subject, r.source, r.payout, coalesce(r.currency, s.currency) as currency,"
        " coalesce(r.net_minor, s.total_minor) as net_minor, r.paid_on, r.line_count, s.reading, s.reason,"
        " (select count(*) from cases c where c.subject = p.subject and c.resolved_at is null) as cases,"
        " (select count(*) from payout_reports o where o.subject = p.subject and o.stands = 0) as others"
        " from (select subject from payout_reports union select subject from subjects"
        "  where substr(subject, 1, 7) = 'payout ') as p"
        " left join payout_reports r on r.subject = p.subject and r.stands = 1"
        " left join subjects s on s.subject = p.subject"
        " where (cast(%s as text) is null or substr(p.subject, 1, %s) = %s)"
        " order by coalesce(r.paid_on, '9999') desc, p.subject limit %s",
        source,
        len(f"payout {source}/"),
        f"payout {source}/",
        limit,
    )
    return [dict(row) for row in rows]


def reports_of(tx: Transaction, subject: str) -> list[Row]:
    """Every report of a payout, the one that counts first."""
    rows = tx.all(
        "select r.digest, r.stands, r.currency, r.net_minor, r.line_count, r.paid_on, r.taken_at, f.name, f.taken_by"
        " from payout_reports r join payout_files f on f.source = r.source and f.digest = r.file_digest"
        " where r.subject = %s order by r.stands desc, r.taken_at",
        subject,
    )
    return [{**row, "taken_at": _text(row["taken_at"])} for row in rows]


def settled(tx: Transaction, subject: str) -> list[Row]:
    """What is posted by others and is one of its lines."""
    return tx.all(
        "select slot, kind, currency, amount_minor, day from postings where settled_by = %s order by slot", subject
    )


def _text(value: Any) -> str | None:
    moment = as_time(value)
    return moment.isoformat() if moment else None
