#!/usr/bin/env python3
"""Fill an empty database with a Tryton that can keep books: for the demonstration, tests and measurements.

    python fresh_database.py postgresql://user@host:5432/name --company DE01:EUR [--company US01:USD] [--without-module]

Companies with the chart of accounts that ships with Tryton, a fiscal year for each of --years, periods, sequences
without gaps, two warehouses, and a user `counterfoil` whose password TRYTON_PASSWORD holds (TRYTON_ADMIN_PASSWORD: the
administrator's). What Counterfoil itself needs, accounts by role, taxes and items, is made by `counterfoil erp setup`.
"""

import argparse
import datetime as dt
import os
import sys
import time
from decimal import Decimal
from urllib.parse import urlparse

MODULES = ["account_invoice", "sale", "stock"]
# Code, number, symbol, digits, and units for one euro where the year begins.
CURRENCIES = [
    ("EUR", "978", "€", 2, "1"),
    ("USD", "840", "$", 2, "1.25"),
    ("GBP", "826", "£", 2, "0.8612"),
    ("JPY", "392", "¥", 0, "152.35"),
    ("KWD", "414", "KD", 3, "0.3321"),
]
BEGAN = time.perf_counter()


def say(what):
    print(f"{time.perf_counter() - BEGAN:7.1f} s  {what}", file=sys.stderr, flush=True)


def make_tables(uri, modules):
    """The kernel's tables, an administrator, then the modules with all that they depend on."""
    from trytond import __series__
    from trytond.pool import Pool
    from trytond.transaction import Transaction, TransactionError

    name = urlparse(uri).path.strip("/")
    Pool.start()
    if uri.startswith("sqlite"):
        with Transaction().start(None, 0, close=True, autocommit=True) as transaction:
            transaction.database.create(transaction.connection, name)
    with Transaction().start(name, 0, close=True, autocommit=True) as transaction:
        if not transaction.database.test():
            transaction.database.init()
    pool = Pool(name)
    pool.init(update=["res", "ir"])
    extras = {}
    while True:  # a TransactionError asks for the same work again, with its locks taken first
        with Transaction().start(name, 0, **extras) as transaction:
            try:
                Lang, User, Module = pool.get("ir.lang"), pool.get("res.user"), pool.get("ir.module")
                Lang.write(Lang.search([("code", "=", "en")]), {"translatable": True})
                password = os.environ.get("TRYTON_ADMIN_PASSWORD", "tryton-admin-password")
                User.create([{"login": "admin", "name": "Administrator", "password": password, "administrator": True}])
                configuration = pool.get("ir.configuration")(1)
                configuration.series, configuration.language = __series__, "en"
                configuration.save()
                Module.update_list()
            except TransactionError as error:
                transaction.rollback()
                error.fix(extras)
                continue
        break
    pool.init(update=list(modules), lang=["en"], activatedeps=True)
    say(f"tables of {', '.join(modules)} and what they need")


def one(model, *domain):
    found = model.find(list(domain), limit=2)
    if len(found) != 1:
        raise SystemExit(f"{model.__name__} has {len(found)} of {domain}, and one is needed")
    return found[0]


