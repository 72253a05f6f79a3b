"""A process of the demo: started, watched, killed, and ended with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from counterfoil_engine.domain.errors import CounterfoilError


@dataclass
class Child:
    """One process in a session of its own: Ctrl-C reaches the demo alone, which then ends it with its workers."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.process = begun(self.command, self.environment, self.log)

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9, with all that it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            self.kill()

    def said(self, prefix: str) -> str | None:
        """The first line of its log that begins so, without that beginning."""
        for line in self.tail(200):
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip()
        return None

    def tail(self, lines: int = 12) -> list[str]:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text.splitlines()[-lines:]


def begun(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A process in a session of its own, without input, that writes to the end of its log."""
    with log.open("ab") as said:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def failed(cause: str, child: Child) -> CounterfoilError:
    said = " / ".join(line.strip() for line in child.tail(6))
    return CounterfoilError(cause, f"The {child.name}'s log ends: {said or 'it said nothing'}", "outage")


def script(name: str) -> str:
    """A command of this very installation, whether or not it is on the path."""
    return str(Path(sys.executable).with_name(name))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        requests.get(url, timeout=2)
    except requests.RequestException:
        return False
    return True
