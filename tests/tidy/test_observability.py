"""Alert rules and dashboard speak of figures that there are, and lead to runbooks that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from counterfoil_engine.domain.figures import FIGURES
from counterfoil_engine.watch.metrics import Metrics

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "docker" / "observability" / "alerts.yaml"
TRIED = Path(__file__).parent / "alerts_tried.yaml"  # as `promtool test rules` reads it
DASHBOARD = json.loads((ROOT / "docker" / "observability" / "dashboard.json").read_text())
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def told() -> dict[str, set[str]]:
    """Every figure by name, with the labels it may have, as a process tells them."""
    found = {"counterfoil_database_up": set[str]()}
    found |= {f"counterfoil_{name}": set(labels) for name, (_, labels) in FIGURES.items()}
    for family in Metrics(list)._registry.collect():
        labels = {"verdict", "route", "status", "kind", "party", "entity", "call", "outcome", "le"}
        endings = ("_bucket", "_count", "_sum") if family.type == "histogram" else ("_total",)
        found |= {f"{family.name}{ending}": labels for ending in endings}
    return found


@pytest.mark.parametrize("expression", [rule["expr"] for rule in RULES] + QUERIES)
def test_a_query_names_figures_and_labels_that_there_are(expression: str) -> None:
    known = told()
    names = set(re.findall(r"counterfoil_\w+", expression))
    assert names and names <= set(known)
    for name, braces in re.findall(r"(counterfoil_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)=", braces.replace("=~", "="))) <= known[name]
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_rule_leads_to_a_runbook(rule: dict[str, Any]) -> None:
    name, _, heading = rule["annotations"]["runbook"].partition("#")
    text = (RUNBOOKS / name).read_text()
    headings = {
        line.lstrip("# ").lower().replace(" ", "-").replace(",", "") for line in text.splitlines() if line[:1] == "#"
    }
    assert not heading or heading in headings
    assert rule["labels"]["severity"] in ("page", "ticket")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool isn't installed (Debian: apt-get install prometheus); names and labels are checked above")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)


def test_prometheus_itself_takes_the_rules_and_the_dashboard_s_queries(tmp_path: Path) -> None:
    queries = [{"record": f"of_the_dashboard:{n}", "expr": query} for n, query in enumerate(QUERIES)]
    dashboard = tmp_path / "queries.yaml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": queries}]}))
    for rules in (ALERTS, dashboard):
        checked = promtool("check", "rules", rules)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    """Series over time, and what has to burn at which minute: none of the rules is left out."""
    tried = yaml.safe_load(TRIED.read_text())
    assert {one["alertname"] for test in tried["tests"] for one in test["alert_rule_test"] if one["exp_alerts"]} == {
        rule["alert"] for rule in RULES
    }
    there = tmp_path / "tried.yaml"
    there.write_text(yaml.safe_dump({**tried, "rule_files": [str(ALERTS)]}))
    checked = promtool("test", "rules", there)
    assert checked.returncode == 0, checked.stdout + checked.stderr
