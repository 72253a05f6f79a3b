"""ERPs that keep the port's promises: the sandbox over real HTTP, the sandbox in process, and the fake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.ports import Clock, Erp
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import SandboxErp, create_erp, serve_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from fakes.clock import FakeClock
from fakes.erp import FakeErp
from ports import other_parties

TOKEN = "t"


class Party(Protocol):
    """An ERP under test, what goes wrong with it, and the time it lives in."""

    erp: Erp
    clock: Clock

    def lose_answer(self) -> None:
        """The next post is carried out, but its answer never comes."""

    def lose_call(self) -> None:
        """The next post is not carried out, and no answer comes."""

    def commit_late(self, delay_s: float) -> None:
        """The next post loses its client at once and is committed so long after."""

    def go_down(self) -> None: ...

    def ask_for_pause(self) -> None: ...

    def close_november(self) -> None:
        """Nothing more can be posted before 2026-12-01."""


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class SandboxParty:
    """The sandbox ERP behind the HTTP adapter."""

    sandbox: SandboxErp
    erp: HttpErp
    clock: Clock
    url: str = "http://erp"

    def lose_answer(self) -> None:
        self.sandbox.change_modes({"fault": "cut_after_commit", "fault_times": 1})

    def lose_call(self) -> None:
        self.sandbox.change_modes({"fault": "cut_before_commit", "fault_times": 1})

    def commit_late(self, delay_s: float) -> None:
        self.sandbox.change_modes({"fault": "cut_then_commit", "fault_times": 1, "commit_delay_s": delay_s})

    def go_down(self) -> None:
        self.sandbox.change_modes({"fault": "down"})

    def ask_for_pause(self) -> None:
        self.sandbox.change_modes({"fault": "rate_limit", "retry_after_s": 30})

    def close_november(self) -> None:
        self.sandbox.books.close_period("*", datetime(2026, 11, 1).date(), datetime(2026, 11, 30).date())


@dataclass
class FakeParty:
    """The fake that the engine's own tests use, held to the same promises."""

    unique_keys: bool
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.erp = FakeErp(self.clock, unique_keys=self.unique_keys, commit_lag_s=0.0 if self.unique_keys else 6.0)

    def lose_answer(self) -> None:
        self.erp.lose_answers = 1

    def lose_call(self) -> None:
        self.erp.lose_calls = 1

    def commit_late(self, delay_s: float) -> None:
        self.erp.lose_answers, self.erp.commits_after_s = 1, delay_s

    def go_down(self) -> None:
        self.erp.down = True

    def ask_for_pause(self) -> None:
        self.erp.too_many = True

    def close_november(self) -> None:
        self.erp.closed_until = datetime(2026, 11, 30).date()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Serves a WSGI application on a free port; gives its URL."""
    stops: list[Callable[[], None]] = []

    def start(application: Any) -> str:
        server = serve_erp(application)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def stop() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        stops.append(stop)
        return f"http://127.0.0.1:{server.port}"

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def over_http(serve: Callable[[Any], str], tmp_path: Any) -> SandboxParty:
    sandbox = create_erp(Books(str(tmp_path / "erp.sqlite3")), TOKEN)
    url = serve(sandbox)
    return SandboxParty(sandbox, HttpErp(url, TOKEN, timeout_s=10), RealClock(), url)


@pytest.fixture
def in_process() -> SandboxParty:
    clock = FakeClock()
    sandbox = create_erp(Books(now=clock.now), TOKEN, now=clock.now, sleep=clock.sleep)
    return SandboxParty(sandbox, HttpErp("http://erp", TOKEN, in_process_session(sandbox, clock.now)), clock)


@pytest.fixture(params=["over http", "in process", "fake"])
def party(request: pytest.FixtureRequest) -> Party:
    """Each ERP, its keys unique."""
    if request.param == "fake":
        return FakeParty(unique_keys=True)
    return request.getfixturevalue(request.param.replace(" ", "_"))


@pytest.fixture(params=["over http", "in process", "fake"])
def careless_party(request: pytest.FixtureRequest) -> Party:
    """Each ERP, unable to keep keys unique."""
    if request.param == "fake":
        return FakeParty(unique_keys=False)
    sandbox_party = request.getfixturevalue(request.param.replace(" ", "_"))
    sandbox_party.sandbox.change_modes({"unique_keys": False, "commit_delay_s": 0.1})
    return sandbox_party


@pytest.fixture(params=["over http", "in process", "fake"])
def other_party(request: pytest.FixtureRequest, tmp_path: Any) -> other_parties.OtherParty:
    """Each WMS; what holds of one holds of gateways and tax services, which answer alike."""
    if request.param == "fake":
        return other_parties.FakeWms()
    if request.param == "in process":
        return other_parties.in_process()
    serve = request.getfixturevalue("serve")
    return other_parties.over_http(serve, str(tmp_path / "wms.sqlite3"), RealClock())
