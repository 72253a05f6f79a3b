"""The agent's figures for Prometheus, made of what `status` tells, in its text format.

`counterfoil-agent metrics` writes them for node_exporter's textfile collector (or any scraper that runs a command): a
process of its own that reads the outbox and ends, so that the agent at work holds neither a library nor a listener for
it. The engine's collector tells most of it too, out of heartbeats; here it is told where the engine can't be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# name, what it says, how it is found in the status
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("depth_events", "Events that wait to be stored by the engine.", "depth_events"),
    ("oldest_event_seconds", "Age of the oldest of them.", "oldest_age_s"),
    ("orders_to_read", "Orders that are marked to be read.", "orders_to_read"),
    ("missing_orders", "Orders that seem gone and are looked for.", "missing_orders"),
    ("held_deletions", "Deletions that wait for a person.", "held_deletions"),
    ("tombstones_a_day", "Events that couldn't be sent within a day.", "tombstones_a_day"),
    ("outbox_bytes", "Size of the outbox.", "outbox_bytes"),
    ("disk_free_bytes", "Free on its disk.", "disk_free_bytes"),
    ("at_work", "1: an agent is at work with this outbox.", "at_work"),
)


def text(told: Mapping[str, Any]) -> str:
    """told: as `status.status` tells it."""
    return "".join(_lines(told))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    store = str(told["store"])  # letters, digits, dots and dashes: nothing that has to be escaped
    values = [(name, says, float(told[found] or 0)) for name, says, found in _FIGURES]
    values.append(("alarms", "Sentences that ask for a person.", float(len(told["alarms"]))))
    for name, says, value in values:
        full = f"counterfoil_agent_{name}"
        yield f'# HELP {full} {says}\n# TYPE {full} gauge\n{full}{{store="{store}"}} {value:g}\n'
