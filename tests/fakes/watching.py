"""What monitors ask, over a database that tests opened."""

from __future__ import annotations

from counterfoil_engine.api.watch import Watching
from counterfoil_engine.records import figures, kpis, slos
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.watch.metrics import Metrics
from counterfoil_engine.work.kpis import Kpis
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.slo import Objectives
from counterfoil_engine.work.slo_file import own_objectives


def a_watching(database: Database) -> Watching:
    records, book = records_over(database), Book(parse_rules)
    objectives = Objectives(records, slos, book, own_objectives(), figures.figures)
    return Watching(Metrics(objectives.figures).text, objectives, Kpis(records, kpis, book))
