"""What an accountant does by hand in the sandbox ERP shows in its ledger document by document, and is named."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.tie_out import Booked, added, compare, tie_out
from counterfoil_sandbox.books import NUMBER_PREFIX, Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_by_hand import ByHand
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.erp_journal import KINDS, Line, Refusal
from sandbox.erp_documents import an_invoice, an_order

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
KEY = an_invoice()["key"]


class Ledgers:
    """The sandbox ERP as it was posted to, and as it was changed since, over the shipped adapter."""

    def __init__(self) -> None:
        self.books = Books()
        self.books.post(an_order())
        self.erp = HttpErp("http://erp", "t", in_process_session(create_erp(self.books, "t")))
        self.by_hand, self.ours = ByHand(self.books), self.entries()

    def entries(self) -> list[Booked]:
        return list(self.erp.entries("DE01", FIRST, LAST))

    def breaks(self) -> list[tuple[str, str | None, str]]:
        breaks = compare(self.ours, self.entries())
        balances = {
            place: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
            for place, line in self.erp.balances("DE01").items()
        }
        ties = tie_out(added(each.net for each in self.ours), balances, breaks)
        assert {tie.remainder for tie in ties} == {(0, 0)}
        return [(each.kind, each.key, each.number) for each in breaks]


@pytest.fixture
def ledgers() -> Ledgers:
    return Ledgers()


def test_every_kind_of_document_has_a_number_of_its_own() -> None:
    assert set(KINDS) | {"journal"} == set(NUMBER_PREFIX)
    assert len(set(NUMBER_PREFIX.values())) == len(NUMBER_PREFIX)


def test_the_ledger_lists_every_document_with_what_it_moved(ledgers: Ledgers) -> None:
    invoice = next(each for each in ledgers.ours if each.key == KEY)
    assert (invoice.kind, invoice.number, invoice.amount_minor) == ("invoice", "IN-2026-000001", 3008)
    assert invoice.net["receivable", "EUR"] == (3008, 3008)
    assert sum(amount for amount, _ in invoice.net.values()) == 0
    assert ledgers.breaks() == []


def test_what_was_deleted_is_missing(ledgers: Ledgers) -> None:
    ledgers.by_hand.delete(KEY)
    assert ledgers.breaks() == [("missing", KEY, "")]


def test_a_copy_is_a_double_with_its_key_or_without(ledgers: Ledgers) -> None:
    numbers = [ledgers.by_hand.copy(KEY, with_key) for with_key in (True, False)]
    assert ledgers.breaks() == [("doubled", KEY, number) for number in numbers]
    assert KEY not in {found.key for found in ledgers.erp.list_since(ledgers.books.now()) if found.number == numbers[1]}


def test_a_wrong_tax_code_is_another_account(ledgers: Ledgers) -> None:
    invoice = next(each for each in ledgers.ours if each.key == KEY)
    tax = next(role for role, _ in invoice.net if role.startswith("tax:"))
    ledgers.by_hand.move(KEY, tax, f"{tax}9")
    assert ledgers.breaks() == [("other accounts", KEY, "IN-2026-000001")]
    row = ledgers.books.document(ledgers.books.id_of(KEY) or 0)
    assert row is not None and f'"rate": "{tax.split(":")[3]}9"' in row["body"]


def test_a_manual_journal_is_named_with_its_control_account_and_has_to_balance(ledgers: Ledgers) -> None:
    debit, credit = Line("bank_charges", 500, 0, 500, 0), Line("receivable", 0, 500, 0, 500)
    number = ledgers.by_hand.book("DE01", date(2026, 11, 23), "EUR", "EUR", [debit, credit])
    assert ledgers.breaks() == [("on a control account", None, number)]
    unbalanced: Any = [debit]
    with pytest.raises(Refusal):
        ledgers.by_hand.book("DE01", date(2026, 11, 23), "EUR", "EUR", unbalanced)
