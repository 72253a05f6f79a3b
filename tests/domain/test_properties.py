"""What holds for every order that WooCommerce can compute, and for every life that it may have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from builders import NOW, balances, facts_of, sums_by_kind, the_rules
from counterfoil_engine.domain.documents import KINDS, MONEY_KINDS, Document, Dues
from counterfoil_engine.domain.dues import dues
from counterfoil_engine.domain.money import minor_units
from domain.contract import assert_the_erp_takes
from domain.strategies import Basket, Life, baskets, lives
from hypothesis import event, given

RULES = the_rules()
AT = NOW.replace(year=2027)


def due(*snapshots: Any, proven: Any = True) -> Dues:
    return dues(facts_of(*snapshots, proven=proven), RULES, AT)


def _amounts(result: Dues, kind: str) -> int:
    return sum(document.amount_minor for document in result.documents if document.kind == kind)


def _gift_cards(result: Dues, given_back: bool) -> int:
    tenders = [document.amount_minor for document in result.documents if document.kind == "tender"]
    return sum(-amount if given_back else amount for amount in tenders if (amount < 0) is given_back)


def _refunded(life: Life) -> int:
    return sum(minor_units(refund["amount"], life.basket.currency) for refund in life.refunds)


def assert_journals_balance(documents: tuple[Document, ...]) -> None:
    for document in documents:
        lines = document.journal
        assert sum(line.debit_minor - line.credit_minor for line in lines) == 0, document.slot
        assert sum(line.book_debit_minor - line.book_credit_minor for line in lines) == 0, document.slot
        for line in lines:
            assert min(line.debit_minor, line.credit_minor) == 0 == min(line.book_debit_minor, line.book_credit_minor)
            assert min(line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor) >= 0
            if line.role in ("fx_gain", "fx_loss"):
                assert line.debit_minor == line.credit_minor == 0
            assert not (line.debit_minor and line.book_credit_minor), line
            assert not (line.credit_minor and line.book_debit_minor), line


def assert_credits_stay_below_the_invoice(result: Dues) -> None:
    """By tax role: what was credited is at most what was invoiced, in both currencies."""
    left: dict[str, int] = {}
    for document in result.documents:
        for line in document.journal:
            if line.role.startswith("tax:"):
                left[line.role] = left.get(line.role, 0) + line.credit_minor - line.debit_minor
    assert all(amount >= 0 for amount in left.values()), left


def assert_sums(result: Dues, life: Life) -> None:
    """The rules over sums by kind that anybody may check from outside."""
    sums = sums_by_kind(result.documents)
    claimed = minor_units(life.basket.shop.shown(life.claimed), life.basket.currency)
    if result.reading in ("posted", "cancelled"):
        assert sum(document.kind == "sales_order" for document in result.documents) == 1
        assert sums.get("payment", 0) == claimed
    if result.reading == "posted":
        kept_back = _refunded(life) + _gift_cards(result, given_back=True)
        whole = result.total_minor + _gift_cards(result, given_back=False)
        assert sums["invoice"] - sums.get("credit_note", 0) == whole - kept_back
        kept = whole - kept_back
        tenders = _gift_cards(result, False) - _gift_cards(result, True)
        assert sums.get("refund_payment", 0) == min(_refunded(life), claimed, max(0, claimed + tenders - kept))
    elif result.reading == "cancelled":
        assert sums["invoice"] == sums.get("credit_note", 0)
        assert sums.get("refund_payment", 0) <= claimed
    elif result.reading in ("filtered", "waiting"):
        assert set(sums) <= set(MONEY_KINDS)


def assert_standing(result: Dues) -> None:
    """Receivable, deposits and refunds owed by the formula, from the documents' own amounts."""
    sums = sums_by_kind(result.documents)
    captured = sums.get("payment", 0) + _gift_cards(result, given_back=False)
    back = sums.get("refund_payment", 0) + _gift_cards(result, given_back=True)
    invoiced = sums.get("invoice", 0) - sums.get("credit_note", 0)
    kept = invoiced  # all is invoiced at acceptance
    open_minor = captured - back - invoiced
    deposits = min(max(0, open_minor), max(0, kept - invoiced))
    found = balances(result.documents)
    assert found.get("receivable", 0) == max(0, -open_minor)
    assert -found.get("deposits", 0) == deposits
    assert -found.get("refunds_owed", 0) == max(0, open_minor) - deposits
    book = balances(result.documents, book=True)
    for role in ("receivable", "deposits", "refunds_owed"):
        assert found.get(role) or not book.get(role), (role, book)


