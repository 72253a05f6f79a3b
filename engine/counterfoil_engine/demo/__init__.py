"""`make demo`: shops, agents, an engine and ERPs as real processes; a bad day, the proof, and a day that lives on.

    python -m counterfoil_engine.demo [--once]        the story; --once ends by itself, exit status 0 if all held
    python -m counterfoil_engine.demo --prove FOLDER  prove again while a demo is up

Everything lives in a temporary folder and on free ports of 127.0.0.1, and goes when the demo goes. Nothing here touches
the engine but its commands, its API and, to read, its database file.

    branches     the stores that are played, as data         storm      what goes wrong and heals by itself
    rules        what a controller would write for them      troubles   what waits for a person
    baskets      what shoppers buy                           proof, stock   all parties compared from outside
    processes    a child process                             living     the day that goes on until Ctrl-C
    town         all of them, started and asked              told, guide    what the reader sees
"""

from counterfoil_engine.demo.processes import Child, answers, free_port, script
from counterfoil_engine.demo.recordings import recorded, recorded_orders
from counterfoil_engine.demo.rules import ENTITY, RATES, STORE, rules

__all__ = [
    "ENTITY",
    "RATES",
    "STORE",
    "Child",
    "answers",
    "free_port",
    "recorded",
    "recorded_orders",
    "rules",
    "script",
]
