"""60 orders that hold every case of the worked month, on a real Tryton: the same documents, and nothing left."""

from __future__ import annotations

from loguru import logger
from month.result import worked

from tryton import server as servers
from tryton.month import PLANTED, month_on

ORDERS = 60


def test_a_month_of_sixty_orders_ties_out_on_tryton_as_on_the_sandbox(tryton: servers.Server) -> None:
    logger.remove()
    on_tryton = month_on(tryton, 1, ORDERS, PLANTED, is_with_module=True)
    on_sandbox = worked(1, ORDERS, PLANTED, 1)
    assert on_tryton.remainder_minor == 0
    assert on_tryton.missed == on_tryton.unplanned == []
    assert on_tryton.documents == on_sandbox.documents
    assert [(entity, tie.role, tie.currency, tie.theirs) for entity, tie in on_tryton.trial] == [
        (entity, tie.role, tie.currency, tie.theirs) for entity, tie in on_sandbox.trial
    ]
    kinds = {"sales_order", "invoice", "credit_note", "payment", "tender", "refund_payment", "application", "fee"}
    assert set(on_tryton.documents) >= kinds | {"payout", "dispute", "cancellation", "return", "customer"}
