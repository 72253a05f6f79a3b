"""How the sandbox ERP misbehaves: switches that can be turned while it runs, each for one kind of bad day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from counterfoil_sandbox.erp_journal import Refusal

# What each fault does to a call. Those of the first line hit every call, the others posts (and reads, by `fault_on`).
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "down": "answers 503 to every call and does nothing",
        "rate_limit": "answers 429 with Retry-After to every call and does nothing",
        "fail_before_commit": "answers 500, nothing is committed",
        "fail_halfway": "commits the first half of a batch, then answers 500",
        "fail_after_commit": "commits, then answers 500",
        "cut_before_commit": "closes the line without an answer, nothing is committed",
        "cut_after_commit": "commits, then closes the line without an answer",
        "cut_then_commit": "closes the line at once and commits `commit_delay_s` later",
    }
)


@dataclass(frozen=True)
class Modes:
    """The switches.

    slow_call_ms, slow_document_ms: time taken by a call, and by each document in it.
    fault: one of FAULTS, or None; fault_times: for so many calls (None: until cleared); fault_on: "post" or "all".
    retry_after_s: what 429 and 503 ask for.
    unique_keys: off, a key that stands is posted again: the ERP that can't keep keys unique.
    commit_delay_s: a post commits so long after it came, whether or not its client is still there; before, find sees
    nothing of it.
    wrong_role: {right: wrong} books a role under a wrong name, a defect planted for the comparison of books.
    """

    slow_call_ms: int = 0
    slow_document_ms: int = 0
    fault: str | None = None
    fault_times: int | None = None
    fault_on: str = "post"
    retry_after_s: int = 2
    unique_keys: bool = True
    commit_delay_s: float = 0.0
    wrong_role: Mapping[str, str] = field(default_factory=dict)

    def changed(self, values: Mapping[str, Any]) -> Modes:
        """These modes with others in part; raises Refusal where a name or a value is none of a mode."""
        unknown = sorted(str(name)[:40] for name in values if name not in _READERS)
        if unknown:
            raise _refusal(f"No mode is named {', '.join(unknown)}", f"Name some of {', '.join(_READERS)}")
        for name, value in values.items():
            if not _READERS[name](value):
                raise _refusal(f"The mode {name} can't be {str(value)[:40]!r}", _ALLOWED[name])
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        return {mode.name: getattr(self, mode.name) for mode in fields(self)}

    def commit_lag_s(self, batch_size: int) -> float:
        """What the ERP declares: how long after a call began it may still commit. 0 where it keeps keys unique."""
        if self.unique_keys:
            return 0.0
        return 1 + self.commit_delay_s + (self.slow_call_ms + self.slow_document_ms * batch_size) / 1000


def _refusal(cause: str, remedy: str) -> Refusal:
    return Refusal("contract", f"{cause}.", f"{remedy}.")


def _is_whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _are_roles(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= 20
        and all(isinstance(role, str) and 1 <= len(role) <= 200 for pair in value.items() for role in pair)
    )


_READERS: Mapping[str, Callable[[Any], bool]] = {
    "slow_call_ms": lambda value: _is_whole(value, 600_000),
    "slow_document_ms": lambda value: _is_whole(value, 600_000),
    "fault": lambda value: value is None or (isinstance(value, str) and value in FAULTS),
    "fault_times": lambda value: value is None or _is_whole(value, 1_000_000),
    "fault_on": lambda value: value in ("post", "all"),
    "retry_after_s": lambda value: _is_whole(value, 86_400),
    "unique_keys": lambda value: isinstance(value, bool),
    "commit_delay_s": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 3_600
    ),
    "wrong_role": _are_roles,
}
_ALLOWED: Mapping[str, str] = {
    "slow_call_ms": "Send whole milliseconds up to 600000",
    "slow_document_ms": "Send whole milliseconds up to 600000",
    "fault": f"Send null or one of {', '.join(FAULTS)}",
    "fault_times": "Send a number of calls, or null for until cleared",
    "fault_on": 'Send "post" or "all"',
    "retry_after_s": "Send whole seconds up to 86400",
    "unique_keys": "Send true or false",
    "commit_delay_s": "Send seconds up to 3600",
    "wrong_role": 'Send at most 20 roles, like {"revenue:goods": "revenue:services"}',
}
