"""Checks: every kind of document stands in the ledger as the engine's journal has it, in every currency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from counterfoil_engine.conformance.check import Check, check
from counterfoil_engine.conformance.made_up import Paper, gross
from counterfoil_engine.conformance.story import Story, story_of
from counterfoil_engine.conformance.trial import Broken, Trial
from counterfoil_engine.domain.tie_out import Net

KINDS_TOPIC, TAX, STORIES = "Exact amounts, kind by kind", "Tax", "Order to cash"
LEDGER = "ledger"

CHANGES = {
    "customer": "Make the counterparty under the name that the document gives, and post nothing for it.",
    "sales_order": "Take the order with its lines; it moves no money.",
    "payment": "Debit the gateway's clearing account of the currency, credit deposits.",
    "tender": "Debit gift cards, credit deposits; a card given back debits refunds owed and credits gift cards.",
    "invoice": "Debit receivable with the gross amount; credit revenue by class, shipping and fees with the nets and"
    " each tax with the tax that the document says.",
    "cancellation": "Note what of the order is no longer to be delivered; it moves no money.",
    "credit_note": "Credit receivable; debit returns by class, shipping, fees or allowances, and each tax, as the"
    " document says.",
    "return": "Take the goods back into stock; it moves no money.",
    "refund_payment": "Debit refunds owed with what they carry, credit clearing with what left it; what differs in book"
    " currency is an exchange gain or loss.",
    "application": "Move between receivable, deposits and refunds owed as the moves say; what they differ by in book"
    " currency is an exchange gain or loss.",
    "transfer": "Move between the two roles that each move names.",
    "fee": "Debit gateway fees, credit clearing.",
    "payout": "Debit what is in transit from the gateway, credit clearing.",
    "dispute": "Opened: debit disputed, credit clearing. Won: the other way round.",
}


def _exact(kind: str) -> Check:
    @check(
        KINDS_TOPIC,
        kind,
        did=f"Posted one order's life in each currency; read each {kind} back from the ledger.",
        expected="Each stands once, with every role's amount as the document says, in its currency and in book"
        " currency.",
        change=CHANGES[kind],
        promise=LEDGER,
    )
    def exact(trial: Trial) -> str:
        return _in_every_currency(trial, lambda story: story.of_kind(kind), kind)

    return exact


def _in_every_currency(trial: Trial, of: Callable[[Story], Sequence[Paper]], kind: str) -> str:
    count = 0
    for currency in trial.company.currencies:
        story = story_of(trial, currency)
        if no := story.refusals(kind):
            raise Broken(f"In {currency}: {no[0]}")
        papers = of(story)
        trial.is_exact(*papers)
        count += len(papers)
    return f"{count} exact, in {', '.join(trial.company.currencies)}."


@check(
    TAX,
    "by rate, as the shop charged it",
    did="Posted an invoice of 30 lines of 3 minor units at the first rate, of which 16 bear a tax of 1 and 14 none,"
    " and of two lines at the second rate, one with a minor unit too much: neither by line nor in all is it rate"
    " times net.",
    expected="Each rate's tax account has what the document says, whatever the ERP's own calculation gives.",
    change="Take each line's taxes from the document: give the tax rows with the document, or post one tax row for"
    " each rate.",
    promise=LEDGER,
)
def tax_as_charged(trial: Trial) -> str:
    order = trial.order()
    small = [order.line(3, int(number < 16), name=f"item:{number}") for number in range(30)]
    odd = [order.line(1_000, 71, rate=1, name="item:31"), order.line(1_000, 70, rate=1, name="item:32")]
    invoice = order.invoice("1", [*small, *odd])
    trial.stands(order.customer(), order.sales_order([*small, *odd]), invoice)
    trial.is_exact(invoice)
    first, second = trial.company.tax_roles()
    moved = invoice.moved
    currency = order.currency
    return f"{-moved[first, currency][0]} on {first}, {-moved[second, currency][0]} on {second} (minor units)."


@check(
    TAX,
    "a document in two rates, in a foreign currency",
    did="Posted an invoice at two rates in each foreign currency and credited a part of it.",
    expected="What is left on each tax account is the invoice's tax less the credit note's, in both currencies.",
    change="Book each tax with the book amount that the document says (`tax_book_minor`): don't convert again.",
    promise=LEDGER,
)
def foreign_tax(trial: Trial) -> str:
    foreign = [each for each in trial.company.currencies if each != trial.company.book_currency]
    for currency in foreign:
        order = trial.order(currency)
        lines = [order.line(3_333, 634, name="item:1", quantity="3"), order.line(777, 55, rate=1, name="item:2")]
        back = [order.line(1_111, 212, name="item:1"), order.line(777, 55, rate=1, name="item:2")]
        invoice, credit = order.invoice("1", lines), order.credit_note("1", 50, back)
        trial.stands(order.customer(), order.sales_order(lines), invoice, credit)
        trial.is_exact(invoice, credit)
    return f"Exact in {', '.join(foreign) or 'none: no foreign currency is in [company]'}."


# Order to cash


@check(
    STORIES,
    "partial deliveries and their invoices",
    did="Invoiced an order in three parts as it left, three of four, then one, then the rest.",
    expected="Each invoice stands with its own part, and the three together are the order.",
    change="Let an order have several invoices, each over the lines and quantities that it names.",
    promise=LEDGER,
)
def partial_deliveries(trial: Trial) -> None:
    order = trial.order()
    parts = [
        [order.line(9_998, 1_899, quantity="3", name="item:1")],
        [order.line(3_333, 634, quantity="1", name="item:1")],
        [
            order.line(2_000, 140, rate=1, quantity="2", name="item:2"),
            order.line(495, 94, kind="shipping", name="shipping:3"),
        ],
    ]
    ordered = [order.line(13_331, 2_533, quantity="4", name="item:1"), *parts[2]]
    invoices = [order.invoice(f"ship-{number}", part) for number, part in enumerate(parts)]
    trial.stands(order.customer(), order.sales_order(ordered), *invoices)
    trial.is_exact(*invoices)
    invoiced = sum(trial.booked(invoice).amount_minor for invoice in invoices)
    if invoiced != gross(ordered):
        raise Broken(f"{invoiced} is invoiced of an order of {gross(ordered)} (minor units).")


@check(
    STORIES,
    "a deposit, then the goods",
    did="Posted a payment before its order, then order, invoice and the application of the deposit.",
    expected="The payment stands on deposits at once; after the application deposits and receivable are level.",
    change="Take payments without an order or invoice; settle them by the application, not by themselves.",
    promise=LEDGER,
)
def deposit_first(trial: Trial) -> None:
    order = trial.order()
    lines = [order.line(10_000, 1_900)]
    paid, invoice = order.payment(11_900), order.invoice("1", lines)
    applied = order.application(invoice, 11_900, "deposits", "receivable")
    before = trial.balances()
    trial.stands(order.customer(), paid)
    trial.is_exact(paid)
    trial.stands(order.sales_order(lines), invoice, applied)
    trial.is_exact(invoice, applied)
    _is_level(before, trial.balances(), ["deposits", "receivable"])


@check(
    STORIES,
    "a return, its credit note and refund",
    did="Credited one of three pieces of a paid invoice, took it back, and paid it back.",
    expected="Receivable, deposits and refunds owed are level, and returns bear what came back.",
    change="Let a credit note credit a part of an invoice, and a refund be paid without one of the ERP's own.",
    promise=LEDGER,
)
def return_and_refund(trial: Trial) -> None:
    order = trial.order()
    lines, back = [order.line(3_000, 571, quantity="3", name="item:1")], [order.line(1_000, 190, name="item:1")]
    invoice, credit = order.invoice("1", lines), order.credit_note("1", 51, back)
    before = trial.balances()
    papers = [
        order.customer(),
        order.payment(3_571),
        order.sales_order(lines),
        invoice,
        order.application(invoice, 3_571, "deposits", "receivable"),
        credit,
        order.application(credit, 1_190, "receivable", "refunds_owed"),
        order.returned(51, "1", "item:1"),
        order.refund_payment(1_190, 51),
    ]
    trial.stands(*papers)
    trial.is_exact(*papers)
    _is_level(before, trial.balances(), ["receivable", "deposits", "refunds_owed"])


def _is_level(before: Net, after: Net, roles: Sequence[str]) -> None:
    for place in after:
        if place[0] in roles and after[place] != before.get(place, (0, 0)):
            by = after[place][0] - before.get(place, (0, 0))[0]
            raise Broken(f"{place[0]} in {place[1]} has moved by {by} (minor units), and all of it is settled.")


@check(
    STORIES,
    "reversals",
    did="Reversed one document of each kind that has amounts, the last first, and posted one reversal again.",
    expected="Each reversal mirrors what was booked, to the minor unit; nothing is left; the one posted again stands"
    " once.",
    change="Book the mirror of what stands under the key that `reverses` names, whatever form it gets; once only.",
    promise=LEDGER,
)
def reversals(trial: Trial) -> str:
    order = trial.order()
    lines, back = [order.line(3_001, 571, quantity="3", name="item:1")], [order.line(1_000, 190, name="item:1")]
    invoice, credit = order.invoice("1", lines), order.credit_note("1", 52, back)
    papers = [
        order.payment(3_572),
        order.sales_order(lines),
        order.tender(500),
        invoice,
        order.application(invoice, 3_572, "deposits", "receivable"),
        credit,
        order.refund_payment(1_190, 52),
        order.fee(77),
        order.dispute(900, "opened"),
        order.payout(1_234),
    ]
    before = trial.balances()
    trial.stands(order.customer(), *papers)
    undone = [order.reversal(paper) for paper in reversed(papers)]
    trial.stands(*undone)
    trial.stands_once(*undone)
    trial.is_exact(*papers, *undone)
    after = trial.balances()
    if left := sorted(place for place in after if after[place] != before.get(place, (0, 0))):
        raise Broken(f"All was reversed, and {left[0][0]} in {left[0][1]} has moved.")
    trial.stands(undone[-1])
    trial.stands_once(undone[-1])
    return f"{len(undone)} reversed: {', '.join(paper.kind for paper in papers)}."


KINDS: tuple[str, ...] = tuple(CHANGES)
CHECKS: tuple[Check, ...] = (
    *map(_exact, KINDS),
    tax_as_charged,
    foreign_tax,
    partial_deliveries,
    deposit_first,
    return_and_refund,
    reversals,
)
