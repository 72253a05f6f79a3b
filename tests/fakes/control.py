"""The use cases of who may command, over a real database; tokens are counted instead of drawn."""

from __future__ import annotations

import itertools

from counterfoil_engine.api.control import Control
from counterfoil_engine.api.finance import Finances
from counterfoil_engine.api.lookup import Lookup
from counterfoil_engine.domain.settlement import refund_watch
from counterfoil_engine.records import (
    breakers,
    clearing_day,
    close,
    finance,
    holds,
    party_facts,
    payouts,
    postings,
    search,
    sign_ins,
)
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.facts import facts_of_group
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.audit_log import AuditLog
from counterfoil_engine.work.clearing_day import ClearingDay, WithoutOrder
from counterfoil_engine.work.close import Close, UnlockPeriod
from counterfoil_engine.work.evidence import Evidence
from counterfoil_engine.work.finance import Finance
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.parties import Parties
from counterfoil_engine.work.passwords import Scrypt
from counterfoil_engine.work.payouts import ChooseReport, MatchLine, Payouts
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.search import Search
from counterfoil_engine.work.sign_in import SignIn
from counterfoil_engine.work.users import Users


def a_control(database: Database) -> Control:
    records = records_over(database)
    book = Book(parse_rules)
    eyes = FourEyes(records, book, [UnlockPeriod(records)])
    its_close = Close(records, close, book)
    evidence = Evidence(records, close, book, its_close)
    return Control(the_users(database), AuditLog(records), eyes, its_close, evidence, the_sign_in(database))


def the_finances(database: Database) -> Finances:
    """Payouts and clearing over a real database, whose orders owe nothing."""
    records, book = records_over(database), Book(parse_rules)
    eyes = FourEyes(records, book, [MatchLine(records, payouts, postings, book), ChooseReport(records, payouts)])
    unknown = WithoutOrder(clearing_day, payouts)
    asked = Finance(records, finance, book, refund_watch.dues, facts_of_group, unknown)
    days = ClearingDay(records, clearing_day, unknown, book)
    return Finances(Payouts(records, payouts, book, party_facts), asked, days, eyes)


def a_lookup(database: Database) -> Lookup:
    records = records_over(database)
    return Lookup(Search(records, search), Parties(records, holds, breakers, [("erp", "DE01")]))


def the_sign_in(database: Database) -> SignIn:
    """Passwords that are quick to try, as no real one is; secrets are counted."""
    numbers = itertools.count(1)
    quick = Scrypt(n=2, p=1)
    return SignIn(records_over(database), sign_ins, lambda: f"secret-{next(numbers)}", lambda: b"0" * 16, quick)


def the_users(database: Database) -> Users:
    numbers = itertools.count(1)

    def new_token() -> tuple[str, str]:
        number = next(numbers)
        return f"{number:016x}", f"secret-of-token-{number}".ljust(43, "x")

    return Users(records_over(database), new_token)
