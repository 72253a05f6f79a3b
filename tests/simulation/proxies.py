"""What may stand before the ERP and meet the calls to it: each kind makes a function that is asked about each call, and
answers with the status that rejects it, or None."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.gates import Defect

if TYPE_CHECKING:
    from simulation.storm import Simulation


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


def _reject_what_was_done(simulation: Simulation, request: Any) -> int | None:
    """The ERP does what a call asks, and the answer is taken offence at."""
    if not _is_post(request):
        return None
    simulation.world.erp_adapter.send(request)
    return 406


def _raise(request: Any) -> None:
    raise Defect


KINDS: dict[str, Any] = {
    "no large call passes": _too_large,
    "no call with one kind of document passes": _one_kind,
    "what was done is rejected on its way back": lambda *of: _for_some_calls(
        *of, lambda one: _reject_what_was_done(of[0], one)
    ),
    "calls but posts find nothing": lambda *of: _for_some_calls(*of, lambda one: None if _is_post(one) else 404),
    "the adapter raises something foreign": lambda *of: _for_some_calls(*of, _raise),
}
