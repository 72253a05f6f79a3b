"""Credentials are replaced: on one side first, on the other after a while, and in whichever order."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.storm import Simulation


def replace_store_secret(simulation: Simulation, random: Random) -> str:
    """As the manual says, the engine takes both for a while; or not, and the agent is refused until it has the new."""
    world, new = simulation.world, f"the store's secret, {random.getrandbits(64):016x}"
    with_old = random.random() < 0.7
    world.store_secrets = (new, *world.store_secrets[:1]) if with_old else (new,)
    simulation.dies("engine")

    def tell_the_agent() -> None:
        world.agent_environment["COUNTERFOIL_ENGINE_SECRET"] = world.store_secrets[0]
        simulation.dies("agent")

    simulation.after(random.uniform(0, 120), tell_the_agent)
    return "the old one goes on for a while" if with_old else "the old one is refused at once"


def replace_shop_key(simulation: Simulation, random: Random) -> None:
    world, new = simulation.world, f"cs_{random.getrandbits(64):016x}"
    name = world.agent_environment["COUNTERFOIL_SHOP_KEY"]
    world.front.keys.keys = {name: (new, "read")}

    def tell_the_agent() -> None:
        world.agent_environment["COUNTERFOIL_SHOP_SECRET"] = world.front.keys.keys[name][0]
        simulation.dies("agent")

    simulation.after(random.uniform(0, 120), tell_the_agent)


def replace_erp_token(simulation: Simulation, random: Random) -> None:
    world = simulation.world
    world.erp.token = f"token-{random.getrandbits(64):016x}"

    def tell_the_engine() -> None:
        world.erp_token = world.erp.token
        simulation.dies("engine")

    simulation.after(random.uniform(0, 120), tell_the_engine)


HAPPENINGS = {
    "the store's secret is replaced": (1, replace_store_secret),
    "the shop's key is replaced": (1, replace_shop_key),
    "the ERP's token is replaced": (1, replace_erp_token),
}
FAULTS = tuple(HAPPENINGS)
