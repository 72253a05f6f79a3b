"""The documents of a payout: what it moved that is not posted already, each on its own date (domain.md, section 6).

A line whose charge, refund, fee or dispute is posted posts nothing. What is known to nobody stands on
`unapplied:<gateway>` with a case and its likely postings; it is reversed by itself once its order posts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from counterfoil_engine.domain.documents import KINDS, Document, Proof
from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.facts import PartyFact
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.rules import Entity, Rules
from counterfoil_engine.domain.settlement.candidates import candidates
from counterfoil_engine.domain.settlement.lines import Report, SettlementLine, digest_of, is_own_payout, prove_payout
from counterfoil_engine.domain.settlement.matching import Matched, match
from counterfoil_engine.domain.settlement.payout_documents import Writer
from counterfoil_engine.domain.settlement.posted import Candidate, Posting, Postings, amount_in


@dataclass(frozen=True)
class Settlement:
    """What a payout comes to. unknown: lines without a posting, with their candidates; matched: line id → posting.

    alone: lines that stand for what nobody else has posted yet: charges, refunds, fees, disputes. waits: why there are
    no documents yet (nobody said what the payout came to); again_on: the first day on which time alone brings more.
    """

    documents: tuple[Document, ...] = ()
    cases: tuple[Case, ...] = ()
    proofs: tuple[Proof, ...] = ()
    unknown: tuple[tuple[SettlementLine, tuple[Candidate, ...]], ...] = ()
    matched: dict[str, Posting] = field(default_factory=dict)
    alone: tuple[SettlementLine, ...] = ()
    waits: str | None = None
    again_on: date | None = None


def payout_dues(
    payout: Report | PartyFact, known: Postings, rules: Rules, entity: Entity, as_of: datetime
) -> list[Document]:
    """The documents that ought to exist for a payout, by its report or its fact alone; by day, kind and slot."""
    report = payout if isinstance(payout, Report) else announced(payout)
    return list(settle(report, known, rules, entity, as_of).documents)


def announced(fact: PartyFact) -> Report:
    """A payout that the gateway announced (`facts/payout.v1`) and has not itemised yet: a report without lines."""
    body = fact.body
    net_minor, currency, payout = int(body["amount_minor"]), str(body["currency"]), str(body["payout"])
    paid_on, digest = date.fromisoformat(str(body["paid_on"])), digest_of(payout, currency, (net_minor,), ())
    return Report(fact.source, payout, currency, paid_on, net_minor, (), fact.kind, digest, total_from="fact")


def settle(
    report: Report,
    known: Postings,
    rules: Rules,
    entity: Entity,
    as_of: datetime,
    decided: Mapping[str, str] | None = None,
) -> Settlement:
    """Match a payout's lines and say what is due for it.

    known: what is posted by others: orders, and gateways' own facts; documents of this very payout are left out, so
    that they stay due once they are posted. decided: line id → the slot of the posting that a person says it is; it
    holds as long as that is posted.
    """
    if report.total_from == "lines":
        return Settlement(waits=f"nothing says yet what payout {report.payout} came to: it may not be whole")
    writer = Writer(report, rules, entity)
    found = _Found(Postings(posting for posting in known.all if not writer.is_own(posting.slot)), decided or {})
    documents = [document for line in report.lines for document in found.documents(line, writer)]
    if report.net_minor:
        documents.append(writer.payout(found.carried_book_minor(report, documents, writer)))
    today = as_of.astimezone(ZoneInfo(entity.zone)).date()
    later = [document.day for document in documents if document.day > today]
    return Settlement(
        documents=tuple(sorted((each for each in documents if each.day <= today), key=_place)),
        cases=tuple(found.cases),
        proofs=(prove_payout(report),) if report.lines else (),
        unknown=tuple(found.unknown),
        matched=found.matched,
        alone=tuple(found.alone),
        again_on=min(later, default=None),
    )


def _place(document: Document) -> tuple[date, int, str]:
    return document.day, KINDS.index(document.kind), document.slot


class _Found:
    """The lines of a payout as they find their postings, each posting once, and what is said of those that don't."""

    def __init__(self, postings: Postings, decided: Mapping[str, str]) -> None:
        self.postings = postings
        self._decided = decided
        self.matched: dict[str, Posting] = {}
        self.unknown: list[tuple[SettlementLine, tuple[Candidate, ...]]] = []
        self.alone: list[SettlementLine] = []
        self.cases: list[Case] = []
        self._taken: set[str] = set()
        self._fees: set[tuple[str, int]] = set()  # a transaction, and what was taken for it
        self._carried: list[tuple[int, int]] = []  # what is posted already moved on the clearing, and its book amount

    def documents(self, line: SettlementLine, writer: Writer) -> list[Document]:
        """What a line makes due: for its gross by its kind, and for its fee."""
        documents = []
        if line.kind in ("charge", "refund", "dispute"):
            documents += self._traded(line, writer)
        elif line.kind == "adjustment" and line.gross_minor:
            documents.append(writer.unapplied(line))
            self._unknown(line, ())
        elif line.kind == "reserve":
            documents.append(writer.moved(line, "reserve"))
        elif line.kind == "conversion":
            documents.append(writer.converted(line))
        elif line.kind == "payout" and not is_own_payout(line):
            documents.append(writer.moved(line, "in_transit"))
        if line.fee_minor:
            self._taken_twice(line)
            if not self._is_fee_posted(line, writer):
                documents.append(writer.fee(line))
        if any(document.kind in ("payment", "fee", "dispute") for document in documents):
            self.alone.append(line)
        return documents

    def _taken_twice(self, line: SettlementLine) -> None:
        """A fee of its own that repeats one of its transaction: the money is gone, so it is posted, and is a case."""
        said = {(id, line.fee_minor) for id in line.ids}
        if line.kind == "fee" and said & self._fees:
            self.cases.append(_twice_case(line))
        self._fees |= said

    def _traded(self, line: SettlementLine, writer: Writer) -> list[Document]:
        """A charge, refund or dispute: nothing where it is posted, but for its change of currency."""
        if not line.gross_minor:
            return []
        result = self._as_decided(line) or match(line, self.postings)
        if isinstance(result, Matched) and result.posting.slot not in self._taken:
            posting = result.posting
            self._taken.add(posting.slot)
            self.matched[line.id] = posting
            if result.difference_minor:
                self.cases.append(_difference_case(line, posting, result.difference_minor))
            if posting.currency != line.currency:
                return writer.exchanged(line, posting)
            self._carried.append((posting.amount_minor, writer.book_of(posting)))
            return []
        self._unknown(line, candidates(line, self.postings) if isinstance(result, Matched) else result.candidates)
        return [writer.dispute(line) if line.kind == "dispute" else writer.unapplied(line)]

    def _as_decided(self, line: SettlementLine) -> Matched | None:
        """What a person said that a line is, where that is posted."""
        slot = self._decided.get(line.id)
        posting = next((each for each in self.postings.all if each.slot == slot), None) if slot else None
        if posting is None:
            return None
        amount = amount_in(line, posting.currency)
        return Matched(posting, "a person", 0 if amount is None else amount - posting.amount_minor)

    def _unknown(self, line: SettlementLine, likely: tuple[Candidate, ...]) -> None:
        if line.kind == "dispute":
            return
        self.unknown.append((line, likely))
        self.cases.append(_unknown_case(line, likely))

    def _is_fee_posted(self, line: SettlementLine, writer: Writer) -> bool:
        """Are there fees of this transaction, not yet taken? A refund's are its own, never those of its charge."""
        ids = line.ids if line.kind in ("charge", "fee") else line.ids[:1] if line.transaction else ()
        fees = {
            posting.slot: posting
            for id in ids
            for posting in self.postings.by_id.get(id, ())
            if (posting.kind, posting.source, posting.currency) == ("fee", line.source, line.currency)
            and posting.slot not in self._taken
        }
        if not fees:
            return False
        posted = sum(posting.amount_minor for posting in fees.values())
        self._taken |= fees.keys()
        self._carried += [(-posting.amount_minor, -writer.book_of(posting)) for posting in fees.values()]
        if posted != line.fee_minor:
            self.cases.append(_difference_case(line, next(iter(fees.values())), line.fee_minor - posted, "fee"))
        return True

    def carried_book_minor(self, report: Report, documents: Sequence[Document], writer: Writer) -> int | None:
        """What the clearing carried the payout at; None where the lines alone don't make it up (a balance, a case)."""
        moved = [*self._carried, *(writer.on_clearing(document) for document in documents)]
        if sum(amount for amount, _ in moved) != report.net_minor:
            return None
        return sum(book for _, book in moved)


