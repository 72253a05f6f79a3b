"""The agent's outbox as people see it, by the agent's own commands."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

from counterfoil_agent import status as agent_status
from counterfoil_agent.config import EngineSettings, OutboxSettings, Settings, ShopSettings
from counterfoil_agent.outbox import Outbox

from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def outbox_shown(simulation: Simulation) -> None:
    """What the agent's commands say of its outbox; what became a tombstone is kept there as it was. Raises Stop."""
    world = simulation.world
    settings = Settings(
        STORE, ShopSettings("https://shop"), EngineSettings("http://engine"), OutboxSettings(world.outbox_file)
    )
    agent_status.status(settings, world.clock.true)
    with closing(Outbox.read_only(world.outbox_file)) as view:
        view.waiting()
        for stone in view.tombstones():
            body = view.buried_body(stone["id"])
            if body is None or hashlib.sha256(body).hexdigest() != stone["hash"]:
                simulation.failures.append(f"E11 what event {stone['n']} said isn't kept behind its tombstone")
