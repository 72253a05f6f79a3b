"""Accounts that Counterfoil's invoices may name though they are none of revenue: gift cards sold, what isn't earned."""

from trytond.model import fields
from trytond.pool import PoolMeta


class Account(metaclass=PoolMeta):
    __name__ = "account.account"

    counterfoil = fields.Boolean(
        "On Counterfoil's Invoices", help="An invoice's line may name this account though it is none of revenue."
    )
