"""Which class of work comes next: drawn by weight, live first, history never starved (K8)."""

from __future__ import annotations

from collections.abc import Mapping

from counterfoil_engine.ports import WorkClass

CLASSES: tuple[WorkClass, ...] = ("live", "repair", "history")
WEIGHTS: Mapping[WorkClass, int] = {"live": 8, "repair": 3, "history": 1}


class Draw:
    """Smooth weighted turns: of 12, live has 8, repair 3 and history 1, well mixed."""

    def __init__(self, weights: Mapping[WorkClass, int] = WEIGHTS) -> None:
        self._weights = weights
        self._credit: dict[WorkClass, int] = dict.fromkeys(CLASSES, 0)

    def order(self) -> list[WorkClass]:
        """The class whose turn it is, then the others in their order: what they leave unused is used."""
        for name in CLASSES:
            self._credit[name] += self._weights[name]
        drawn = max(CLASSES, key=lambda name: (self._credit[name], -CLASSES.index(name)))
        self._credit[drawn] -= sum(self._weights.values())
        return [drawn, *(name for name in CLASSES if name != drawn)]
