"""A new store from a template: its rows are copied as they are written, every write at preview, nothing else moves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from console.scene import RULES
from counterfoil_engine.ports import Rejected
from counterfoil_engine.work.rules_file import parse_rules
from counterfoil_engine.work.store_template import from_template

NOW = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)


def test_the_new_store_has_the_templates_rows_and_begins_now_in_preview() -> None:
    rules = parse_rules(from_template(RULES, "eu1", "fr1", NOW, "two"))
    assert rules.version == "two"
    made, template = rules.stores["fr1"], rules.stores["eu1"]
    assert (made.entity, made.pool, made.start_line) == (template.entity, template.pool, NOW)
    assert dict(made.switches) == {"erp": "preview"} and dict(template.switches) == {"erp": "on"}
    assert [row.match["store"] for row in rules.tables["payment_methods"]] == ["eu1", "fr1"]


def test_comments_and_all_other_rows_stay_as_they_were_written() -> None:
    text = from_template(RULES, "eu1", "fr1", NOW, "two")
    before, after = RULES.replace("rules: one", "rules: two").splitlines(), text.splitlines()
    assert [line for line in after if line in before] == before
    assert len(after) == len(before) + 2


def test_a_row_over_several_lines_is_copied_too() -> None:
    own = "  - id: eu1\n    entity: DE01\n    pool: eu\n    start_line: 2020-01-01T00:00:00Z\n"
    rows = f"stores:\n{own}    switches:\n      erp: on\n"
    text = RULES[: RULES.index("stores:")] + rows + RULES[RULES.index("warehouses:") :]
    rules = parse_rules(from_template(text, "eu1", "fr1", NOW, "two"))
    assert sorted(rules.stores) == ["eu1", "fr1"] and dict(rules.stores["fr1"].switches) == {"erp": "preview"}


def test_a_template_that_is_not_there_and_a_name_that_is_taken_are_refused() -> None:
    with pytest.raises(Rejected, match="is not in the rules"):
        from_template(RULES, "us1", "fr1", NOW, "two")
    with pytest.raises(Rejected, match="is in the rules already"):
        from_template(RULES, "eu1", "eu1", NOW, "two")
