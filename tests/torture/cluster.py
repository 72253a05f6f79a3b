"""A PostgreSQL cluster of one's own, in a temporary folder: never the machine's service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from torture.processes import end_cluster

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
USER = "postgres"
SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 100
shared_buffers = 32MB
logging_collector = off
log_min_messages = warning
"""


def binaries() -> Path | None:
    """The folder that holds initdb and pg_ctl, of the newest version; None where there is none."""
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    if not found and (on_path := shutil.which("initdb")):
        found = [Path(on_path)]
    able = [path.parent for path in found if (path.parent / "pg_ctl").exists()]
    return max(able, key=lambda path: path.parts, default=None)


class Cluster:
    """Made by `start`; as root its processes run as the user postgres, since PostgreSQL refuses to run as root."""

    def __init__(self, folder: Path, port: int) -> None:
        found = binaries()
        assert found is not None, "no PostgreSQL binaries: install postgresql"
        self._binaries, self.folder, self.port = found, folder, port
        self.data, self.log = folder / "cluster", folder / "cluster.log"
        self.url = f"postgresql://{USER}@127.0.0.1:{port}/{USER}"
        self.restarts = 0

    def make(self) -> None:
        self.data.mkdir(mode=0o700)
        self.log.touch()
        if os.geteuid() == 0:
            for path in (self.data, self.log):
                shutil.chown(path, USER)
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}port = {self.port}\nunix_socket_directories = '{self.data}'\n")
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-w", "-t", "60", "start")

    def restart(self) -> None:
        """At once, as if the machine had lost its power: connections die, the log is replayed."""
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-m", "immediate", "-w", "-t", "60", "restart")
        self.restarts += 1

    def stop(self) -> None:
        end_cluster(self.data)

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", USER, "--", *command]
        # To a file, not a pipe: the server that pg_ctl starts would keep the pipe open for ever.
        with (self.folder / "pg_ctl.log").open("ab") as log:
            subprocess.run(command, cwd="/", check=True, stdout=log, stderr=subprocess.STDOUT, timeout=120)
