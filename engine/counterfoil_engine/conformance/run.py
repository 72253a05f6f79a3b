"""Running the checks, one after the other: none stops another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from counterfoil_engine.conformance.check import Check, Result, State
from counterfoil_engine.conformance.trial import Broken, NotPromised, NotTried, Trial
from counterfoil_engine.domain.errors import CounterfoilError


def conform(trial: Trial, checks: Sequence[Check]) -> Iterator[Result]:
    """What came of each check, as it ends."""
    cannot: Mapping[str, str] = getattr(trial.erp, "not_promised", {})
    for check in checks:
        began = trial.monotonic()
        state, came = _tried(trial, check, cannot)
        yield Result(check, state, came, trial.monotonic() - began)


def _tried(trial: Trial, check: Check, cannot: Mapping[str, str]) -> tuple[State, str]:
    if check.promise in cannot:
        return "not promised", cannot[str(check.promise)]
    try:
        return "passed", check.run(trial) or "As expected."
    except NotPromised as no:
        return "not promised", no.why
    except NotTried as no:
        return "not tried", no.needed
    except Broken as broken:
        return "failed", broken.came
    except CounterfoilError as error:
        return "failed", f"A call raised {type(error).__name__}: {error.cause} {error.remedy}"
    except Exception as error:  # an adapter maps every foreign error: one that it missed is its fault
        return "failed", f"The adapter raised {type(error).__name__}, which is none of the port's errors."


def verdict(results: Sequence[Result]) -> tuple[int, int]:
    """How many were passed, of how many that count."""
    counting = [result for result in results if result.counts]
    return sum(result.state == "passed" for result in counting), len(counting)
