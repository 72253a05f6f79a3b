"""Payout reports come in: read whole or not at all, kept as they came, each payout judged by what it says.

A file that can't be read says why and is kept nowhere; in the drop folder it is a case, and holds no neighbour back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loguru import logger

from counterfoil_engine.domain.errors import Case, CounterfoilError, Parked, Retry
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.settlement.description import Description
from counterfoil_engine.domain.settlement.lines import Expected, Report
from counterfoil_engine.domain.settlement.payout_list import FORMAT as LIST
from counterfoil_engine.domain.settlement.payout_list import read_list
from counterfoil_engine.domain.settlement.read import conflict_case, judge, read_report
from counterfoil_engine.domain.settlement.whose import entity_of, zone_of
from counterfoil_engine.ports import (
    Dropped,
    PartyFactRecords,
    PayoutFile,
    PayoutRecords,
    PostingRecords,
    Records,
    Rejected,
    ReportFolder,
    RulesBook,
)
from counterfoil_engine.work.decisions import Decision, Frozen
from counterfoil_engine.work.likely import Likely
from counterfoil_engine.work.payout_lists import PayoutLists

ORIGIN = "payouts"  # of cases: a file that can't be read; a payout that was reported twice, differently
FOLDER = "folder"  # who takes what lies in the drop folder
LISTS = "woopayments"  # the format whose reports need a list beside them, which comes into the same folder


class Payouts:
    """format_of: how a source's reports are read: the name of a format that comes with the engine, or a description."""

    def __init__(
        self,
        records: Records,
        payouts: PayoutRecords,
        book: RulesBook,
        facts: PartyFactRecords,
        format_of: Callable[[str], str | Description] = lambda source: source,
        likely: Likely | None = None,
    ) -> None:
        self._records, self._payouts, self._book, self._format_of = records, payouts, book, format_of
        self._likely = likely
        self._lists = PayoutLists(records, payouts, facts)

    def take(self, source: str, data: bytes, name: str, who: str) -> Mapping[str, Any]:
        """Take a file of reports, or a list of payouts: what became of each payout in it. Raises CounterfoilError where
        it can't be read."""
        format, digest = self._format_of(source), hashlib.sha256(data).hexdigest()
        with self._records.transaction() as tx:
            rules, today = self._book.current(tx), tx.now().date()
            totals = self._payouts.totals(tx, source)
        listed = read_list(data, today) if format == LISTS else None
        reports: Sequence[Report] = ()
        if listed is None:
            reports = read_report(data, format, Expected(source, today, zone_of(source, rules, today), totals=totals))
        described = LIST if listed else format if isinstance(format, str) else format.format
        with self._records.transaction() as tx:
            self._payouts.lock_source(tx, source)
            self._payouts.keep_file(tx, PayoutFile(source, digest, name, described, data, who))
            verdicts = self._lists.take(tx, source, listed) if listed else self._keep_all(tx, source, reports, digest)
            new = sum(each["verdict"] in ("new", "announced", "waits") for each in verdicts)
            self._records.restatements.audit(tx, who, "take payouts", source=source, file=digest, new=new)
        logger.info("payouts taken", source=source, payouts=len(verdicts), new=new)
        return {"source": source, "file": digest, "payouts": verdicts}

    def _keep_all(self, tx: Any, source: str, reports: Sequence[Report], digest: str) -> list[dict[str, Any]]:
        verdicts = [self._keep(tx, report, digest) for report in reports]
        fresh = {each["payout"]: each["currency"] for each in verdicts if each["verdict"] == "new"}
        self._lists.reported(tx, source, fresh)
        self._records.work.mark_due(tx, [f"payout {source}/{payout}" for payout in fresh], "live")
        return verdicts

    def _keep(self, tx: Any, report: Report, file_digest: str) -> dict[str, Any]:
        verdict = judge(report, self._payouts.digests(tx, report.source, [report.payout]))
        if verdict != "duplicate":
            self._payouts.keep(tx, report, file_digest, verdict == "new")
        if verdict == "conflict":
            subject = _subject(report.source, report.payout)
            self._records.cases.open_case(tx, subject, "", ORIGIN, conflict_case(report), report.digest)
        said = {"payout": report.payout, "verdict": verdict, "net_minor": report.net_minor, "lines": len(report.lines)}
        return {**said, "currency": report.currency, "paid_on": report.paid_on.isoformat()}

    def list(self, source: str | None, limit: int) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            return {"payouts": self._payouts.listed(tx, source, limit)}

    def show(self, source: str, payout: str, with_names: bool = False) -> Mapping[str, Any]:
        """A payout with its lines, each with what it is or most likely is; and every report of it. with_names: of
        customers, for who may see personal data."""
        subject = _subject(source, payout)
        with self._records.transaction() as tx:
            report = self._payouts.standing(tx, [subject]).get(subject)
            reports = self._payouts.reports_of(tx, subject)
            cases = self._records.cases.of_subject(tx, subject)
            if report is None:
                raise _unknown(source, payout)
            return {
                "subject": subject,
                "currency": report.currency,
                "net_minor": report.net_minor,
                "paid_on": report.paid_on.isoformat(),
                "reports": reports,
                "lines": [_line(line) for line in report.lines],
                "settled": self._payouts.settled(tx, subject),
                "likely": self._likely.of(tx, subject, with_names) if self._likely else [],
                "decided": self._payouts.decided(tx, [subject]).get(subject, {}),
                "cases": [{"cause": case["cause"], "remedy": case["remedy"]} for case in cases],
            }


