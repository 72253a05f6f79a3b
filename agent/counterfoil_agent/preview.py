"""What a first push would do: told to a person, or to a rule, before anything is written. Reads only."""

from __future__ import annotations

from typing import Any

from counterfoil_agent.config import AcceptWhen
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.stock_book import StockBook

MOST_SHOWN = 20
ACCEPTED = "stock:accepted"


def preview(outbox: Outbox) -> dict[str, Any]:
    """Counts, the biggest jumps, what would go out of stock, SKUs that one side alone knows, those that are double."""
    book = StockBook(outbox)
    counts, (many, some) = book.counts(), book.not_in_feed(MOST_SHOWN)
    return {
        "accepted_at": outbox.recall(ACCEPTED),
        "is_complete": book.has_catalogue and outbox.recall("feed:complete") is not None,
        "skus": counts["goes"],
        "would_change": counts["changes"],
        "change_share": share_of(counts),
        "would_sell_out": counts["zeroing"],
        "sell_out": book.sold_out(MOST_SHOWN),
        "biggest_jumps": book.biggest_jumps(MOST_SHOWN),
        "unknown_in_shop": counts["missing"],
        "unknown_in_shop_some": book.unknown(MOST_SHOWN),
        "unknown_in_feed": many,
        "unknown_in_feed_some": some,
        "doubled": counts["doubled"],
        "doubled_some": book.doubled(MOST_SHOWN),
        "unmanaged": counts["unmanaged"],
        "excluded": counts["excluded"],
    }


def share_of(counts: dict[str, int]) -> float:
    return round(counts["changes"] / counts["goes"], 4) if counts["goes"] else 0.0


def accepts(rule: AcceptWhen | None, outbox: Outbox) -> bool:
    """Whether a rule says that so small a change needs no person."""
    return rule is not None and share_of(StockBook(outbox).counts()) <= rule.most_changes_share


def sentences(told: dict[str, Any]) -> list[str]:
    """The preview for people."""
    if not told["is_complete"]:
        return ["The shop's catalogue or the engine's numbers have not been read to their end yet; look again later."]
    lines = [
        f"{told['would_change']} of {told['skus']} SKUs would change ({told['change_share']:.1%});"
        f" {told['would_sell_out']} would go out of stock.",
        f"The shop doesn't know {told['unknown_in_shop']} SKUs of the feed, the feed {told['unknown_in_feed']} of the"
        f" shop; {told['doubled']} are double, {told['unmanaged']} not managed there, {told['excluded']} excluded.",
    ]
    lines += [f"  {each['sku']}: {_units(each['had'])} → {each['number']}" for each in told["biggest_jumps"]]
    for name, words in (
        ("sell_out", "out of stock"),
        ("unknown_in_shop_some", "unknown in the shop"),
        ("unknown_in_feed_some", "unknown in the feed"),
    ):
        if told[name]:
            lines.append(f"  {words}: {', '.join(told[name])}")
    for each in told["doubled_some"]:
        lines.append(f"  double: {each['sku']} (products {', '.join(map(str, each['stock_ids']))})")
    if told["accepted_at"]:
        lines.append(f"Accepted at {told['accepted_at']}.")
    return lines


def _units(had: float | None) -> str:
    return "none" if had is None else f"{had:g}"
