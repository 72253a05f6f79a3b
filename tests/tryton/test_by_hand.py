"""What an accountant does in Tryton by hand is named for what it is, and explains what it moved to the cent."""

from __future__ import annotations

from datetime import date

from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.domain.tie_out import Booked, added, compare, tie_out
from counterfoil_engine.ports import Posting
from counterfoil_sandbox.erp_journal import Line
from sandbox.erp_documents import an_order

from tryton import server as servers
from tryton.by_hand import ByHand
from tryton.orders import numbered
from tryton.test_posting import PERIOD, expected, posted

TAX = "tax:domestic:DE:19"


def test_what_is_done_by_hand_is_named_and_explained(tryton: servers.Server, erp: TrytonErp) -> None:
    tryton.let_invoices_be_cancelled()
    hand = ByHand(tryton.client(), tryton.maps["DE01"])
    before, nets = list(erp.entries("DE01", *PERIOD)), net_of(erp)
    orders = [numbered(an_order()) for _ in range(5)]
    for kind in range(len(orders[0])):
        posted(erp, [order[kind] for order in orders])
    invoices = [order[3].key for order in orders]
    hand.delete(invoices[0])
    first, second = hand.copy(invoices[1], with_key=True), hand.copy(invoices[2], with_key=False)
    anew = hand.move(invoices[3], TAX, "tax:domestic:DE:7")
    payment = orders[4][2].key
    hand.delete(payment)
    lines = [Line("suspense", 4200, 0, 4200, 0), Line("receivable", 0, 4200, 0, 4200)]
    journal = hand.book("DE01", date(2026, 11, 20), "EUR", "EUR", lines)

    ours = [as_booked(each) for order in orders for each in order]
    theirs = [each for each in erp.entries("DE01", *PERIOD) if each not in before]
    breaks = compare(ours, theirs)
    named = {(each.kind, each.number or each.key) for each in breaks}
    assert named == {
        ("missing", invoices[0]),
        ("missing", payment),
        ("doubled", first),
        ("doubled", second),
        ("other accounts", anew),
        ("on a control account", journal),
    }
    keys = {each.number: each.key for each in breaks}
    assert (keys[first], keys[anew]) == (invoices[1], invoices[3])
    moved = added([net_of(erp), {place: (-own, -book) for place, (own, book) in nets.items()}])
    ties = tie_out(added(each.net for each in ours), moved, breaks)
    assert [tie for tie in ties if any(tie.remainder)] == []


def as_booked(posting: Posting) -> Booked:
    document = posting.document
    day = date.fromisoformat(document["date"])
    amount_minor, currency = document["amount_minor"], document["currency"]
    return Booked(posting.key, "", document["kind"], amount_minor, currency, day, expected(posting))


def net_of(erp: TrytonErp) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        place: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
        for place, line in erp.balances("DE01").items()
    }
