"""Invoices to the cent in both currencies: what the company's currency gets is told, and never converted anew."""

from trytond.model import fields
from trytond.pool import Pool, PoolMeta

_TOLD = "Debit less Credit, in the Company's Currency"


class Invoice(metaclass=PoolMeta):
    __name__ = "account.invoice"

    counterfoil_amount = fields.Numeric(_TOLD, help="Of the total; posting keeps to it exactly.")

    def get_move(self):
        """As Tryton's, but for an invoice whose amounts are told: those are booked, whatever a rate would make of
        them. If they don't add up, posting refuses the move."""
        if self.move or self.counterfoil_amount is None:
            return super().get_move()
        Move, Period = Pool().get("account.move"), Pool().get("account.period")
        date = self.accounting_date or self.invoice_date
        lines = [self._told_line(each, each.account, -each.amount) for each in self.line_lines]
        for tax in self.taxes:
            if tax.amount or tax.counterfoil_amount:
                line = self._told_line(tax, tax.account, -tax.amount)
                line.tax_lines = _tax_lines(tax)
                lines.append(line)
        lines.append(self._told_line(self, self.account, self.total_amount))
        return Move(
            journal=self.journal,
            period=Period.find(self.company, date=date),
            date=date,
            origin=self,
            company=self.company,
            lines=lines,
        )

    def _told_line(self, told, account, amount):
        """told: the record that says the amount in the company's currency; amount: the same in the invoice's own."""
        Line = Pool().get("account.move.line")
        booked = told.counterfoil_amount
        line = Line(account=account, debit=max(booked, 0), credit=max(-booked, 0), description=self.description)
        if self.currency != self.company.currency:
            line.second_currency, line.amount_second_currency = self.currency, amount
        if account.party_required:
            line.party = self.party
        if told is self:
            line.maturity_date = self.payment_term_date or self.accounting_date or self.invoice_date
        else:
            line.origin = told
        return line


class InvoiceLine(metaclass=PoolMeta):
    __name__ = "account.invoice.line"

    counterfoil_amount = fields.Numeric(_TOLD)

    @classmethod
    def _account_domain(cls, type_):
        domain = super()._account_domain(type_)
        return [*domain, ("counterfoil", "=", True)] if type_ == "out" else domain


class InvoiceTax(metaclass=PoolMeta):
    __name__ = "account.invoice.tax"

    counterfoil_amount = fields.Numeric(_TOLD)


def _tax_lines(tax):
    """What a tax report adds up, in the company's currency; the base is in proportion."""
    if not tax.tax:
        return []
    TaxLine = Pool().get("account.tax.line")
    booked = -tax.counterfoil_amount
    company_currency = tax.invoice.company.currency
    base = company_currency.round(tax.base * booked / tax.amount) if tax.amount else tax.base
    return [TaxLine(type="tax", tax=tax.tax, amount=booked), TaxLine(type="base", tax=tax.tax, amount=base)]
