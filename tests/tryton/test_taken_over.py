"""Taking over from another connector in a real Tryton: what it posted is found, linked, and credited by its number."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.ports import Posted, Posting, Refused
from sandbox.erp_documents import a_credit_note, a_customer, a_line, a_sales_order, an_invoice

from tryton import server as servers
from tryton.orders import numbered

CREDITED = a_credit_note([a_line(1014, 193)], 1207)


class OfOld:
    """An order that stands in Tryton as another connector left it: marked its own way, and without any key of ours."""

    def __init__(self, tryton: servers.Server, erp: TrytonErp) -> None:
        self._tryton, self.erp = tryton, erp
        life = numbered([a_customer(), a_sales_order(), an_invoice()])
        self.order = str(life[0].document["number"])
        self.sale, self.invoice = _numbers(erp, life)[1:]
        self.reference = f"WC-{self.order}"
        self._forget("sale_sale", life[1].key)
        self._forget("account_invoice", life[2].key)
        servers.execute_in(tryton.database, f"delete from counterfoil_document where key like 'eu1/{self.order}/%'")

    def _forget(self, table: str, key: str) -> None:
        servers.execute_in(
            self._tryton.database, f"update {table} set reference = '{self.reference}' where reference = '{key}'"
        )

    def credited(self, number: str) -> Posting:
        return numbered([CREDITED], int(self.order), taken_over={f"eu1/{self.order}/invoice/1": number})[0]


def _numbers(erp: TrytonErp, postings: Sequence[Posting]) -> list[str]:
    outcomes = [erp.post([posting])[0] for posting in postings]
    assert all(isinstance(outcome, Posted) for outcome in outcomes), outcomes
    return [outcome.number for outcome in outcomes if isinstance(outcome, Posted)]


@pytest.fixture
def old(tryton: servers.Server, erp: TrytonErp) -> OfOld:
    return OfOld(tryton, erp)


def test_sales_and_invoices_of_old_are_found_by_their_references_with_number_and_amount(old: OfOld) -> None:
    for kind, number in (("sales_order", old.sale), ("invoice", old.invoice)):
        ((found,),) = old.erp.find_old("DE01", kind, [old.reference, "WC-0"]).values()
        assert (found.reference, found.number) == (old.reference, number)
        assert (found.amount_minor, found.currency) == (3008, "EUR")
    assert old.erp.find_old("DE01", "credit_note", [old.reference]) == {}


def test_a_later_refund_is_credited_to_the_party_of_the_invoice_of_old(tryton: servers.Server, old: OfOld) -> None:
    (number,) = _numbers(old.erp, [old.credited(old.invoice)])
    fields = ["number", "party", "description"]
    rows = tryton.client().read(
        "model.account.invoice.search_read", [("number", "in", [number, old.invoice])], 0, 2, None, fields
    )
    by_number = {row["number"]: row for row in rows}
    assert by_number[number]["party"] == by_number[old.invoice]["party"]


def test_an_invoice_of_old_that_is_gone_is_said_with_its_remedy(old: OfOld) -> None:
    (outcome,) = old.erp.post([old.credited("INV-OF-NOBODY")])
    assert isinstance(outcome, Refused)
    assert "INV-OF-NOBODY" in outcome.case.cause and "taken-over" in outcome.case.remedy
