"""Cases of events that were kept and can't be used: they break their contract, or stand in for what didn't pass.

Each ends by itself with the next event of its order that can be read, by a correction of two people, or by a person who
says that nothing of it is wanted (`counterfoil cases retry`).
"""

from __future__ import annotations

from counterfoil_engine.domain.errors import Case

ORIGIN = "intake"
TOMBSTONE = "counterfoil.tombstone.v1"
MOST = 100  # open ones of a store whose order isn't known; what they lack is in status


def did_not_pass(order_id: str, reason: str) -> Case:
    """reason: the agent's, why it could not read it, or nothing on the way let it through."""
    return Case(
        "contract",
        f"What the store says of it could not be taken in: {_ended(reason)}",
        f"Mend that, then let it be read again (counterfoil-agent fetch {order_id}); where that can't be, two people"
        " say how it reads (counterfoil cases correct).",
    )


def breaks_its_contract(order_id: str, reason: str) -> Case:
    return Case(
        "contract",
        f"What came last breaks its contract, and was kept without being used: {_ended(reason)}",
        f"Correct it in the store, or update the agent, and let it be read again (counterfoil-agent fetch {order_id});"
        " where that can't be, two people say how it reads (counterfoil cases correct).",
    )


def of_no_order(reason: str) -> Case:
    return Case(
        "contract",
        f"The agent sent what can't be read, and whose order it is doesn't show: {_ended(reason)}",
        "Find it (counterfoil-agent outbox list) and update the agent; its next check of the store reads what is"
        " missing. Then say that it is over: counterfoil cases retry.",
    )


def _ended(reason: str) -> str:
    return f"{reason.rstrip('.')}."
