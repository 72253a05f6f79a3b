"""The recorded data, rehearsed once by rules that a person wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from counterfoil_engine.rehearsal.report import Report
from rehearsal.checks import rehearsed

RECORDED = Path(__file__).parent.parent / "recorded" / "woocommerce"
RULES = (Path(__file__).parent / "recorded.yaml").read_text("utf-8")


@pytest.fixture(scope="session")
def recorded_report() -> Report:
    return rehearsed(RECORDED, rules=RULES)


@pytest.fixture
def recorded() -> Path:
    return RECORDED


@pytest.fixture
def recorded_rules() -> str:
    return RULES