class PayoutFolder:
    """The drop folder: each file that has stopped growing is taken, then moved away; what can't be, aside."""

    def __init__(self, records: Records, payouts: Payouts, folder: ReportFolder) -> None:
        self._records, self._payouts, self._folder = records, payouts, folder

    def step(self) -> bool:
        """Take what is there; whether anything was."""
        self._end_cases()
        ready = list(self._folder.ready())
        for dropped in ready:
            self._take(dropped)
        return bool(ready)

    def _take(self, dropped: Dropped) -> None:
        try:
            taken = self._payouts.take(dropped.source, self._folder.read(dropped), dropped.name, FOLDER)
        except Retry:
            raise  # the engine's own database, or no rules yet: the file waits
        except CounterfoilError as error:
            self._refuse(dropped, error)
        else:
            self._folder.taken(dropped, taken["file"])

    def _refuse(self, dropped: Dropped, error: CounterfoilError) -> None:
        """Moved first: a crash in between leaves a file aside with its text, and no case that nothing ends."""
        name = self._folder.refused(dropped, error.cause, error.remedy)
        logger.warning("payouts refused", source=dropped.source, cause=error.cause)
        case = Case(
            error.category,
            f"The report {name[:80]} of {dropped.source} can't be taken. {error.cause}",
            f"{error.remedy} Then put it into the folder again, and delete what lies in refused.",
        )
        with self._records.transaction() as tx:
            self._records.cases.open_case(tx, _folder_of(dropped.source), "", ORIGIN, case, name)

    def _end_cases(self) -> None:
        """A file that no longer lies aside is dealt with."""
        with self._records.transaction() as tx:
            for row in self._records.cases.of_origin(tx, ORIGIN):
                kind, _, source = row["subject"].partition(" ")
                if kind == "payouts" and row["about_key"] not in self._folder.aside(source):
                    self._records.cases.resolve(tx, row["id"], "the file is gone from refused")