def assert_only_what_stood(result: Dues, life: Life) -> None:
    """A parked order's documents beside money are those that were due at some moment before, or none."""
    before = [due(*life.snapshots[:length]) for length in range(len(life.snapshots))]
    assert _beside_money(result) in [_beside_money(each) for each in before if not each.cases] or not _beside_money(
        result
    )


def _beside_money(result: Dues) -> dict[str, int]:
    moved = {*MONEY_KINDS, "application"}
    return {kind: amount for kind, amount in sums_by_kind(result.documents).items() if kind not in moved}


@given(baskets())
def test_an_order_as_woocommerce_computes_it_is_proven_to_the_cent(basket: Basket) -> None:
    order = basket.order()
    result = due(order)
    assert result.reading == "posted", (result.cases, order)
    assert all(proof.ok for proof in result.proofs)
    assert len(result.proofs) == 8
    assert_journals_balance(result.documents)
    found = balances(result.documents)
    tax = sum(amount for role, amount in found.items() if role.startswith("tax:"))
    tender_tax = minor_units(order["total_tax"], basket.currency) + tax
    gift_cards = [line for line in order["fee_lines"] if line["name"].startswith("Gift card")]
    assert tender_tax == sum(minor_units(t["total"], basket.currency) for line in gift_cards for t in line["taxes"])


@given(baskets())
def test_documents_come_by_day_kind_and_slot_each_in_a_slot_of_its_own(basket: Basket) -> None:
    documents = due(basket.order()).documents
    slots = [document.slot for document in documents]
    assert len(set(slots)) == len(slots)
    kinds = [KINDS.index(d.kind) for d in documents if d.kind != "application"]
    assert kinds == sorted(kinds)
    known = set(slots)
    assert all(set(document.after) <= known for document in documents)


@given(lives(tame=True))
def test_a_life_without_quarrels_never_needs_a_person(life: Life) -> None:
    result = due(*life.snapshots)
    event(result.reading)
    assert result.cases == (), life.story
    assert all(proof.ok for proof in result.proofs)
    assert_journals_balance(result.documents)
    assert_sums(result, life)
    if result.reading in ("posted", "cancelled"):
        assert_standing(result)
        assert_credits_stay_below_the_invoice(result)


@given(lives())
def test_any_life_ends_right_or_as_a_case_with_what_stood(life: Life) -> None:
    result = due(*life.snapshots)
    event(f"{result.reading} {[case.category for case in result.cases]}")
    assert result.reading in ("filtered", "waiting", "posted", "cancelled", "parked")
    assert (result.reading == "parked") is bool(result.cases)
    assert {case.category for case in result.cases} <= {"refund", "conflict"}, (life.story, result.cases)
    assert_journals_balance(result.documents)
    assert_credits_stay_below_the_invoice(result)
    assert_the_erp_takes(result)
    if result.reading == "parked":
        assert_only_what_stood(result, life)
        return
    assert all(proof.ok for proof in result.proofs)
    assert_sums(result, life)
    if result.reading in ("posted", "cancelled"):
        assert_standing(result)


@given(lives())
def test_the_same_facts_always_give_the_same_documents(life: Life) -> None:
    assert due(*life.snapshots) == due(*life.snapshots)


@given(lives())
def test_reading_a_snapshot_again_changes_nothing(life: Life) -> None:
    again = [snapshot for snapshot in life.snapshots for _ in range(2)]
    before, after = due(*life.snapshots), due(*again)
    assert before.reading == after.reading
    assert {d.slot: d.content_hash for d in before.documents} == {d.slot: d.content_hash for d in after.documents}


@given(lives())
def test_before_the_watermark_passes_no_money_is_due_that_rests_on_it(life: Life) -> None:
    result = due(*life.snapshots, proven=False)
    sums = sums_by_kind(result.documents)
    assert "payment" not in sums and "refund_payment" not in sums
    assert bool(result.waits) is bool(life.claimed) or result.reading in ("filtered", "parked")
    assert {case.category for case in result.cases} <= {"refund", "conflict"}, result.cases


@given(baskets())
def test_a_full_refund_leaves_nothing_but_sales_and_returns(basket: Basket) -> None:
    order = basket.order()
    if not Decimal(order["total"]):
        return
    from builders import a_refund, summary_of

    refund = a_refund(order["total"])
    result = due(order, ({**order, "status": "refunded", "refunds": [summary_of(refund)]}, [refund]))
    assert result.reading == "posted", result.cases
    for found in (balances(result.documents), balances(result.documents, book=True)):
        assert {role.partition(":")[0] for role in found} <= {"revenue", "returns"}
