"""The settings: what the example says, and what is refused with a remedy."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from counterfoil_agent import config
from counterfoil_agent.errors import Stop
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[2] / "agent" / "counterfoil-agent.example.toml"
GOOD = {"store": "eu1", "shop": {"url": "https://shop"}, "engine": {"url": "https://engine"}}


def test_the_example_can_be_used_as_it_is() -> None:
    assert config.load(EXAMPLE).store == "eu1"


def test_the_example_names_every_key_with_its_default(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    all_set = tmp_path / "agent.toml"
    all_set.write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    told, plain = config.load(all_set), config.load(EXAMPLE)
    for section in fields(config.Settings):
        ours, default = getattr(told, section.name), getattr(plain, section.name)
        for each in fields(ours) if hasattr(ours, "__dataclass_fields__") else ():
            assert re.search(rf"^(# )?{each.name} = ", text, re.MULTILINE), (
                f"{section.name}.{each.name} isn't in the example"
            )
            if each.name not in ("since", "listen", "feed_url", "traces_url", "key_env", "accept_when"):
                assert getattr(ours, each.name) == getattr(default, each.name), each.name


@pytest.mark.parametrize(
    ("change", "cause", "remedy"),
    [
        ({"stroe": "eu1"}, "stroe", "Did you mean store?"),
        ({"shop": {"url": "https://s", "pol_s": 5}}, "[shop]", "poll_s"),
        ({"shop": {}}, "lacks url", "example"),
        ({"shop": 5}, "no table", "example"),
        ({"shop": {"url": "shop.example"}}, "no address", "https://"),
        ({"shop": {"url": "ftp://shop"}}, "no address", "https://"),
        ({"shop": {"url": "http://shop:99999999"}}, "no address", "https://"),
        ({"shop": {"url": "https://ck:cs@shop"}}, "password", "environment"),
        ({"shop": {"url": "https://s", "poll_s": "30"}}, "shop.poll_s", "a number"),
        ({"shop": {"url": "https://s", "poll_s": True}}, "shop.poll_s", "a number"),
        ({"shop": {"url": "https://s", "poll_s": -1}}, "shop.poll_s", "between"),
        ({"shop": {"url": "https://s", "poll_s": float("nan")}}, "shop.poll_s", "between"),
        ({"shop": {"url": "https://s", "page_orders": 1.5}}, "page_orders", "whole number"),
        ({"shop": {"url": "https://s", "since": "yesterday"}}, "shop.since", "2026-11-01"),
        ({"shop": {"url": "https://s", "secret_env": "cs_0123456789 abc"}}, "secret_env", "environment"),
        ({"store": "a/b"}, "no name", "letters"),
        ({"store": ""}, "no name", "letters"),
        ({"webhook": {"listen": "8077"}}, "listen", "host and port"),
        ({"webhook": {"listen": "127.0.0.1:99999"}}, "listen", "host and port"),
        ({"log_level": "LOUD"}, "log_level", "DEBUG"),
        ({"outbox": {"path": 5}}, "outbox.path", "path"),
    ],
)
def test_what_is_wrong_is_refused_with_a_remedy(change: dict[str, object], cause: str, remedy: str) -> None:
    with pytest.raises(Stop) as told:
        config.read({**GOOD, **change})
    assert cause in told.value.cause
    assert remedy in told.value.remedy


def test_a_secret_written_where_its_name_belongs_is_not_repeated() -> None:
    with pytest.raises(Stop) as told:
        config.read({**GOOD, "shop": {"url": "https://s", "secret_env": "cs_top-secret"}})
    assert "cs_top" not in str(told.value)


def test_a_file_that_isnt_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="can't be read"):
        config.load(tmp_path / "none.toml")


def test_the_environment_may_name_the_file() -> None:
    assert config.load(None, {"COUNTERFOIL_AGENT_CONFIG": str(EXAMPLE)}).store == "eu1"


@pytest.mark.parametrize("content", [b"store = ", b"\xff\xfe", b"x" * 200_000, b"a = " + b"[" * 10_000])
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "agent.toml").write_bytes(content)
    with pytest.raises(Stop):
        config.load(tmp_path / "agent.toml")


def test_a_missing_secret_is_told_by_its_variable() -> None:
    with pytest.raises(Stop, match="COUNTERFOIL_SHOP_KEY"):
        config.secret("COUNTERFOIL_SHOP_KEY", {"COUNTERFOIL_SHOP_KEY": " "})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["store", "shop", "engine", "outbox", "webhook", "log_json", "x"]), values))
def test_nothing_that_a_file_can_say_ends_in_a_trace(told: dict[str, object]) -> None:
    try:
        config.read({**GOOD, **told})
    except Stop as stop:
        assert stop.remedy