def _unknown_case(line: SettlementLine, likely: Sequence[Candidate]) -> Case:
    what = f"a{'n' if line.kind == 'adjustment' else ''} {line.kind} of {show(line.gross_minor, line.currency)}"
    choices = "; ".join(f"{each.posting.slot} ({each.score}: {each.reason})" for each in likely)
    remedy = f"Say which it is: {choices}." if choices else "Ask the gateway what it is for, then say where it belongs."
    return Case(
        "data",
        f"Row {line.row} of payout {line.payout[:60]}, {what} on {line.at}, is posted nowhere: it stands on"
        f" unapplied:{line.source}.",
        remedy,
        money_minor=abs(line.gross_minor),
        currency=line.currency,
    )


def _twice_case(line: SettlementLine) -> Case:
    return Case(
        "data",
        f"Row {line.row} of payout {line.payout[:60]} takes the fee of {show(line.fee_minor, line.currency)} for"
        f" {line.ids[0][:80]} a second time.",
        "Ask the gateway to give it back; it is posted, since the payout is short of it.",
        money_minor=abs(line.fee_minor),
        currency=line.currency,
    )


def _difference_case(line: SettlementLine, posting: Posting, difference_minor: int, what: str = "") -> Case:
    return Case(
        "unbalanced",
        f"Row {line.row} of payout {line.payout[:60]}: the {what or line.kind} that is posted as {posting.slot} differs"
        f" by {show(difference_minor, posting.currency)} from what the gateway settled.",
        "Compare both with the gateway's own screen; once its fact is there, the posting is corrected by itself.",
        money_minor=abs(difference_minor),
        currency=posting.currency,
    )
