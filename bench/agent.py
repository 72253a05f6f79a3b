"""How fast the agent's outbox is, what the agent takes in memory with 100,000 events waiting, and how soon it starts.

    python bench/agent.py [--events N]

Prints one line a figure; memory with traces off and on, as many spans waiting as ever do. Exit status 1 where the agent
takes more than 80 MB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

LARGEST_MB = 80
RECORDED = Path(__file__).parents[1] / "tests" / "recorded" / "woocommerce" / "order_simple_paid.json"

# Run in a process of its own, so that nothing but the agent is counted.
AGENT = """
import sys, time
began = time.perf_counter()
from datetime import UTC, datetime
from counterfoil_agent import bootstrap, cli, config
from counterfoil_agent.ports import Answer, Page, Through, Welcome

class Shop:
    def page(self, ask): return Page((), 0, 1, datetime.now(UTC))

class Engine:
    clock_offset_s = 0.0
    sent = 0
    def hello(self, body): return Welcome(1, Through(0, None))
    def heartbeat(self, event): return None
    def events(self, batch, wrapped=False):
        self.sent += len(batch)
        return Answer(bench_verdicts(batch), None)

def bench_verdicts(batch):
    import msgspec
    from counterfoil_agent.ports import Verdict
    class Sent(msgspec.Struct):
        n: int
        id: str
    return [Verdict(each.n, each.id, "stored") for each in msgspec.json.decode(batch, type=list[Sent])]

def memory_mb(name):
    with open("/proc/self/status") as status:  # getrusage would tell the peak of who started us
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

engine = {"url": "http://e"} | ({"traces_url": "http://127.0.0.1:9/v1/traces"} if sys.argv[2] == "on" else {})
settings = config.read({"store": "eu1", "shop": {"url": "http://s"}, "engine": engine,
                        "log_level": "ERROR", "outbox": {"path": sys.argv[1], "disk_free_bytes": 0}})
cli.log_to(sys.stderr, settings)
agent = bootstrap.agent(settings, store=Shop(), engine=Engine())
agent.step()
started_s = time.perf_counter() - began
import requests, woocommerce
waiting = agent.outbox.depth().waiting
for _ in range(30):
    agent.step()
print(waiting, started_s, memory_mb("VmRSS"), memory_mb("VmHWM"))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, metavar="N", help="events waiting (default: 100000)")
    events = parser.parse_args().events
    body = b'{"order":' + json.dumps(json.loads(RECORDED.read_bytes())).encode() + b',"refunds":[]}'
    with tempfile.TemporaryDirectory() as folder:
        for group in (1, 10, 100):
            rate = durable_rate(Path(folder) / f"{group}.sqlite", body, group)
            print(f"durable events/s, {len(body)} bytes each, {group:>3} a commit: {rate:,.0f}")
        path = Path(folder) / "waiting.sqlite"
        print(f"waiting: filling {events:,} events …", file=sys.stderr)
        fill(path, body, events)
        beside = Path(folder) / "traced.sqlite"
        shutil.copy(path, beside)
        return max(resident(path, "off"), resident(beside, "on"))


def durable_rate(path: Path, body: bytes, group: int, events: int = 3000) -> float:
    from counterfoil_agent.outbox import Outbox
    from counterfoil_agent.snapshot import ORDER, Event

    outbox, now = Outbox.open(path, Random(1)), datetime.now(UTC)
    began = time.perf_counter()
    for first in range(0, events, group):
        with outbox.writing():
            for order_id in range(first, first + group):
                outbox.append(Event(ORDER, order_id + 1, body), now)
    rate = events / (time.perf_counter() - began)
    outbox.close()
    return rate


def fill(path: Path, body: bytes, events: int) -> None:
    from counterfoil_agent.outbox import Outbox
    from counterfoil_agent.snapshot import ORDER, Event

    outbox, now = Outbox.open(path, Random(1)), datetime.now(UTC)
    outbox.renumber(1)
    for first in range(0, events, 1000):
        with outbox.writing():
            for order_id in range(first, min(first + 1000, events)):
                outbox.append(Event(ORDER, order_id + 1, body), now)
    outbox.close()


def resident(path: Path, traces: str) -> int:
    command = [sys.executable, "-c", AGENT, str(path), traces]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    waiting, started_s, now_mb, peak_mb = (float(part) for part in told.split())
    print(f"start to first step, {waiting:,.0f} events waiting: {started_s:.2f} s")
    print(
        f"resident with {waiting:,.0f} events waiting, sending, traces {traces}: {now_mb:.1f} MB, peak {peak_mb:.1f} MB"
    )
    if peak_mb > LARGEST_MB:
        print(f"more than {LARGEST_MB} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
