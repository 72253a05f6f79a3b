"""What stands for an event that the engine can't read may itself come to be unreadable: then it is stood for, too."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from counterfoil_agent import snapshot, taken
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Verdict

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
MOVE = b'{"move_id":"00000000000000000000000000000001","order_item_id":46,"quantity":"-3"}'


def test_moves_told_anew_and_called_invalid_are_told_again_for_all_places_that_they_stand_for(quick_path: Path) -> None:
    outbox = Outbox.open(quick_path / "outbox.sqlite", Random(1))
    first = outbox.append(snapshot.stock_event(0, "", [MOVE], 1001, [(1, 6)]), NOW)
    outbox.acknowledge([Verdict(first.n, first.id, "kept-invalid", "cut to pieces")], NOW)
    owed = taken.next_owed(outbox)
    assert owed is not None and (1, 6) in owed.earlier and owed.order_id == 1001
    again = taken.pay(outbox, owed, NOW)
    assert again is not None
    said = json.loads(again.body)
    assert said["moves"] == [json.loads(MOVE)] and said["order_id"] == 1001
    assert {"epoch": 1, "n": 6} in said["stands_for"] and {"epoch": first.epoch, "n": first.n} in said["stands_for"]
    outbox.close()
