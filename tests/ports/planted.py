"""A sandbox ERP in this process that is set up for trials, and in which something may be broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.cli.erp_trial import INBOUND, NOWHERE, ON_SHELF
from counterfoil_engine.conformance.company import Company
from counterfoil_engine.conformance.refusals import WRONG_TOKEN
from counterfoil_engine.conformance.trial import Levers, Trial
from counterfoil_engine.ports import Posting
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from fakes.clock import FakeClock

TOKEN = "t"


class Planted:
    """The ERP and the port to it, on a clock of its own. erp: may be wrapped by what is broken in it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sandbox = create_erp(Books(now=self.clock.now), TOKEN, now=self.clock.now, sleep=self.clock.sleep)
        self.erp: Any = self.connect()
        self.company = replace(Company(), closed_day=date(2020, 1, 15), stock=({**ON_SHELF, "inbound": INBOUND},))
        books = self.sandbox.books
        books.set_items([self.company.item], accept_all=False)
        books.set_accounts(self.company.roles())
        books.close_period(self.company.entity, date(2020, 1, 1), date(2020, 1, 31))
        books.set_rate("USD", "EUR", date(2020, 1, 1), "1.0837")
        self.sandbox.stock.put(self.company.stock)

    def connect(self, token: str = TOKEN) -> HttpErp:
        return HttpErp("http://erp", token, in_process_session(self.sandbox, self.clock.now))

    def trial(self, run: str) -> Trial:
        levers = Levers(lambda *told: self.die(*told), lambda: self.astray(), lambda: self.stranger())
        return Trial(self.erp, self.company, run, self.clock, levers, lambda: self.clock.now().timestamp())

    def astray(self) -> Any:
        return HttpErp(NOWHERE, TOKEN)

    def stranger(self) -> Any:
        return self.connect(WRONG_TOKEN)

    def die(self, postings: Sequence[Posting], after_s: float) -> None:
        """The caller is gone: what it posted is committed, or not."""
        fault = "cut_before_commit" if after_s == 0 else "cut_after_commit"
        self.sandbox.change_modes({"fault": fault, "fault_times": 1})
        self.connect().post(postings)
