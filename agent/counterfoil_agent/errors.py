"""Every way in which the agent can fail to go on, said with its cause and its remedy.

CounterfoilError
 ├─ Stop               the agent can't run at all: configuration, a damaged outbox, a second agent
 ├─ Denied             a person helps: a wrong key, a missing permission; asked again, slowly
 ├─ Retry              time helps: nothing was done that can't be done again
 │   ├─ Unavailable        not reached, or broken over there
 │   └─ RateLimited        a pause of `retry_after_s` is asked for
 ├─ CannotPass         what was sent can't pass as it is: halve it, send it alone, wrap it, at last a tombstone
 │   ├─ TooLarge           413
 │   └─ Blocked            a firewall's answer, or the engine can't read it
 ├─ NotThere           the store has no plugin (any more): what it did is done over REST
 ├─ OtherEpoch         the engine counts in another epoch: say hello again
 └─ Unreadable         the store's answer for one object is no JSON that can be sent on
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class CounterfoilError(Exception):
    """The base of all errors that a person may see: cause and remedy, in whole sentences."""

    cause: str
    remedy: str
    category: str = "data"

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}"


@dataclass
class Stop(CounterfoilError):
    """The agent can't run until a person has helped."""


@dataclass
class Denied(CounterfoilError):
    """The other side knows the agent and says no; slug names the reason where the engine gave one."""

    category: str = "permission"
    slug: str = ""


@dataclass
class Retry(CounterfoilError):
    """Time helps; nothing was done that could not be done again."""

    category: str = "outage"
    retry_after_s: float | None = None


@dataclass
class Unavailable(Retry):
    """The party can't be reached, or is broken; status is its answer's, None where there was none."""

    status: int | None = None


@dataclass
class RateLimited(Retry):
    """The party asks for a pause of retry_after_s seconds."""

    category: str = "rate_limit"


@dataclass
class CannotPass(CounterfoilError):
    """The same bytes would be refused again, by the engine or by what stands before it."""

    category: str = "contract"


@dataclass
class TooLarge(CannotPass):
    """Larger than the engine, or a proxy before it, takes."""


@dataclass
class Blocked(CannotPass):
    """Refused for what is in it."""


@dataclass
class NotThere(CounterfoilError):
    """The store answers, and doesn't know the plugin's routes."""

    category: str = "not_found"


@dataclass
class OtherEpoch(CounterfoilError):
    """The engine counts this store in another epoch."""

    category: str = "conflict"


@dataclass
class Unreadable(CounterfoilError):
    """The store answered for an object with what can't be sent on; hash and size are of what it said."""

    category: str = "contract"
    hash: str = ""
    size_bytes: int = 0
