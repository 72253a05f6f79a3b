"""The use cases of cases, over a real database whose orders nobody looks at."""

from __future__ import annotations

from typing import Any

from counterfoil_engine.api.cases import CaseDesk
from counterfoil_engine.ports import Clock
from counterfoil_engine.records import case_notes, freed, inbox
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.rules_store import Book
from counterfoil_engine.records.wiring import records_over
from counterfoil_engine.work.case_hands import CaseHands
from counterfoil_engine.work.case_preview import CasePreview
from counterfoil_engine.work.decisions import the_decisions
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.inbox import Inbox
from counterfoil_engine.work.rules_file import parse_rules


def a_desk(database: Database, clock: Clock, looker: Any = None) -> CaseDesk:
    records, book = records_over(database), Book(parse_rules)
    four_eyes = FourEyes(records, book, the_decisions(records, book, parse_rules))
    hands = CaseHands(records, inbox, case_notes, parse_rules, four_eyes)
    preview = CasePreview(records, inbox, looker, hands, parse_rules)
    return CaseDesk(Inbox(records, inbox, case_notes, looker, freed.progress), hands, preview, clock)
