"""What stands before the ERP rejects calls, or the adapter to it fails unforeseen.

A batch that is rejected as a whole is halved until the culprit stands alone (K6); whatever an adapter raises ends no
poster, and nothing is lost or posted twice by it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.actors.defects import retry
from simulation.actors.edits import edit
from simulation.actors.shoppers import place
from simulation.gates import Defect
from simulation.orders import carried_now

if TYPE_CHECKING:
    from simulation.storm import Simulation


def rejects(simulation: Simulation, random: Random) -> str:
    """From now on, while there is something to be posted."""
    kind = random.choice(list(KINDS))
    simulation.world.before_erp = KINDS[kind](simulation, random)
    place(simulation, random)
    edit(simulation, random)
    carried_now(simulation, simulation.world.shop.order_ids()[-1])
    return kind


def _is_post(request: Any) -> bool:
    return bool(request.method == "POST" and request.path_url == "/v1/documents")


def _too_large(simulation: Simulation, random: Random) -> Callable[[Any], int | None]:
    """A proxy lets no call pass that holds more than one document."""
    return lambda request: 413 if _is_post(request) and request.body.count(b'"content_hash"') > 1 else None


def _one_kind(simulation: Simulation, random: Random) -> Callable[[Any], int | None]:
    """A firewall takes offence at one kind of document, and so at every batch that holds one."""
    kind = b'"kind": "%s"' % random.choice((b"sales_order", b"invoice", b"payment"))
    status = random.choice((400, 406, 422))
    return lambda request: status if _is_post(request) and kind in request.body else None


def _for_some_calls(simulation: Simulation, random: Random, meet: Callable[[Any], int | None]) -> Any:
    calls = [random.randint(1, 6)]

    def meets(request: Any) -> int | None:
        if simulation.calm or calls[0] <= 0:
            return None
        calls[0] -= 1
        return meet(request)

    return meets


def _raise(request: Any) -> None:
    raise Defect


KINDS: dict[str, Any] = {
    "no large call passes": _too_large,
    "no call with one kind of document passes": _one_kind,
    "calls but posts find nothing": lambda *of: _for_some_calls(*of, lambda one: None if _is_post(one) else 404),
    "the adapter raises something foreign": lambda *of: _for_some_calls(*of, _raise),
}

HAPPENINGS = {"something before the ERP": (5, rejects)}
FAULTS = tuple(HAPPENINGS)


def heal(simulation: Simulation) -> None:
    """What stood there is gone, and a person retries what was rejected."""
    simulation.world.before_erp = lambda request: None
    simulation.guarded(lambda: retry(simulation))
