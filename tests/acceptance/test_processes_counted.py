"""Several processes that serve the API are one answer to whoever reads the figures; a process that dies takes none."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from counterfoil_engine.demo import Child, answers, free_port, script
from fakes.databases import database_url
from fakes.town import until

TOKEN, ASKED = "m" * 40, 40
ROUTE = 'counterfoil_requests_total{route="/v1/health",status="200"}'


def health_requests(port: int) -> int:
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert answer.status_code == 200, answer.text
    return next(int(float(line.split()[-1])) for line in answer.text.splitlines() if line.startswith(ROUTE))


@pytest.mark.postgresql
def test_processes_that_serve_together_are_one_answer_and_a_dead_one_is_still_counted(tmp_path: Path) -> None:
    folder, port = tmp_path / "counts", free_port()
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"of another life")
    with ExitStack() as stack:
        engine = Child(
            "engine",
            [script("counterfoil"), "serve", "--role", "api"],
            {
                "COUNTERFOIL_DATABASE": stack.enter_context(database_url("postgresql", tmp_path)),
                "COUNTERFOIL_LISTEN": f"127.0.0.1:{port}",
                "COUNTERFOIL_METRICS_TOKEN": TOKEN,
                "COUNTERFOIL_WORKERS": "2",
                "PROMETHEUS_MULTIPROC_DIR": str(folder),
            },
            tmp_path / "engine.log",
        )
        engine.start()
        stack.callback(engine.stop)
        until(lambda: answers(f"http://127.0.0.1:{port}") or None, "the engine is up")
        assert not (folder / "counter_1.db").exists(), "what another life counted is gone"
        for _ in range(ASKED):
            requests.get(f"http://127.0.0.1:{port}/v1/health", timeout=10).raise_for_status()
        seen = {health_requests(port) for _ in range(6)}
        assert len(seen) == 1 and seen.pop() >= ASKED, "whichever process is asked, it is the same sum"

        counted = {int(re.findall(r"\d+", path.name)[0]) for path in folder.glob("counter_*.db")}
        assert engine.process is not None
        worker = max(counted - {engine.process.pid})
        os.kill(worker, signal.SIGKILL)
        until(
            lambda: "Booting worker" in engine.log.read_text().split(f"{worker}", 1)[-1] or None, "another one serves"
        )
        assert health_requests(port) >= ASKED
