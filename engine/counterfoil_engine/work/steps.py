"""The line of steps of an order, from the click to its close: which it has done, and where it stands.

A reading of what is due and what became of it, never a stored state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterfoil_engine.ports import Intent
from counterfoil_engine.work.hold import Considered

# Each step of the line, and the documents that say it is done.
_STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("taxed", ("tax_quote",)),
    ("secured", ("payment", "tender")),
    ("in ERP", ("sales_order",)),
    ("released", ("fulfilment",)),
    ("invoiced", ("invoice",)),
    ("cancelled", ("cancellation",)),
    ("returned", ("return",)),
    ("refunded", ("credit_note", "refund_payment")),
    ("disputed", ("dispute",)),
    ("settled", ("payout",)),
)


def line_of_steps(considered: Considered) -> list[dict[str, Any]]:
    """Each step that the order has come to or waits for: done, waits (something of it is still to be posted), or
    stopped (it was refused)."""
    facts, dues = considered.facts, considered.dues
    proven = not dues.unproven and all(proof.ok for proof in dues.proofs)
    first = [("received", "done" if facts.snapshots else "waits"), ("proven", "done" if proven else "waits")]
    steps: list[dict[str, Any]] = [{"step": name, "state": state, "documents": 0, "kinds": []} for name, state in first]
    for name, kinds in _STEPS:
        due = [document.slot for document in dues.documents if document.kind in kinds]
        there = {slot: intents for slot, intents in considered.existing.items() if _is_of(intents, kinds)}
        if due or there:
            states = [_state(there.get(slot, ())) for slot in {*due, *there}]
            worst = next(state for state in ("stopped", "waits", "done") if state in states)
            steps.append({"step": name, "state": worst, "documents": len(states), "kinds": list(kinds)})
    if dues.reading in ("closed", "cancelled"):
        steps.append({"step": dues.reading, "state": "done", "documents": 0, "kinds": []})
    return steps


def _is_of(intents: Sequence[Intent], kinds: Sequence[str]) -> bool:
    return any(intent.kind in kinds and intent.state != "withdrawn" for intent in intents)


def _state(intents: Sequence[Intent]) -> str:
    states = {intent.state for intent in intents if intent.state != "withdrawn"}
    if "refused" in states:
        return "stopped"
    return "done" if states == {"done"} else "waits"
