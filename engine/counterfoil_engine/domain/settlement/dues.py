"""What ought to exist for a payout: its settlement as dues, so that it is looked at like any other subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from counterfoil_engine.domain.documents import Document, Dues
from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.facts import PayoutFacts
from counterfoil_engine.domain.settlement.gather import whole
from counterfoil_engine.domain.settlement.lines import Expected, Report, Total
from counterfoil_engine.domain.settlement.payout_documents import Writer
from counterfoil_engine.domain.settlement.payout_dues import Settlement, announced, settle
from counterfoil_engine.domain.settlement.whose import entity_of


@dataclass(frozen=True)
class Settled:
    """A payout as it is settled. report, entity, found: None where the rules or its facts don't let it be told."""

    report: Report | None = None
    entity: Entity | None = None
    found: Settlement | None = None
    cases: tuple[Case, ...] = ()


def settled(facts: PayoutFacts, rules: Rules, as_of: datetime) -> Settled:
    """Match what is known of a payout with what is posted."""
    report, cases = told(facts)
    if report is None:
        return Settled()
    try:
        entity = entity_of(facts.source, report.currency, rules, as_of.date())
        found = settle(report, facts.postings, rules, entity, as_of, facts.decided)
    except Parked as parked:
        return Settled(report, cases=(*cases, parked.case))
    return Settled(report, entity, found, (*cases, *found.cases))


def dues_of(facts: PayoutFacts, rules: Rules, as_of: datetime) -> Dues:
    """A payout's documents and cases. What is not matched stands on unapplied, so a case keeps no document back."""
    return as_dues(facts, settled(facts, rules, as_of), rules, as_of)


def as_dues(facts: PayoutFacts, settled: Settled, rules: Rules, as_of: datetime) -> Dues:
    report, entity, found, cases = settled.report, settled.entity, settled.found, settled.cases
    base = Dues(facts.subject, "waiting", "Nothing is known of it.", facts.currency, 0, rules_version=rules.version)
    if report is None:
        return base
    base = replace(base, total_minor=report.net_minor, cases=cases)
    if found is None or entity is None:
        return replace(base, reading="parked", reason=cases[0].cause)
    return replace(
        base,
        reading="parked" if cases else "waiting" if found.waits else "posted",
        reason=cases[0].cause if cases else found.waits or _reason(report),
        documents=tuple(_taken_over(document, entity, rules) for document in found.documents),
        proofs=found.proofs,
        again_at=_midnight(found.again_on, entity) if found.again_on else None,
        day=_latest_day(report, found, as_of, entity),
    )


def told(facts: PayoutFacts) -> tuple[Report | None, list[Case]]:
    """The payout as it is to be settled: its report, held against what the gateway announced, and what they differ in.

    A report that doesn't say itself what was paid waits for the announcement; where that says another sum, the report
    isn't whole, and the payout alone is posted.
    """
    said, cases = _announced(facts)
    if facts.report is None or said is None:
        return facts.report or said, cases
    report = facts.report
    total = Total(said.net_minor, said.currency, said.paid_on)
    try:
        if said.currency != report.currency:
            raise Parked(
                f"{report.source} announced payout {report.payout[:60]} in {said.currency}, its report is in"
                f" {report.currency}.",
                "Compare both with the gateway's own screen.",
                "conflict",
            )
        whole(report, Expected(report.source, report.paid_on, totals={report.payout: total}))
    except Parked as parked:
        return (said if report.total_from == "lines" else report), [*cases, parked.case]
    if report.total_from != "lines":
        return report, cases
    return replace(report, total_from="fact", net_minor=said.net_minor, paid_on=said.paid_on), cases


def _announced(facts: PayoutFacts) -> tuple[Report | None, list[Case]]:
    """What the gateway announced first; what it says otherwise later is a case."""
    real = [fact for fact in facts.announced if not fact.body.get("test")]
    if not real:
        return None, []
    differing = [fact for fact in real[1:] if _sum(fact) != _sum(real[0])]
    cases = [
        Case(
            "conflict",
            f"{fact.source} announced payout {facts.payout[:60]} twice, and not the same; what came first counts.",
            "Compare both with the gateway's own screen.",
            money_minor=int(fact.body["amount_minor"]),
            currency=str(fact.body["currency"]),
        )
        for fact in differing[:1]
    ]
    return announced(real[0]), cases


def _sum(fact: PartyFact) -> tuple[int, str]:
    return int(fact.body["amount_minor"]), str(fact.body["currency"])


def slots_of(facts: PayoutFacts, rules: Rules, as_of: datetime) -> Sequence[str]:
    """The slots where its lines may stand beside what is due now."""
    if facts.report is None:
        return ()
    try:
        entity = entity_of(facts.source, facts.report.currency, rules, as_of.date())
    except Parked:
        return ()
    return list(Writer(facts.report, rules, entity).unapplied_lines())


def _taken_over(document: Document, entity: Entity, rules: Rules) -> Document:
    """What is from before the first of the entity's stores started counts as posted (R3)."""
    starts = [store.start_line for store in rules.stores.values() if store.entity == entity.id]
    start = min(starts, default=None)
    if start is None or document.day >= start.astimezone(ZoneInfo(entity.zone)).date():
        return document
    return replace(document, taken_over=True)


def _reason(report: Report) -> str:
    return f"{report.source} paid it out on {report.paid_on}" + (
        "; its report has not come yet" if report.total_from == "fact" and not report.lines else ""
    )


def _midnight(day: date, entity: Entity) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(entity.zone))


def _latest_day(report: Report, found: Settlement, as_of: datetime, entity: Entity) -> date:
    """Of what happened by today: what a payout's line stood for is undone on the day of the posting that it is."""
    today = as_of.astimezone(ZoneInfo(entity.zone)).date()
    days = [report.paid_on, *(line.at for line in report.lines), *(posting.day for posting in found.matched.values())]
    return max((day for day in days if day <= today), default=today)
