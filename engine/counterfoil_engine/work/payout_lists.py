"""Lists of payouts come in: what each came to, as if the gateway had announced it.

A list that doesn't name a currency waits, payout by payout, for the report that does; whichever comes last finds the
other, since both are taken under the source's lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from counterfoil_engine.domain.errors import Case, Parked
from counterfoil_engine.domain.settlement.payout_list import Listed
from counterfoil_engine.ports import NewPartyFact, PartyFactRecords, PayoutRecords, Records
from counterfoil_engine.work.party_facts import judge

ORIGIN = "payout list"  # of cases: a payout that failed after it was told as paid


class PayoutLists:
    """Both methods run in the transaction, and under the source's lock, of whoever takes the file."""

    def __init__(self, records: Records, payouts: PayoutRecords, facts: PartyFactRecords) -> None:
        self._records, self._payouts, self._facts = records, payouts, facts

    def take(self, tx: Any, source: str, listed: Sequence[Listed]) -> list[dict[str, Any]]:
        """What became of each payout in a list: announced, duplicate, waits, later, failed."""
        reported = self._payouts.currencies(tx, source, [each.payout for each in listed])
        paid = [each for each in listed if each.state == "paid"]
        known = {each.payout: each.currency or reported.get(each.payout) for each in paid}
        verdicts = self._announce(tx, source, ((each, currency) for each in paid if (currency := known[each.payout])))
        waiting = [each for each in paid if not known[each.payout]]
        self._payouts.keep_listed(tx, source, waiting)
        verdicts |= dict.fromkeys((each.payout for each in waiting), "waits")
        self._payouts.take_listed(tx, source, [each.payout for each in listed if each.state == "failed"])
        self._failed(tx, source, listed)
        return [
            {
                "payout": each.payout,
                "verdict": verdicts.get(each.payout, each.state),
                "amount": f"{each.amount:f}",
                "currency": known.get(each.payout),
                "paid_on": each.paid_on.isoformat(),
            }
            for each in listed
        ]

    def reported(self, tx: Any, source: str, currencies: Mapping[str, str]) -> None:
        """Reports say which currency these payouts are in: what lists said of them counts from here on."""
        for each in self._payouts.take_listed(tx, source, list(currencies)):
            try:
                self._announce(tx, source, [(each, currencies[each.payout])])
            except Parked as parked:  # an amount that this currency can't hold
                self._records.cases.open_case(
                    tx, f"payout {source}/{each.payout}", "", ORIGIN, parked.case, each.payout
                )

    def _announce(self, tx: Any, source: str, paid: Iterable[tuple[Listed, str]]) -> dict[str, str]:
        facts = [_fact(source, each, currency) for each, currency in paid]
        verdicts = self._facts.take(tx, facts) if facts else []
        words = {"stored": "announced"}
        return {
            (fact.subject or "").partition("/")[2]: words.get(said.verdict, said.verdict)
            for fact, said in zip(facts, verdicts, strict=True)
        }

    def _failed(self, tx: Any, source: str, listed: Sequence[Listed]) -> None:
        """A payout that was told as paid and came back is a case, until a list has it as paid again."""
        announced = self._payouts.totals(tx, source)
        for each in listed:
            subject = f"payout {source}/{each.payout}"
            if each.state == "failed" and each.payout in announced:
                total = announced[each.payout]
                case = Case(
                    "conflict",
                    f"{source} says that payout {each.payout} failed, and has told it as paid before.",
                    "Ask the bank whether it came. If it didn't, the gateway pays it out again: match that payout by"
                    " hand, and reverse this one in the ERP.",
                    money_minor=total.amount_minor,
                    currency=total.currency,
                )
                self._records.cases.open_case(tx, subject, "", ORIGIN, case, each.payout)
            elif each.state == "paid":
                for row in self._records.cases.of_subject(tx, subject):
                    if row["origin"] == ORIGIN:
                        self._records.cases.resolve(tx, row["id"], "a list has it as paid")


def _fact(source: str, each: Listed, currency: str) -> NewPartyFact:
    """As the gateway would have announced it: the same content is the same fact, in whatever list it stands."""
    total = each.total(currency)
    day = each.paid_on.isoformat()
    said = {
        "fact": "counterfoil.payout.v1",
        "party": "gateway",
        "source": source,
        "id": f"list:{each.payout}:{total.amount_minor}:{currency}:{day}",
        "at": f"{day}T00:00:00Z",
        "store": None,
        "order": None,
        "payout": each.payout,
        "amount_minor": total.amount_minor,
        "currency": currency,
        "paid_on": day,
    }
    fact = judge("gateway", source, json.dumps(said, sort_keys=True).encode())
    assert isinstance(fact, NewPartyFact), fact
    return fact
