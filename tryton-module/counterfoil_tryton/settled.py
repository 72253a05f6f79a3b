"""What levels out is reconciled: an order's open lines on one account that come to nothing."""

from collections import defaultdict

from trytond.pool import Pool
from trytond.transaction import without_check_access


@without_check_access
def reconcile(orders):
    """By account, party and currency; where something is left, all stays open."""
    if not orders:
        return
    Line = Pool().get("account.move.line")
    order_of = _moves(orders)
    lines = Line.search(
        [
            ("move", "in", list(order_of)),
            ("move.state", "=", "posted"),
            ("account.reconcile", "=", True),
            ("reconciliation", "=", None),
        ]
    )
    groups = defaultdict(list)
    for line in lines:
        groups[order_of[line.move.id], line.account, line.party, line.second_currency].append(line)
    level = [group for group in groups.values() if not any(map(sum, zip(*map(_amounts, group), strict=True)))]
    if level:
        Line.reconcile(*level)


def _amounts(line):
    return line.debit - line.credit, line.amount_second_currency or 0


def _moves(orders):
    """The orders' moves, and whose each is."""
    Document, Invoice = Pool().get("counterfoil.document"), Pool().get("account.invoice")
    moves, invoices = {}, {}
    for document in Document.search([("about", "in", list(orders))]):
        model, _, record = str(document.record or "").partition(",")
        if model == "account.move":
            moves[int(record)] = document.about
        elif model == "account.invoice":
            invoices[int(record)] = document.about
    for invoice in Invoice.browse(list(invoices)):
        if invoice.move:
            moves[invoice.move.id] = invoices[invoice.id]
    return moves
