"""Who acts in a simulation, and what goes wrong in it: one file each, found by being here.

A file of this folder says what may happen: HAPPENINGS = {"what happens": (how often, function)}, where the function
takes the simulation and a random of its own, and may return a detail for the trace. It may also have

    FAULTS: the names of those happenings that are faults (counted as such)
    begin(simulation)   called first
    heal(simulation)    called once the storm is over: what a person would put right
    check(simulation)   called at rest; yields a sentence for everything that is wrong
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType


@functools.cache
def actors() -> tuple[ModuleType, ...]:
    """Every actor, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)
