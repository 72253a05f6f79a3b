"""The penny proof: named equations, left = right, that say an order is whole (domain.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil_engine.domain.credit import Credit
from counterfoil_engine.domain.documents import Document, Proof
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.life import Claim
from counterfoil_engine.domain.money import show
from counterfoil_engine.domain.order import Order
from counterfoil_engine.domain.postings import balance
from counterfoil_engine.domain.standing import ROLES, Standing

REMEDIES = {
    "header": (
        "unbalanced",
        "Recalculate the order in the store, then save it; where it was paid like that, find out what was captured.",
    ),
    "lines_net": ("unbalanced", "Recalculate the order in the store, then save it."),
    "tax_split": ("unbalanced", "Recalculate the order's taxes in the store."),
    "captured": ("refund", "Compare the order's payments with the gateway's."),
    "refunded": ("refund", "Compare the refund's lines and amount in the store; delete it and write it anew."),
    "documents": ("unbalanced", "Report this order: its documents don't add up to what is kept."),
    "standing": ("unbalanced", "Report this order: its accounts don't stand where they should."),
    "journal": ("unbalanced", "Report this order: its journal doesn't balance."),
}


def equation(name: str, left_minor: int, right_minor: int, also: bool = True) -> Proof:
    return Proof(name, left_minor == right_minor and also, left_minor, right_minor)


def header_proof(order: Order, claim: Claim | None) -> Proof:
    """total = net + tax, now and when it was paid; a gift card written as a fee is still among the fees here."""
    if claim and claim.amount_minor != claim.computed_minor:
        return equation("header", claim.amount_minor, claim.computed_minor)
    return equation("header", order.total_minor, order.net_minor + order.tax_minor)


def refund_proof(order: Order, credits: Sequence[Credit]) -> Proof:
    """Credited by refund = the refund and the tender given back; and its amount is the one that the order lists.

    Every version of a refund that came counts, should there be two.
    """
    listed = dict(order.refund_totals)
    for refund in (*order.refunds, *(credit.refund for credit in credits)):
        if listed.get(refund.id, refund.amount_minor) != refund.amount_minor:
            return equation("refunded", refund.amount_minor, listed[refund.id])
    for credit in credits:
        refund = credit.refund
        if credit.gross_minor != refund.amount_minor + credit.tender_minor:
            return equation("refunded", credit.gross_minor, refund.amount_minor + credit.tender_minor)
    return equation(
        "refunded",
        sum(credit.gross_minor for credit in credits),
        sum(credit.refund.amount_minor + credit.tender_minor for credit in credits),
    )


def document_proofs(
    documents: Sequence[Document], standing: Standing, captured_minor: int, is_levelled: bool, is_whole: bool
) -> list[Proof]:
    """The proofs over what is due: payments, invoices against what is kept, levels, and the journal's balance.

    is_levelled: False while a payment waits for proof, since nothing is applied without it. is_whole: the last part is
    invoiced; before it no more is invoiced than is kept.
    """
    paid = sum(
        document.amount_minor
        for document in documents
        if document.kind == "payment" and document.body["to"] == "deposits"
    )
    sides = [
        (line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor)
        for document in documents
        for line in document.journal
    ]
    debits, credits, book_debits, book_credits = (sum(side) for side in zip(*sides, strict=True)) if sides else (0,) * 4
    levels = standing.levels()
    booked = {role: -balance(documents, role)[0] for role in ROLES}
    return [
        equation("captured", paid, captured_minor),
        equation("documents", standing.invoiced_minor, standing.kept_minor)
        if is_whole
        else Proof(
            "documents",
            standing.invoiced_minor <= standing.kept_minor,
            standing.invoiced_minor,
            standing.kept_minor,
        ),
        *(
            [equation("standing", sum(map(abs, booked.values())), sum(map(abs, levels.values())), booked == levels)]
            if is_levelled
            else []
        ),
        equation("journal", debits, credits, book_debits == book_credits),
    ]


def require(proof: Proof, order: Order) -> None:
    """Park where a proof is false, with both figures."""
    if proof.ok:
        return
    category, remedy = REMEDIES[proof.name]
    left, right = show(proof.left_minor, order.currency), show(proof.right_minor, order.currency)
    raise Parked(
        f"The proof `{proof.name}` fails: {left} against {right}.",
        remedy,
        category,  # type: ignore[arg-type]
        money_minor=abs(proof.left_minor - proof.right_minor),
        currency=order.currency,
    )
