"""Real processes: started, killed with kill -9 at any moment, started again as a service manager would, and cleaned up.

Every process bears a mark in its environment, by which whatever is left over is found, also where this program itself
was killed: a guard outlives it, reads the end of its pipe, and ends them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil_engine.demo.processes import begun

MARK = "COUNTERFOIL_TORTURE"
RESTART_S = (0.1, 0.8)  # a service manager's pause


@dataclass
class Child:
    """One service, in a process group of its own. wanted: whether it is started again when it has ended.

    serves: what its log says once it is at work."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    serves: str
    wanted: bool = False
    starts: int = 0
    killed: int = 0
    ended_by_itself: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    not_before_s: float = 0.0
    log_start: int = 0

    def start(self) -> None:
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        self.process = begun(self.command, self.environment, self.log)
        self.starts += 1

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pids(self) -> list[int]:
        """Its own and those of its children, the oldest first."""
        return sorted(pids_of_group(self.process.pid)) if self.is_up() and self.process else []

    def kill(self, how: str = "group") -> bool:
        """kill -9: all of it, its first process alone, or one that it started. Whether something was killed."""
        if not self.is_up() or self.process is None:
            return False
        try:
            if how == "group":
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            elif how == "first":
                self.process.kill()
                self.process.wait()
            else:
                os.kill(next(pid for pid in self.pids() if pid != self.process.pid), signal.SIGKILL)
        except (ProcessLookupError, StopIteration):
            return False
        self.killed += 1
        return True

    def rss_kb(self) -> int:
        """Resident memory of all its processes; 0 where none is up."""
        return sum(rss_kb(pid) for pid in self.pids())

    def is_at_work(self) -> bool:
        """Whether it has said so since it was started."""
        if not self.is_up():
            return False
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return self.serves.encode() in log.read(20_000)


class Crew:
    """All services, kept up by a thread. As a context it leaves no process behind."""

    def __init__(self, folder: Path, randomly: random.Random) -> None:
        self.folder, self._random = folder, randomly
        self.children: dict[str, Child] = {}
        self._lock, self._ending = threading.RLock(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Crew:
        guard = [sys.executable, str(Path(__file__)), str(self.folder)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
        self._keeper.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._keeper.join()
        end_all(self.folder)
        for child in self.children.values():
            if child.process is not None:
                child.process.wait()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()

    def add(self, name: str, command: Sequence[str], environment: Mapping[str, str], serves: str) -> Child:
        marked = {**environment, MARK: str(self.folder)}
        child = self.children[name] = Child(name, command, marked, self.folder / f"{name}.log", serves)
        return child

    def up(self, *names: str) -> None:
        for name in names:
            self.children[name].wanted = True

    def down(self, *names: str) -> None:
        """Away until `up`: killed, with all that is left of its group."""
        with self._lock:
            for name in names:
                child = self.children[name]
                child.wanted = False
                child.kill()
                if child.process is not None:
                    for pid in pids_of_group(child.process.pid):
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

    def kill(self, name: str, how: str = "group") -> bool:
        with self._lock:
            return self.children[name].kill(how)

    def _keep(self) -> None:
        while not self._ending.wait(0.05):
            with self._lock:
                for child in self.children.values():
                    self._look_after(child)

    def _look_after(self, child: Child) -> None:
        now_s = time.monotonic()
        if child.is_up() or not child.wanted:
            return
        if child.process is not None and child.not_before_s == 0.0:
            if child.process.returncode != -signal.SIGKILL:
                child.ended_by_itself += 1
            child.not_before_s = now_s + self._random.uniform(*RESTART_S)
        if now_s >= child.not_before_s:
            child.not_before_s = 0.0
            child.start()


def pids_of_group(group: int) -> list[int]:
    found = []
    for pid in _all_pids():
        with suppress(OSError, IndexError, ValueError):
            # pid (name) state parent group …; the name may hold anything
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(pid)
    return found


def rss_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def marked(folder: Path) -> list[int]:
    """Processes that bear the mark of this folder, whoever started them."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for pid in _all_pids():
        with suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and pid != os.getpid():
                found.append(pid)
    return found


def end_all(folder: Path) -> None:
    """Kill all that is left: marked processes, and the cluster, which rewrites its environment."""
    for _ in range(50):
        pids = marked(folder)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            break
        time.sleep(0.1)
    end_cluster(folder / "cluster")


def end_cluster(data: Path, timeout_s: float = 10.0) -> None:
    """Stop the database server of this data folder at once, and wait until it is gone."""
    end_s = time.monotonic() + timeout_s
    while (pid := postmaster(data)) is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT if time.monotonic() < end_s else signal.SIGKILL)
        time.sleep(0.1)


def postmaster(data: Path) -> int | None:
    """The server's first process, if it is up and really serves this folder."""
    with suppress(OSError, ValueError, IndexError):
        pid = int((data / "postmaster.pid").read_text().split()[0])
        if str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _all_pids() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def guard(folder: Path) -> None:
    """Outlive the one who started this: its end closes the pipe, and then nothing of its world may be left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_all(folder)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
