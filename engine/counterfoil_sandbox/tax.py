"""The sandbox tax service: quotes by a table of rates, one for each country, and files what it is told to.

python -m counterfoil_sandbox.tax --mode off_minor=1     quotes a cent too much
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from counterfoil_sandbox import party
from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.party_store import PartyModes, PartyStore, Taken

RATES = {"AT": "20", "BE": "21", "DE": "19", "ES": "21", "FR": "20", "IT": "22", "NL": "21", "PL": "23"}


@dataclass(frozen=True)
class TaxModes(PartyModes):
    """off_minor: each quote with tax is so much too high. silent: it takes a quote and never answers."""

    off_minor: int = 0
    silent: bool = False


@dataclass(eq=False)
class TaxService(PartyStore):
    modes: PartyModes = field(default_factory=TaxModes)
    kinds: frozenset[str] = frozenset({"tax_quote", "tax_commit"})

    def take(self, taken: Taken) -> None:
        if self._modes.silent:
            return
        if taken.document["kind"] == "tax_commit":
            self.say("tax_committed", taken.order, taken.at, of=taken.key)
            return
        country = taken.document["ship_to_country"] or ""
        rate, net_minor = self.rate_of(country), sum(line["net_minor"] for line in taken.document["lines"])
        tax_minor, rates = 0, []
        if rate is not None:
            exact = Decimal(net_minor) * Decimal(rate) / 100
            tax_minor = int(exact.to_integral_value(ROUND_HALF_UP)) + self._modes.off_minor
            rates = [{"jurisdiction": country, "rate": rate, "tax_minor": tax_minor}]
        told = {"tax_minor": tax_minor, "currency": taken.document["currency"], "rates": rates}
        self.say("tax_quoted", taken.order, taken.at, of=taken.key, **told)

    def undo(self, taken: Taken) -> None:
        """A quote that is no longer due, or a commit taken back: nothing is left to say of it."""

    def rate_of(self, country: str) -> str | None:
        """In percent; None: no tax is due there."""
        changed = self.thing("rate", country)
        return changed["rate"] if changed else RATES.get(country)

    def on_rate(self, country: str, rate: str | None) -> str:
        """From now on this rate in percent, or none."""
        try:
            is_rate = rate is None or 0 <= Decimal(rate) < 100
        except (ArithmeticError, TypeError):
            is_rate = False
        if not is_rate or len(country) != 2:
            raise Refusal("contract", "The rate is no number of percent, or the country none.", 'Send "DE" and "19".')
        self.keep("rate", country, {"rate": rate})
        return country

    @property
    def _modes(self) -> TaxModes:
        assert isinstance(self.modes, TaxModes)
        return self.modes


def main(arguments: list[str] | None = None) -> int:
    return party.main("tax service", TaxService, "tax", "taxes", "127.0.0.1:8073", arguments)


if __name__ == "__main__":
    sys.exit(main())
