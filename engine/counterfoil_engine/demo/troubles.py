"""What waits for a person: a payment method that nobody mapped, stock edited by hand, a payout that doesn't match.

And what only hurts once the proof is done: an agent that is away, an ERP that is slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import requests

from counterfoil_engine.demo.baskets import SHOPPERS
from counterfoil_engine.demo.branches import AUSTIN, BERLIN, PARIS
from counterfoil_engine.demo.places import rows
from counterfoil_engine.demo.told import Story
from counterfoil_engine.demo.town import Town

METHOD, HELD = "klarna_later", 12
EDITED, BY_UNITS = "BOWL", 15
SLOW_CALL_MS = 15_000
PAYOUT = "po_1QXb27"
STRANGER = ("ch_3QX9kLnotOurs", Decimal("23.80"))
HEADER = (
    "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,automatic_payout_id,"
    "automatic_payout_effective_at_utc"
)


@dataclass(frozen=True)
class Found:
    """What the console shows of them: the number of a case, and of a difference."""

    case: int
    difference: int


def bring(town: Town, story: Story) -> Found:
    """Make them, and wait until each is found."""
    story.head("And what only a person can end")
    shop = town.shops[AUSTIN.store]
    for n in range(HELD):
        shop.sell({"MUG": 1 + n % 3, "BOWL": 1 + n % 2}, SHOPPERS[n % len(SHOPPERS)], METHOD)
    offered = town.shops[BERLIN.store].stock()[EDITED]
    town.shops[BERLIN.store].edit_stock(EDITED, offered + BY_UNITS)
    _pay_out(town)
    town.command("sweep", sweep="stock", store=BERLIN.store, dry_run=False)
    held = "select count(*) from cases where cause like ? and resolved_at is null"
    town.until(lambda: town.count(held, f"%{METHOD}%") >= HELD or None, "the orders to be held")
    story.tell(f"{HELD} orders in Austin are paid by {METHOD}, which nobody has mapped: one case, not a guess.")
    difference = town.until(lambda: _number(town, _DIFFERENCE), "a sweep to find the edited stock")
    story.tell(f"Somebody sets {EDITED} from {offered} to {offered + BY_UNITS} in Berlin's database: a sweep finds it.")
    unmatched = "select count(*) from cases where subject like 'payout%' and resolved_at is null"
    town.until(lambda: town.count(unmatched) or None, "the payout's line to be held")
    story.tell(f"Stripe pays out, and {STRANGER[1]} EUR of it belong to no order: that line is a case.")
    return Found(town.until(lambda: _number(town, _CASE), "the case"), difference)


def hurt(town: Town, story: Story) -> None:
    """From now on the town is behind."""
    town.send_away(f"agent of {PARIS.store}")
    town.places.send_away(PARIS.store)
    town.erps[AUSTIN.store].modes(slow_call_ms=SLOW_CALL_MS)
    story.tell(f"The agent in Paris goes away, and the ERP of Austin takes {SLOW_CALL_MS // 1000} s for each call.")


_CASE = f"select min(id) as number from cases where cause like '%{METHOD}%' and resolved_at is null"  # noqa: S608
_DIFFERENCE = "select max(id) as number from breaks where sweep = 'stock' and state in ('open', 'proposed')"


def _number(town: Town, query: str) -> int | None:
    row = next(rows(town.places.engine_file, query), None)
    return row["number"] if row else None


def _pay_out(town: Town) -> None:
    """Stripe's report of what Berlin took by card, and of a charge that it didn't."""
    shop = town.shops[BERLIN.store]
    orders = shop.rest.get("orders", params={"per_page": 100}).json()
    charges = [(o["transaction_id"], Decimal(o["total"])) for o in orders if o["payment_method"] == BERLIN.method]
    at, lines, paid = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", [HEADER], Decimal(0)
    for number, (charge, gross) in enumerate((*charges, STRANGER), start=1):
        fee = (gross * Decimal("0.014") + Decimal("0.25")).quantize(Decimal("0.01"))
        paid += gross - fee
        lines.append(f"txn_{number},{at},eur,{gross},{fee},{gross - fee},charge,{charge},{PAYOUT},{at}")
    lines.append(f"{PAYOUT},{at},eur,-{paid},0.00,-{paid},payout,{PAYOUT},{PAYOUT},{at}")
    url = f"{town.engine_url}/v1/payouts/stripe"
    requests.post(
        url,
        params={"name": f"{PAYOUT}.csv"},
        data="\n".join([*lines, ""]).encode(),
        headers={"Authorization": f"Bearer {town.api_token}", "Content-Type": "application/octet-stream"},
        timeout=60,
    ).raise_for_status()
