"""WMS that keep the ports' promises: the sandbox over real HTTP, the sandbox in process, and the fake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from counterfoil_engine.adapters.party.http import HttpParty
from counterfoil_engine.ports import Clock
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.party import PartyService
from counterfoil_sandbox.wms import Wms
from fakes.clock import FakeClock
from fakes.party import FakeParty
from fakes.party_facts import shipment
from sandbox.party_documents import a_fulfilment

TOKEN = "t"


class OtherParty(Protocol):
    """A WMS under test, what goes wrong with it, and the time it lives in."""

    port: Any  # ports.PostingParty and ports.PartyFacts
    clock: Clock

    def lose_answer(self) -> None: ...
    def lose_call(self) -> None: ...
    def commit_late(self, delay_s: float) -> None: ...
    def go_down(self) -> None: ...
    def come_back(self) -> None: ...
    def ask_for_pause(self) -> None: ...

    def ship(self, times: int) -> None:
        """So many shipments leave."""

    def give_pages_of(self, facts: int, overlap: int) -> None: ...


@dataclass
class SandboxWms:
    """The sandbox WMS behind the HTTP adapter."""

    service: PartyService
    port: HttpParty
    clock: Clock

    def __post_init__(self) -> None:
        self.service.party.post([a_fulfilment("1000", revision=99)])

    def lose_answer(self) -> None:
        self.service.change_modes({"fault": "cut_after_commit", "fault_times": 1})

    def lose_call(self) -> None:
        self.service.change_modes({"fault": "cut_before_commit", "fault_times": 1})

    def commit_late(self, delay_s: float) -> None:
        self.service.change_modes({"fault": "cut_then_commit", "fault_times": 1, "commit_delay_s": delay_s})

    def go_down(self) -> None:
        self.service.change_modes({"fault": "down"})

    def come_back(self) -> None:
        self.service.change_modes({"fault": None})

    def ask_for_pause(self) -> None:
        self.service.change_modes({"fault": "rate_limit", "retry_after_s": 30})

    def ship(self, times: int) -> None:
        party = self.service.party
        if not party.told():
            party.command("release", store="eu1", order="1001")
        for _ in range(times):
            party.command("ship", store="eu1", order="1001", lines={"item:46": "1"})

    def give_pages_of(self, facts: int, overlap: int) -> None:
        self.service.change_modes({"page_facts": facts, "doubled_facts": overlap})


@dataclass
class FakeWms:
    """The fake that the engine's own tests use, held to the same promises."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.port = FakeParty(self.clock)

    def lose_answer(self) -> None:
        self.port.lose_answers = 1

    def lose_call(self) -> None:
        self.port.lose_calls = 1

    def commit_late(self, delay_s: float) -> None:
        self.port.lose_answers, self.port.commits_after_s = 1, delay_s

    def go_down(self) -> None:
        self.port.down = True

    def come_back(self) -> None:
        self.port.down = False

    def ask_for_pause(self) -> None:
        self.port.too_many = True

    def ship(self, times: int) -> None:
        there = len(self.port.facts)
        self.port.facts += [shipment(f"ship-{there + number}") for number in range(times)]

    def give_pages_of(self, facts: int, overlap: int) -> None:
        self.port.page_facts, self.port.overlap = facts, overlap


def over_http(serve: Callable[[Any], str], path: str, clock: Clock) -> SandboxWms:
    service = PartyService("WMS", Wms("wms", "hub-berlin", path, random=Random(1)), TOKEN)
    return SandboxWms(service, HttpParty("wms", "hub-berlin", serve(service), TOKEN, timeout_s=10), clock)


def in_process() -> SandboxWms:
    clock = FakeClock()
    wms = Wms("wms", "hub-berlin", now=clock.now, random=Random(1))
    service = PartyService("WMS", wms, TOKEN, sleep=clock.sleep)
    session = in_process_session(service, clock.now)
    return SandboxWms(service, HttpParty("wms", "hub-berlin", "http://wms", TOKEN, session), clock)
