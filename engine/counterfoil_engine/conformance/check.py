"""What a check is, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from counterfoil_engine.conformance.trial import Trial

State = Literal["passed", "failed", "not promised", "not tried"]

Try = Callable[[Trial], str | None]
"""Tries the ERP. Returns what came as a sentence, or None where it is what was expected. Raises Broken, NotPromised or
NotTried (`trial.py`); whatever else it raises counts as failed."""


@dataclass(frozen=True)
class Check:
    """One promise of the port.

    topic: what it is about, a heading of the table. name: short, and no other's. did, expected: whole sentences.
    change: what the supplier has to change where it fails. promise: by which an adapter says that it can't keep it;
    None: it has no choice. is_required: whether it counts as not passed where that is so.
    """

    topic: str
    name: str
    did: str
    expected: str
    change: str
    run: Try
    promise: str | None = None
    is_required: bool = True


@dataclass(frozen=True)
class Result:
    """What came of a check, in words; took_s: seconds."""

    check: Check
    state: State
    came: str
    took_s: float

    @property
    def counts(self) -> bool:
        """Whether it is among the checks that have to be passed."""
        return self.state != "not promised" or self.check.is_required

    def as_json(self) -> dict[str, Any]:
        check = self.check
        told = {"topic": check.topic, "check": check.name, "state": self.state, "required": check.is_required}
        told |= {"did": check.did, "expected": check.expected, "came": self.came, "took_s": round(self.took_s, 3)}
        return told if self.state == "passed" else {**told, "change": check.change}


def check(
    topic: str, name: str, *, did: str, expected: str, change: str, promise: str | None = None, is_required: bool = True
) -> Callable[[Try], Check]:
    """Makes a check of the function that tries it."""
    return lambda run: Check(topic, name, did, expected, change, run, promise, is_required)
