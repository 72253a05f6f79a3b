"""`make torture-tryton`: orders posted while Tryton, its database's connections and the poster are killed, KILLS times.

Every order is posted by callers of its own that die with kill -9 as well; in the end each document stands once, and
Tryton's balances are those of the documents.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.adapters.erp.tryton.names import written
from counterfoil_engine.domain.errors import Retry
from counterfoil_engine.domain.postings import journal
from counterfoil_engine.ports import Posted, Posting
from sandbox.erp_documents import an_order

from tryton import server as servers
from tryton.needs import NEEDS
from tryton.orders import numbered

VICTIMS = ("tryton", "its connections", "the poster")
MOST_TRIES = 60


def post_until_all_stand(erp: TrytonErp, postings: Sequence[Posting]) -> None:
    """As the engine does: what is down is asked again, what is unknown is looked up once it can no longer commit."""
    for _ in range(MOST_TRIES):
        try:
            time.sleep(erp.commit_lag_s)
            found = erp.find([each.key for each in postings])
            left = [each for each in postings if each.key not in found]
            if not left:
                return
            erp.post(left)
        except Retry:
            time.sleep(0.2)
    raise AssertionError("what was posted doesn't come to stand")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture-tryton", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="Defaults to 50")
    parser.add_argument("--seed", type=int, default=1, help="of who is killed, and when. Defaults to 1")
    parser.add_argument("--without-module", action="store_true", help="do without the module counterfoil")
    options = parser.parse_args()
    if reason := servers.missing():
        print(reason, file=sys.stderr)
        return 2
    chance, everything = random.Random(options.seed), list[Posting]()
    with servers.copied(NEEDS) as server:
        names = server.map_of("DE01", NEEDS["DE01"], ships=False)
        path = Path(server.folder) / "map.toml"
        path.write_text(written(names))
        way: dict[str, Any] = {"module": not options.without_module}
        way["commit_lag_s"] = 2.0 if options.without_module else 0.0
        erp = server.erp(names, **way)
        for number in range(options.kills):
            orders = [numbered(an_order()) for _ in range(4)]
            stages = [list(column) for column in zip(*orders, strict=True)]
            hit, victim = chance.randrange(len(stages)), VICTIMS[number % len(VICTIMS)]
            for place, stage in enumerate(stages):
                if place == hit:
                    _killed_in(server, path, way, stage, victim, chance.uniform(0.0, 0.6))
                post_until_all_stand(erp, stage)
                everything += stage
            print(f"{number + 1}: {victim} killed at the {stages[hit][0].document['kind']}", flush=True)
        wrong = _wrong(erp, everything)
    for line in wrong:
        print(line)
    print(f"kills: {options.kills}, documents {len(everything)}, lost or doubled {len(wrong)}")
    return int(bool(wrong))


def _killed_in(
    server: servers.Server, path: Path, way: dict[str, Any], stage: list[Posting], victim: str, after_s: float
) -> None:
    """Post from a process of its own, and kill somebody while it does."""
    told = {"url": server.url, "map": str(path), "way": way}
    told["postings"] = [[each.key, each.content_hash, dict(each.document)] for each in stage]
    with subprocess.Popen([sys.executable, "-m", "tryton.caller"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
        assert it.stdin is not None and it.stdout is not None
        it.stdin.write(json.dumps(told).encode() + b"\n")
        it.stdin.flush()
        it.stdout.readline()
        time.sleep(after_s)
        if victim == "the poster":
            it.kill()
        elif victim == "tryton":
            server.kill()
            server.start()
        else:
            server.cut_connections()
        it.stdin.close()
        it.wait(timeout=120)


def _wrong(erp: TrytonErp, postings: Sequence[Posting]) -> list[str]:
    """What stands otherwise than once, and roles whose balance isn't the documents'."""
    due: dict[str, int] = {}
    for each in postings:
        for line in journal(each.document["kind"], each.document, each.document["amount_minor"], "EUR"):
            due[line.role] = due.get(line.role, 0) + line.debit_minor - line.credit_minor
    there: dict[str | None, int] = {}
    for entry in erp.entries("DE01", date(2026, 11, 1), date(2026, 11, 30)):
        there[entry.key] = there.get(entry.key, 0) + 1
    wrong = [f"{each.key}: {there.get(each.key, 0)} times" for each in postings if there.get(each.key) != 1]
    wrong += [f"without a key: {count}" for key, count in there.items() if key is None]
    nets = {role: line.debit_minor - line.credit_minor for (role, _), line in erp.balances("DE01").items()}
    wrong += [
        f"{role}: {nets.get(role, 0)}, due {due.get(role, 0)}"
        for role in sorted({*due, *nets})
        if due.get(role, 0) != nets.get(role, 0)
    ]
    outcomes = erp.post(postings[:50])
    return wrong + [str(each) for each in outcomes if not isinstance(each, Posted)]


if __name__ == "__main__":
    sys.exit(main())
