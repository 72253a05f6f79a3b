"""Due against posted: what has to wait for what."""

from datetime import date

from counterfoil_engine.domain.difference import IntentState, Post, Reverse, difference
from counterfoil_engine.domain.documents import Document

SUBJECT, TODAY = "order eu1/1001", date(2026, 11, 24)


def a_document(slot, kind, *after):
    return Document(
        slot=slot,
        kind=kind,
        party="erp",
        entity="DE01",
        subject=SUBJECT,
        currency="EUR",
        book_currency="EUR",
        amount_minor=12556,
        day=TODAY,
        body={"invoice": "invoice/all"},
        journal=(),
        after=after,
        why="demo@1",
    )


def standing(document, key, *after):
    return IntentState(key, document.slot, document.kind, None, document.content_hash, "done", after, 12556, True)


INVOICE = a_document("invoice/all", "invoice")
FIRST = a_document("credit_note/1025", "credit_note", "invoice/all")
SECOND = a_document("credit_note/1031", "credit_note", "invoice/all")
PAYMENT = a_document("refund_payment/1031", "refund_payment")


def test_a_credit_note_waits_until_the_one_it_follows_is_off_the_invoice():
    slots = {
        "invoice/all": [standing(INVOICE, "invoice/all/r1")],
        "credit_note/1025": [standing(FIRST, "credit_note/1025/r1", "invoice/all/r1")],
    }
    steps = difference([INVOICE, SECOND, PAYMENT], slots, SUBJECT, TODAY)
    assert [step.key for step in steps if isinstance(step, Reverse)] == ["credit_note/1025/r1/reversal"]
    after = {step.key: step.after for step in steps if isinstance(step, Post)}
    assert after == {
        "credit_note/1031/r1": ("invoice/all/r1", "credit_note/1025/r1/reversal"),
        "refund_payment/1031/r1": (),
    }


def test_it_waits_as_well_when_the_reversal_is_on_its_way_already():
    reversal = IntentState(
        "credit_note/1025/r1/reversal", FIRST.slot, "credit_note", "credit_note/1025/r1", "", "sent", (), -12556, True
    )
    slots = {
        "invoice/all": [standing(INVOICE, "invoice/all/r1")],
        "credit_note/1025": [standing(FIRST, "credit_note/1025/r1", "invoice/all/r1"), reversal],
    }
    (step,) = difference([INVOICE, SECOND], slots, SUBJECT, TODAY)
    assert step.after == ("invoice/all/r1", "credit_note/1025/r1/reversal")


def test_credit_notes_that_both_stay_do_not_wait_for_each_other():
    slots = {
        "invoice/all": [standing(INVOICE, "invoice/all/r1")],
        "credit_note/1025": [standing(FIRST, "credit_note/1025/r1", "invoice/all/r1")],
    }
    (step,) = difference([INVOICE, FIRST, SECOND], slots, SUBJECT, TODAY)
    assert step.after == ("invoice/all/r1",)
