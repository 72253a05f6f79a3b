"""`make demo-tryton`: a fresh Tryton, set up by script; the recorded orders posted into it, and both books compared."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from counterfoil_engine.adapters.erp.tryton.setup import Needs
from counterfoil_engine.domain.money import show
from counterfoil_engine.rehearsal.chain import Chain
from counterfoil_engine.rehearsal.exports import read_exports
from counterfoil_engine.rehearsal.run import carry, rehearse
from counterfoil_engine.work.rules_file import parse_rules
from loguru import logger

from tryton import server as servers

RECORDED = servers.ROOT / "engine" / "counterfoil_sandbox" / "recorded"
STORE = "demo"
DATABASE = f"{servers.PREFIX}demo"


def main() -> int:
    if reason := servers.missing():
        print(reason, file=sys.stderr)
        return 2
    logger.remove()
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    rules_text = rehearse([RECORDED], STORE).rules_text
    histories = read_exports([RECORDED]).histories()
    currencies = {entity.id: entity.book_currency for entity in parse_rules(rules_text).entities.values()}
    with tempfile.TemporaryDirectory(prefix="counterfoil-demo-") as folder:
        sandbox = Chain(Path(folder) / "sandbox", STORE, rules_text, datetime.now(UTC))
        carry(sandbox, histories)
        needs, years = _needs(sandbox, currencies), _years(sandbox)
        sandbox.close()
        say(f"{len(histories)} recorded orders read; Tryton is set up for {', '.join(sorted(currencies))}")
        try:
            servers.make(DATABASE, needs, currencies, years)
            with servers.serving(DATABASE) as server:
                say("Tryton is up")
                erps = {name: server.erp(server.map_of(name, each, ships=False)) for name, each in needs.items()}
                chain = Chain(Path(folder) / "tryton", STORE, rules_text, datetime.now(UTC), erps=erps)
                carry(chain, histories)
                say("all is posted")
                is_tied = _compared(chain, erps)
                chain.close()
        finally:
            servers.drop(DATABASE)
    say("tied out to the cent" if is_tied else "NOT tied out")
    return int(not is_tied)


def _needs(chain: Chain, currencies: dict[str, str]) -> dict[str, Needs]:
    """What these orders' documents name, as a run on the sandbox found out."""
    documents = [json.loads(row["body"]) for row in chain.books.newest(None, 10**6)]
    roles = [(entity, role) for entity, role, _ in chain.books.balances()]
    return {
        entity: Needs(
            frozenset(role for of, role in roles if of == entity),
            {line["item"]: True for each in documents for line in each.get("lines", ()) if line.get("item")},
            frozenset(),
            frozenset({each["currency"] for each in documents}),
        )
        for entity in currencies
    }


def _years(chain: Chain) -> list[int]:
    days = sorted(row["day"] for row in chain.books.newest(None, 10**6))
    return list(range(int(days[0][:4]), int(days[-1][:4]) + 2))


def _compared(chain: Chain, erps: dict[str, Any]) -> bool:
    """Print the trial balance of both books; whether they agree in every role, and no document is under way."""
    ours, theirs = chain.engine_balances(), {}
    for entity, erp in erps.items():
        for (role, currency), line in erp.balances(entity).items():
            amounts = (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
            if any(amounts):
                theirs[entity, role, currency] = amounts
    print(f"\n  {'role':<34}{'currency':<10}{'ours':>14}{'the ERP':>14}")
    for place in sorted({*ours, *theirs}):
        amounts = [side.get(place, (0, 0))[0] for side in (ours, theirs)]
        figures = "".join(f"{show(amount, place[2]).removesuffix(' ' + place[2]):>14}" for amount in amounts)
        print(f"  {place[1]:<34}{place[2]:<10}{figures}{'' if ours.get(place) == theirs.get(place) else '   DIFFERS'}")
    states = Counter(state for _, state in chain.intents())
    print(f"\n  documents: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}\n")
    return ours == theirs and set(states) == {"done"}


if __name__ == "__main__":
    sys.exit(main())
