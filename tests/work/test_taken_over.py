"""Taking over from another connector: what it posted is found by how it marked it, linked, and never posted again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from builders import NOW, the_rules
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Rejected
from counterfoil_engine.records import taken_over
from counterfoil_engine.work.taken_over import TakingOver, numbers
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_by_hand import ByHand
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.erp_journal import Line
from domain.recorded import facts_by_order
from fakes.engine import World

ORDER = "44"
REFERENCES = {"sales_order": "WC-{number}", "invoice": "WC-{number}", "payment": "{transaction}"}
REFUND = ("credit_note", "refund_payment")


class Company:
    """The shop of a recorded order, refunded in part, and a sandbox ERP that somebody else posted into until then."""

    def __init__(self, world: World) -> None:
        self.world, self.books = world, Books(now=world.clock.now)
        session = in_process_session(create_erp(self.books, "token", now=world.clock.now))
        self.erp = HttpErp("http://erp", "token", session)
        self.rules = the_rules()
        self.set_references(REFERENCES)
        self.documents = dues(facts_by_order()[ORDER], self.rules, NOW).documents
        self.taking = TakingOver(world.records, taken_over, world.book, {"DE01": self.erp})

    def set_references(self, references: dict[str, str]) -> None:
        store = replace(self.rules.store("eu1"), old_references=references, switches={"erp": "on"})
        self.rules = replace(self.rules, version="v1", stores={"eu1": store})
        self.world.book = _Fixed(self.rules)
        self.taking = TakingOver(self.world.records, taken_over, self.world.book, {"DE01": self.erp})

    def one(self, kind: str) -> Document:
        return next(document for document in self.documents if document.kind == kind)

    def posted_of_old(self, kind: str, reference: str, more_minor: int = 0) -> str:
        """A document that the connector before us posted; its number."""
        amount = self.one(kind).amount_minor + more_minor
        lines = [Line("receivable", amount, 0, amount, 0), Line("revenue:goods", 0, amount, 0, amount)]
        day = self.one(kind).day
        return ByHand(self.books).book("DE01", day, "EUR", "EUR", lines, kind=kind, reference=reference)

    def all_of_old(self) -> dict[str, str]:
        number = self.one("invoice").number
        transaction = self.one("payment").body["transaction"]
        marks = {"sales_order": f"WC-{number}", "invoice": f"WC-{number}", "payment": transaction}
        return {kind: self.posted_of_old(kind, reference) for kind, reference in marks.items()}

    def comes_in(self, with_refund: bool) -> None:
        """A fact of the order; what it was before the refund was made before the start line."""
        due = [
            document if document.kind in ("customer", *REFUND) else replace(document, taken_over=True)
            for document in self.documents
            if with_refund or document.kind not in ("customer", *REFUND)
        ]
        self.world.due(ORDER, *due)
        looker = self.world.looker(numbers=lambda rules, wanted: numbers(self.erp, rules, wanted))
        poster = self.world.poster(erp=self.erp)
        self.world.run(looker, poster)
        poster.give_back()

    def kept(self) -> dict[str, str | None]:
        return {one.kind: one.number for one in self.world.intents(f"order eu1/{ORDER}") if one.kind in REFERENCES}


class _Fixed:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def current(self, tx: Any) -> Rules:
        return self._rules

    def version(self, tx: Any, version: str) -> Rules:
        return self._rules


@pytest.fixture
def company(world: World) -> Company:
    return Company(world)


def test_orders_that_another_connector_posted_are_linked_by_their_old_references_and_never_posted_again(
    company: Company,
) -> None:
    old = company.all_of_old()
    company.comes_in(with_refund=False)
    assert company.kept() == old
    assert company.books.count() == len(old)


def test_a_later_refund_refers_to_the_invoice_of_old_by_the_erps_own_number(company: Company) -> None:
    old = company.all_of_old()
    company.comes_in(with_refund=False)
    company.comes_in(with_refund=True)
    (credit_note,) = [row for row in company.books.newest(None, 100) if row["kind"] == "credit_note"]
    assert f'"taken_over": {{"{company.one("invoice").slot}": "{old["invoice"]}"}}' in credit_note["body"]
    assert [row["kind"] for row in company.books.newest(None, 100) if row["key"]].count("invoice") == 0


def test_a_refund_of_what_was_not_linked_is_refused_by_books_that_want_its_invoice(company: Company) -> None:
    company.comes_in(with_refund=False)
    company.comes_in(with_refund=True)
    assert any("No document stands in the slot" in cause for cause in company.world.open_cases())


def test_what_of_old_was_deleted_since_is_said_with_its_remedy(company: Company) -> None:
    old = company.all_of_old()
    company.comes_in(with_refund=False)
    with company.books.writing() as connection:
        connection.execute("delete from old_references")
        connection.execute("delete from journal")
        connection.execute("delete from documents where number = ?", (old["invoice"],))
    company.comes_in(with_refund=True)
    assert f"No document of old stands under the number {old['invoice']}" in " ".join(company.world.open_cases())


def test_one_that_is_there_twice_or_over_another_amount_is_not_linked_but_shown(company: Company) -> None:
    number = company.one("invoice").number
    company.posted_of_old("sales_order", f"WC-{number}")
    company.posted_of_old("sales_order", f"WC-{number}")
    company.posted_of_old("invoice", f"WC-{number}", more_minor=100)
    company.comes_in(with_refund=False)
    assert set(company.kept().values()) == {"taken over"}
    shown = company.taking.show("eu1")
    outcomes = {row["kind"]: row["outcome"] for row in shown["kinds"]}
    assert outcomes["sales_order"] == "several" and outcomes["invoice"] == "another amount"
    assert outcomes["payment"] == "not found" and shown["new"] == 0
    assert all(row["cause"] and row["remedy"] for row in shown["unlinked"])


def test_what_is_corrected_in_the_erp_is_shown_first_and_linked_after_a_yes(company: Company) -> None:
    company.comes_in(with_refund=False)
    old = company.all_of_old()
    assert company.taking.show("eu1")["new"] == 3 and set(company.kept().values()) == {"taken over"}
    assert company.taking.link("eu1")["new"] == 3 and company.kept() == old
    assert company.taking.link("eu1")["new"] == 0
    company.comes_in(with_refund=True)
    assert company.world.open_cases() == []


def test_without_references_in_the_rules_only_our_own_keys_are_looked_for(company: Company) -> None:
    company.set_references({})
    company.all_of_old()
    company.comes_in(with_refund=False)
    assert set(company.kept().values()) == {"taken over"}
    assert {row["outcome"] for row in company.taking.show("eu1")["kinds"]} == {"not found"}


def test_a_store_that_is_not_in_the_rules_is_said_so(company: Company) -> None:
    with pytest.raises(Rejected, match="There is no store nowhere in the rules"):
        company.taking.show("nowhere")


def test_what_comes_after_the_start_line_is_nothing_to_link(company: Company) -> None:
    assert company.rules.store("eu1").start_line < datetime.now(UTC)
    assert company.taking.show("eu1")["kinds"] == []
