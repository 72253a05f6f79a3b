"""Versions: what is agreed on, and that a released contract still is what it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counterfoil_contracts import names, schema
from counterfoil_contracts.versions import NoCommonVersion, agree, breaking_changes, greeting, spoken, whole

RELEASED = Path(__file__).parents[2] / "contracts" / "released"
Change = Callable[[dict[str, Any]], object]


def test_both_sides_speak_the_highest_version_that_both_know() -> None:
    assert agree({"order": [1, 2], "gone": [1]}, {"order": [1, 2], "gone": [1]}) == {"order": 2, "gone": 1}


def test_the_older_of_two_neighbouring_versions_still_works_on_either_side() -> None:
    old, new = {"order": [1]}, {"order": [1, 2]}
    assert agree(old, new) == agree(new, old) == {"order": 1}


def test_a_contract_that_one_side_alone_knows_is_left_out() -> None:
    assert agree({"order": [1], "payout": [1]}, {"order": [1]}) == {"order": 1}


def test_no_version_in_common_says_who_has_to_be_updated() -> None:
    with pytest.raises(NoCommonVersion) as caught:
        agree({"order": [3, 4]}, {"order": [1, 2]})
    assert caught.value.cause == "The contract 'order' is known here as 3, 4, over there as 1, 2."
    assert caught.value.remedy == "Update the other side; neighbouring versions work together."


def test_what_is_spoken_is_what_there_are_contracts_for() -> None:
    expected = {"gone": [1, 2], "heartbeat": [1], "order": [1], "stock": [1], "tombstone": [1], "void": [1]}
    assert spoken() == expected


def test_updates_are_agreed_on_at_hello_so_that_an_older_side_works_without() -> None:
    assert agree(greeting(), greeting())["updates"] == 1
    assert "updates" not in agree(greeting(), spoken())
    assert "updates" not in agree(spoken(), greeting())


@pytest.mark.parametrize("name", [name for name in names() if schema(name)["x-status"] == "released"])
def test_a_released_contract_breaks_nobody_who_speaks_its_last_release(name: str) -> None:
    """The gate. A change that has to break goes into a new version beside this one."""
    released = json.loads((RELEASED / f"{name}.json").read_bytes())
    assert breaking_changes(released, whole(name)) == []


def test_no_release_is_lost() -> None:
    kept = {path.relative_to(RELEASED).as_posix().removesuffix(".json") for path in RELEASED.rglob("*.json")}
    assert kept == {name for name in names() if schema(name)["x-status"] == "released"}


def _order() -> dict[str, Any]:
    return copy.deepcopy(whole("events/order.v1"))


def _field(of: dict[str, Any], name: str) -> Any:
    return of["properties"]["order"]["properties"][name]


BREAKS: dict[str, tuple[Change, str]] = {
    "a property removed": (lambda s: s["properties"]["order"]["properties"].pop("order_key"), "/order/order_key"),
    "a property newly required": (lambda s: s["required"].append("coupons"), "coupons must be there now"),
    "one required deep inside": (lambda s: _field(s, "line_items")["items"]["required"].append("sku"), "sku must be"),
    "a type narrowed": (lambda s: _field(s, "payment_method").update(type="string"), "types null"),
    "a type changed": (lambda s: _field(s, "total").update(type="number"), "types string"),
    "a pattern added": (lambda s: _field(s, "total").update(pattern="^[0-9]+$"), "pattern is new"),
    "a pattern changed": (lambda s: _field(s, "date_paid_gmt").update(pattern="^x$"), "pattern is new or another"),
    "a floor raised": (lambda s: _field(s, "id").update(minimum=100), "minimum rose from 1 to 100"),
    "a ceiling lowered": (lambda s: _field(s, "status").update(maxLength=5), "maxLength fell from 60 to 5"),
    "a ceiling put": (lambda s: _field(s, "billing").update(maxProperties=3), "maxProperties fell from none"),
    "an enum where all went": (lambda s: _field(s, "status").update(enum=["paid"]), "only some values"),
    "objects closed": (lambda s: s.update(additionalProperties=False), "nothing is allowed any more"),
    "objects closed inside": (lambda s: s["properties"]["order"].update(unevaluatedProperties=False), "/order"),
    "a format asked for": (lambda s: _field(s, "date_paid_gmt").update(format="date-time"), "format is new"),
    "a rule added by allOf": (lambda s: s.update(allOf=[{"required": ["x"]}]), "x must be there now"),
    "a negation": (lambda s: s.update({"not": {"required": ["x"]}}), "not is new"),
    "items described": (lambda s: _field(s, "meta_data").update(items={"type": "object"}), "no longer allowed"),
}
FINE: dict[str, Change] = {
    "nothing": lambda s: None,
    "a description reworded": lambda s: s.update(description="Another way to say it."),
    "an optional property added": lambda s: s["properties"].update(basis={"type": "integer"}),
    "a property no longer required": lambda s: s["properties"]["order"]["required"].remove("currency"),
    "a type widened": lambda s: _field(s, "total").update(type=["string", "null"]),
    "a floor lowered": lambda s: _field(s, "id").update(minimum=0),
    "a ceiling taken away": lambda s: _field(s, "status").pop("maxLength"),
    "a pattern taken away": lambda s: _field(s, "date_paid_gmt").pop("pattern"),
}


@pytest.mark.parametrize("label", BREAKS)
def test_the_gate_stops_a_breaking_change(label: str) -> None:
    change, says = BREAKS[label]
    new = _order()
    change(new)
    assert says in " ".join(breaking_changes(_order(), new))


@pytest.mark.parametrize("label", FINE)
def test_the_gate_lets_a_compatible_change_pass(label: str) -> None:
    new = _order()
    FINE[label](new)
    assert breaking_changes(_order(), new) == []


def test_an_enum_may_not_lose_a_value() -> None:
    old = {"enum": ["deposits", "unapplied"]}
    assert breaking_changes(old, {"enum": ["deposits"]}) == ["/: the values unapplied are no longer allowed (refused)"]
    assert breaking_changes(old, {"enum": ["deposits", "unapplied", "gift_cards"]}) == []


def test_what_an_erp_reads_may_not_grow_beyond_what_it_knows() -> None:
    old = whole("documents/payment.v1")
    wider = copy.deepcopy(old)
    wider["properties"]["to"]["enum"].append("gift_cards")
    assert "gift_cards" in breaking_changes(old, wider)[0]
    longer = copy.deepcopy(old)
    longer["properties"]["batch"] = {"type": "string"}
    assert breaking_changes(old, longer) == []
    fewer = copy.deepcopy(old)
    fewer["required"].remove("book_minor")
    assert "book_minor must be there now" in breaking_changes(old, fewer)[0]