class Fresh:
    """The making of companies, over Tryton's own client library."""

    def __init__(self, uri):
        from proteus import Model, Wizard, config

        self.config, self.get, self.wizard = config.set_trytond(uri), Model.get, Wizard
        self.currencies = {}

    def basics(self, years):
        Currency = self.get("currency.currency")
        for code, number, symbol, digits, rate in CURRENCIES:
            rounding = Decimal(1).scaleb(-digits)
            row = Currency(name=code, code=code, numeric_code=number, symbol=symbol, digits=digits, rounding=rounding)
            row.rates.new(date=dt.date(min(years), 1, 1), rate=Decimal(rate))
            row.save()
            self.currencies[code] = row

    def company(self, name, currency):
        Party, Company, User = self.get("party.party"), self.get("company.company"), self.get("res.user")
        party = Party(name=name)
        party.save()
        company = Company(party=party, currency=self.currencies[currency])
        company.save()
        admin = one(User, ("login", "=", "admin"))
        admin.companies.append(Company(company.id))
        admin.company = Company(company.id)
        admin.save()
        self.config._context = User.get_preferences(True, {})
        return company

    def books(self, company, years):
        """Chart of accounts, then a fiscal year with periods and sequences of its own for each year."""
        Template, Account = self.get("account.account.template"), self.get("account.account")
        data = self.get("ir.model.data")
        wizard = self.wizard("account.create_chart")
        wizard.execute("account")
        wizard.form.account_template = Template(data.get_id("account.account_template_root_en", self.config.context))
        wizard.form.company = company
        wizard.execute("create_account")

        def kind(which):
            return Account.find(
                [(f"type.{which}", "=", True), ("company", "=", company.id), ("closed", "!=", True)], limit=1
            )[0]

        wizard.form.account_receivable, wizard.form.account_payable = kind("receivable"), kind("payable")
        wizard.form.category_account_expense, wizard.form.category_account_revenue = kind("expense"), kind("revenue")
        wizard.execute("create_properties")
        for year in years:
            self._fiscal_year(company, year)

    def _fiscal_year(self, company, year):
        Sequence, Type = self.get("ir.sequence.strict"), self.get("ir.sequence.type")
        tag = company.party.name

        def strict(label, of, prefix):
            row = Sequence(
                name=f"{tag} {label} {year}",
                sequence_type=one(Type, ("name", "=", of)),
                company=company,
                prefix=f"{prefix}{year}-",
                padding=6,
            )
            row.save()
            return row

        row = self.get("account.fiscalyear")(
            name=f"{tag} {year}", start_date=dt.date(year, 1, 1), end_date=dt.date(year, 12, 31), company=company
        )
        row.move_sequence = strict("Moves", "Account Move", "M")
        (sequences,) = row.invoice_sequences
        sequences.out_invoice_sequence = strict("Invoices", "Invoice", "I")
        sequences.out_credit_note_sequence = strict("Credit notes", "Invoice", "C")
        sequences.in_invoice_sequence = strict("Supplier invoices", "Invoice", "S")
        sequences.in_credit_note_sequence = strict("Supplier credit notes", "Invoice", "T")
        row.save()
        row.click("create_period")

    def warehouses(self):
        Location = self.get("stock.location")
        first = one(Location, ("type", "=", "warehouse"))
        first.code = "MAIN"
        first.save()
        zones = {}
        for zone in ("input_location", "output_location", "storage_location"):
            zones[zone] = Location(name=f"East {zone.split('_')[0]}", type="storage")
            zones[zone].save()
        lost = one(Location, ("type", "=", "lost_found"))
        Location(name="East", code="EAST", type="warehouse", lost_found_location=lost, **zones).save()

    def user(self):
        """With the rights of the departments whose records Counterfoil makes, and no administrator's."""
        User, Group, Company = self.get("res.user"), self.get("res.group"), self.get("company.company")
        password = os.environ.get("TRYTON_PASSWORD", "counterfoil-password")
        user = User(name="Counterfoil", login="counterfoil", password=password)
        for company in Company.find([]):
            user.companies.append(Company(company.id))
        user.company = Company.find([], limit=1)[0]
        user.company_filter = "all"  # else it sees the books of its first company alone
        for group in Group.find([]):
            if group.name.startswith(("Account", "Currency", "Party", "Product", "Sale", "Stock")):
                user.groups.append(group)
        user.save()
        return sorted(group.name for group in user.groups)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri", help="of an empty database")
    parser.add_argument("--company", action="append", metavar="NAME:CURRENCY", help="Defaults to DE01:EUR")
    parser.add_argument("--years", default=str(dt.date.today().year), help="with commas. Defaults to this year")
    parser.add_argument("--without-module", action="store_true", help="leave the module counterfoil out")
    options = parser.parse_args()
    os.environ["TRYTOND_DATABASE_URI"] = options.uri
    import trytond.config

    trytond.config.set("database", "uri", options.uri)
    years = [int(year) for year in options.years.split(",")]
    make_tables(options.uri, MODULES if options.without_module else [*MODULES, "counterfoil"])
    fresh = Fresh(options.uri)
    fresh.basics(years)
    for company in options.company or ["DE01:EUR"]:
        name, currency = company.split(":")
        fresh.books(fresh.company(name, currency), years)
        say(f"books of {name}")
    fresh.warehouses()
    groups = fresh.user()
    say(f"warehouses, and a user with the rights of {', '.join(groups)}")


if __name__ == "__main__":
    main()