class MatchLine(Decision):
    """A line of a payout is a document that is posted, says a person: a fact for every later look."""

    what = "manual_match"

    def __init__(self, records: Records, payouts: PayoutRecords, postings: PostingRecords, book: RulesBook) -> None:
        self._records, self._payouts, self._postings, self._book = records, payouts, postings, book

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        source, payout, name = asked["source"], asked["payout"], asked["line"]
        subject = _subject(source, payout)
        report = self._payouts.standing(tx, [subject]).get(subject)
        if report is None:
            raise _unknown(source, payout)
        line = next((each for each in report.lines if name in (each.id, f"row {each.row}")), None)
        if line is None or line.kind not in ("charge", "refund", "dispute"):
            raise _refused(
                f"Payout {source}/{payout} has no charge, refund or dispute {name[:60]!r}.",
                "Name a line by its id, as `counterfoil payouts show` does.",
            )
        rules = self._book.current(tx)
        entity = entity_of(source, report.currency, rules, tx.now().date()).id
        there = self._postings.slot_of(tx, entity, source, asked["document"])
        if there is None:
            raise _refused(
                f"Nothing is posted as {asked['document'][:120]} in {entity} that went by {source}.",
                "Name a document by its key, as the case or `counterfoil order` does.",
            )
        if there["settled_by"] not in (None, subject):
            raise _refused(
                f"{there['slot']} is settled by {there['settled_by']} already.",
                "Choose another document, or correct that payout first.",
            )
        payload = {"source": source, "payout": payout, "line": line.id, "slot": there["slot"]}
        amount = show(line.gross_minor, line.currency)
        summary = f"Row {line.row} of payout {source}/{payout}, {line.kind} of {amount}, is {there['slot']}."
        return Frozen(payload, summary, {line.currency: abs(line.gross_minor)})

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        subject = _subject(payload["source"], payload["payout"])
        self._payouts.decide(tx, subject, payload["line"], payload["slot"], who)
        self._records.work.mark_due(tx, [subject], "live")
        self._records.restatements.audit(tx, who, "match payout line", **payload)
        return dict(payload)


class ChooseReport(Decision):
    """Of two reports of a payout that differ, which one counts."""

    what = "choose_report"

    def __init__(self, records: Records, payouts: PayoutRecords) -> None:
        self._records, self._payouts = records, payouts

    def freeze(self, tx: Any, asked: Mapping[str, Any]) -> Frozen:
        source, payout, beginning = asked["source"], asked["payout"], asked["report"]
        reports = self._payouts.reports_of(tx, _subject(source, payout))
        found = [each for each in reports if each["digest"].startswith(beginning)]
        if len(found) != 1 or len(beginning) < 8:
            raise _refused(
                f"Payout {source}/{payout} has no report that {beginning[:70]!r} names alone.",
                "Name it by the beginning of its digest, as `counterfoil payouts show` does.",
            )
        chosen = found[0]
        summary = (
            f"Of payout {source}/{payout} the report of {show(int(chosen['net_minor']), chosen['currency'])} in"
            f" {chosen['line_count']} lines counts ({chosen['name'][:80]})."
        )
        payload = {"source": source, "payout": payout, "report": chosen["digest"]}
        return Frozen(payload, summary, {chosen["currency"]: abs(int(chosen["net_minor"]))})

    def carry_out(self, tx: Any, payload: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        subject = _subject(payload["source"], payload["payout"])
        self._payouts.choose(tx, subject, payload["report"])
        for case in self._records.cases.of_subject(tx, subject):
            if case["origin"] == ORIGIN:
                self._records.cases.resolve(tx, case["id"], f"{who} chose a report")
        self._records.work.mark_due(tx, [subject], "live")
        self._records.restatements.audit(tx, who, "choose payout report", **payload)
        return dict(payload)


def _line(line: Any) -> dict[str, Any]:
    names = ("id", "row", "kind", "transaction", "reference", "gross_minor", "fee_minor", "net_minor", "currency")
    return {name: getattr(line, name) for name in names} | {"at": line.at.isoformat()}


def _subject(source: str, payout: str) -> str:
    return f"payout {source}/{payout}"


def _folder_of(source: str) -> str:
    return f"payouts {source}"


def _unknown(source: str, payout: str) -> Rejected:
    return Rejected(
        f"No report of the payout {source[:40]}/{payout[:80]} has come in.",
        "See which have: counterfoil payouts list.",
        slug="no-such-subject",
    )


def _refused(cause: str, remedy: str) -> Parked:
    return Parked(cause, remedy, "conflict")
