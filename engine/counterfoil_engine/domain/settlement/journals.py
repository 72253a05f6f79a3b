"""What a payout posts, by role: money that leaves a gateway's clearing for another account of ours.

A reserve stays the gateway's debt to us, so it is not on its way to the bank (`in_transit`), but it can't be drawn
either: it has a role of its own beside the clearing, `reserve:<gateway>:<currency>`. A change of currency goes by
`conversion:<gateway>`, which is empty again in book currency when both its sides are posted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Amounts = tuple[str, int, int]  # role, minor units and book minor units; a debit is positive, a credit negative


def payout_journal(body: Mapping[str, Any], amount_minor: int, currency: str) -> Iterator[Amounts]:
    """Debits where it goes, credits clearing; mirrored where it is negative: drawn from the bank, came back, released.

    to: `in_transit` (the default), `reserve` or `conversion`. carried_book_minor: what the clearing carried it at,
    where that isn't book_minor; the difference is a gain or a loss of exchange (IAS 21.28).
    """
    gateway, book = body["gateway"], body["book_minor"]
    carried = body.get("carried_book_minor", book)
    roles = {
        "in_transit": f"in_transit:{gateway}",
        "reserve": f"reserve:{gateway}:{currency}",
        "conversion": f"conversion:{gateway}",
    }
    yield roles[body.get("to", "in_transit")], amount_minor, book
    yield f"clearing:{gateway}:{currency}", -amount_minor, -carried
    if carried != book:
        yield "fx_loss" if carried > book else "fx_gain", 0, carried - book
