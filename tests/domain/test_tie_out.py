"""The ERP's documents and ledger against ours: each break is named for what it is, and explains what it moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from counterfoil_engine.domain.tie_out import Booked, Net, added, compare, tie_out
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 11, 23)
SALE: Net = {
    ("receivable", "EUR"): (1190, 1190),
    ("revenue:goods", "EUR"): (-1000, -1000),
    ("tax:domestic:DE:19", "EUR"): (-190, -190),
}


def an_invoice(order: str = "1001", number: str = "IN-1", net: Net = SALE) -> Booked:
    return Booked(f"eu1/{order}/invoice/acceptance/r1", number, "invoice", 1190, "EUR", DAY, net, f"order eu1/{order}")


def by_hand(number: str, net: Net, kind: str = "journal", amount_minor: int = 500) -> Booked:
    return Booked(None, number, kind, amount_minor, "EUR", DAY, net)


def causes(ours: list[Booked], theirs: list[Booked]) -> list[tuple[str, str]]:
    return [(each.kind, each.cause) for each in compare(ours, theirs)]


def test_two_ledgers_that_agree_have_no_break_and_no_remainder() -> None:
    assert compare([an_invoice()], [replace(an_invoice(), about="")]) == []
    assert {tie.remainder for tie in tie_out(SALE, SALE, [])} == {(0, 0)}


def test_a_document_that_was_deleted_in_the_erp_is_missing_and_explains_its_roles() -> None:
    (gone,) = compare([an_invoice()], [])
    assert (gone.kind, gone.about, gone.amount_minor) == ("missing", "order eu1/1001", -1190)
    assert "Invoice IN-1 of 11.90 EUR was posted as eu1/1001/invoice/acceptance/r1" in gone.cause
    ties = {tie.role: tie for tie in tie_out(SALE, {}, [gone])}
    assert ties["receivable"].difference == (-1190, -1190)
    assert {tie.remainder for tie in ties.values()} == {(0, 0)}


def test_of_two_documents_of_one_key_the_later_one_is_the_double() -> None:
    theirs = [an_invoice(number="IN-7"), an_invoice()]
    (double,) = compare([an_invoice()], theirs)
    assert (double.kind, double.number, double.effect) == ("doubled", "IN-7", SALE)


def test_a_copy_without_a_key_is_the_double_of_the_document_that_it_is_like() -> None:
    other = an_invoice(
        "1002", "IN-2", {("receivable", "EUR"): (1190, 1190), ("revenue:services", "EUR"): (-1190, -1190)}
    )
    (double,) = compare([an_invoice(), other], [an_invoice(), other, copy()])
    assert (double.kind, double.key, double.number) == ("doubled", "eu1/1001/invoice/acceptance/r1", "IN-9")
    assert "was made by hand" in double.cause


def copy() -> Booked:
    return replace(an_invoice(), key=None, number="IN-9", about="")


def test_a_document_that_was_changed_in_the_erp_has_another_amount() -> None:
    dearer = added([SALE, {("receivable", "EUR"): (10, 10), ("revenue:goods", "EUR"): (-10, -10)}])
    changed = replace(an_invoice(net=dearer), amount_minor=1200)
    (other,) = compare([an_invoice()], [changed])
    assert (other.kind, other.amount_minor) == ("other amount", 10)
    assert other.effect == {("receivable", "EUR"): (10, 10), ("revenue:goods", "EUR"): (-10, -10)}


def test_a_wrong_tax_code_is_named_as_tax_on_another_account() -> None:
    wrong = {("tax:domestic:DE:16" if role.startswith("tax") else role, "EUR"): net for (role, _), net in SALE.items()}
    (other,) = compare([an_invoice()], [an_invoice(net=wrong)])
    assert other.kind == "other accounts"
    assert "has the tax on tax:domestic:DE:16 in the ERP where tax:domestic:DE:19 is right" in other.cause


def test_what_was_booked_by_hand_names_the_control_accounts_that_it_moved() -> None:
    on_control = by_hand("JO-1", {("receivable", "EUR"): (-500, -500), ("bank_charges", "EUR"): (500, 500)})
    own = by_hand("JO-2", {("rent", "EUR"): (500, 500), ("bank", "EUR"): (-500, -500)})
    assert causes([], [on_control, own]) == [
        (
            "on a control account",
            "Journal JO-1 of 5.00 EUR was booked by hand in the ERP on the control account receivable.",
        ),
        ("foreign", "Journal JO-2 of 5.00 EUR was booked by hand in the ERP."),
    ]


def test_a_document_that_moves_nothing_is_nobodys_double() -> None:
    order = Booked("eu1/1/sales_order/order/r1", "SO-1", "sales_order", 1190, "EUR", DAY)
    (found,) = compare([order], [order, replace(order, key="by hand", number="SO-9")])
    assert (found.kind, found.number) == ("foreign", "SO-9")


NETS = st.dictionaries(
    st.tuples(st.sampled_from(["receivable", "deposits", "tax:a:DE:19", "rent"]), st.sampled_from(["EUR", "USD"])),
    st.tuples(st.integers(-999, 999), st.integers(-999, 999)),
    max_size=4,
)
ENTRIES = st.lists(
    st.builds(
        Booked,
        st.sampled_from([None, "a", "b", "c", "d"]),
        st.from_regex(r"N[0-9]{1,4}", fullmatch=True),
        st.sampled_from(["invoice", "payment"]),
        st.integers(-99, 99),
        st.just("EUR"),
        st.just(DAY),
        NETS,
    ),
    max_size=8,
)


@given(ENTRIES, ENTRIES)
def test_whatever_differs_document_by_document_explains_the_ledgers_to_the_last_minor_unit(
    ours: list[Booked], theirs: list[Booked]
) -> None:
    posted = list({entry.key: entry for entry in ours if entry.key}.values())
    breaks = compare(posted, theirs)
    ties = tie_out(added(e.net for e in posted), added(e.net for e in theirs), breaks)
    assert {tie.remainder for tie in ties} <= {(0, 0)}
