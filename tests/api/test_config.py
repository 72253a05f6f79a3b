"""Settings: read once, and nothing misspelt passes for something that works."""

from __future__ import annotations

from pathlib import Path

import pytest
from counterfoil_engine.config import Limits, load, settings
from counterfoil_engine.domain.errors import CounterfoilError

SECRET = "0123456789abcdef"
WATCHED = ("metrics_token_env", "metrics_listen", "slos", "runbooks", "traces_url", "webhook", "webhook_secret_env")
WATCHED += ("smtp", "smtp_tls", "smtp_user", "smtp_password_env", "mail_from", "mail_to")
EXAMPLE = Path(__file__).parents[2] / "engine" / "counterfoil-engine.example.toml"


def test_the_example_is_what_holds_without_a_file():
    assert load(EXAMPLE, {}) == load(None, {})


def test_the_example_names_every_setting():
    text = EXAMPLE.read_text()
    for name in [
        *Limits.__dataclass_fields__,
        *WATCHED,
        "database",
        "listen",
        "rules",
        "url",
        "api_token_env",
        "secret_env",
        "token_env",
    ]:
        assert f"{name} = " in text


def test_the_example_s_commented_lines_hold_too(tmp_path):
    lines = EXAMPLE.read_text().splitlines()
    text = "\n".join(line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in lines)
    (tmp_path / "all.toml").write_text(text)
    named = ("SHOP_2_SECRET", "COUNTERFOIL_ERP_TOKEN_DE01", "COUNTERFOIL_WMS_TOKEN", "COUNTERFOIL_OIDC_SECRET")
    named += ("COUNTERFOIL_ALERT_SECRET", "COUNTERFOIL_SMTP_PASSWORD")
    named += ("COUNTERFOIL_NEXT_ERP_TOKEN_DE01", "COUNTERFOIL_ERP_TOKEN_US01")
    environment = dict.fromkeys(named, SECRET)
    told = load(tmp_path / "all.toml", environment)
    assert told.store_secrets == {"Shop_2": (SECRET,)}
    assert (told.erps["DE01"].url, told.erps["DE01"].token) == ("https://erp.example.com", SECRET)
    assert told.erps["DE01"].options == {"timeout_s": 30}
    assert (told.erps["DE01"].name, told.successors["DE01"].name) == ("old", "next")
    wms = told.parties["hub-berlin"]
    assert (wms.kind, wms.url, wms.token, wms.entities) == ("wms", "https://wms.example.com", SECRET, ("DE01",))
    assert (told.watch.metrics_listen, told.watch.alerts.smtp) == ("127.0.0.1:8468", "mail.example.com:587")


PARTY = {"kind": "wms", "adapter": "http", "url": "https://wms.example.com", "entities": ["DE01"]}


@pytest.mark.parametrize(
    "parties",
    [
        {"Hub": PARTY},
        {"hub": {**PARTY, "kind": "erp"}},
        {"hub": {**PARTY, "url": ""}},
        {"hub": {**PARTY, "entities": "DE01"}},
        {"hub": {**PARTY, "entities": [7]}},
        {"hub": {**PARTY, "warehouse": "BER"}},
        {"hub": PARTY, "other": PARTY},
    ],
    ids=["capitals", "kind", "no url", "entities as text", "entity is no text", "unknown", "two of one entity"],
)
def test_a_party_that_can_not_be_meant_so_is_refused(parties):
    with pytest.raises(CounterfoilError):
        settings({"party": parties}, {})


def test_an_entity_may_have_several_gateways():
    gateway = {**PARTY, "kind": "gateway"}
    assert set(settings({"party": {"stripe": gateway, "paypal": gateway}}, {}).parties) == {"stripe", "paypal"}


def test_a_store_s_secret_comes_from_the_environment():
    told = settings({}, {"COUNTERFOIL_STORE_SECRET_EU_1": SECRET, "COUNTERFOIL_OLD_STORE_SECRET_EU_1": SECRET[::-1]})
    assert told.store_secrets == {"eu-1": (SECRET, SECRET[::-1])}


def test_where_the_feed_is_comes_from_the_file_or_the_environment():
    told = settings({"feed": {"listen": "0.0.0.0:9000", "url": "https://feed.example.com/"}}, {})
    assert (told.feed.listen, told.feed.url) == ("0.0.0.0:9000", "https://feed.example.com")
    named = {"COUNTERFOIL_FEED_LISTEN": "127.0.0.1:1", "COUNTERFOIL_FEED_URL": "http://127.0.0.1:1"}
    told = settings({"feed": {"listen": "0.0.0.0:9000"}}, named)
    assert (told.feed.listen, told.feed.url) == ("127.0.0.1:1", "http://127.0.0.1:1")
    assert (settings({}, {}).feed.listen, settings({}, {}).feed.url) == ("127.0.0.1:8802", None)
    for wrong in ({"listen": "here"}, {"url": "feed.example.com"}, {"url": "https://a b"}, {"port": 1}, {"url": 7}):
        with pytest.raises(CounterfoilError):
            settings({"feed": wrong}, {})


def test_the_environment_wins():
    told = settings(
        {"engine": {"database": "sqlite:///a", "listen": "a:1", "rules": "a"}},
        {"COUNTERFOIL_DATABASE": "sqlite:///b", "COUNTERFOIL_LISTEN": "b:2", "COUNTERFOIL_RULES": "b"},
    )
    assert (told.database, told.listen, told.rules) == ("sqlite:///b", "b:2", Path("b"))


def test_settings_don_t_show_their_secrets():
    table = {"erp": {"DE01": {"adapter": "http", "url": "https://erp.example.com", "token_env": "ERP"}}}
    environment = {"COUNTERFOIL_API_TOKEN": SECRET, "COUNTERFOIL_STORE_SECRET_EU1": SECRET, "ERP": SECRET}
    assert SECRET not in repr(settings(table, environment))


@pytest.mark.parametrize(
    ("table", "environment", "word"),
    [
        ({"engin": {}}, {}, "engin"),
        ({"engine": {"lisen": "x"}}, {}, "lisen"),
        ({"engine": 7}, {}, "engine"),
        ({"engine": {"listen": 7}}, {}, "listen"),
        ({"engine": {"listen": "8466"}}, {}, "host:port"),
        ({"engine": {"listen": "a:99999"}}, {}, "host:port"),
        ({"engine": {"listen": "a:²"}}, {}, "host:port"),
        ({"engine": {"database": "postgresql://u:geheim@h/n"}}, {}, "COUNTERFOIL_DATABASE"),
        ({"engine": {"database": "http://[::1"}}, {}, "postgresql://"),
        ({"limits": {"events": 0}}, {}, "events"),
        ({"limits": {"events": True}}, {}, "events"),
        ({"limits": {"events": "500"}}, {}, "events"),
        ({"stores": {"eu 1": {}}}, {}, "eu 1"),
        ({"stores": {"eu1": {"secret": "x"}}}, {}, "secret"),
        ({"stores": {"eu1": {"secret_env": "NOT_SET"}}}, {}, "NOT_SET"),
        ({}, {"COUNTERFOIL_STORE_SECRET_EU1": "short"}, "COUNTERFOIL_STORE_SECRET_EU1"),
        ({}, {"COUNTERFOIL_API_TOKEN": "short"}, "COUNTERFOIL_API_TOKEN"),
        ({"erp": {"DE01": {}}}, {}, "adapter"),
        ({"erp": {"DE01": {"adapter": "http"}}}, {}, "url"),
        ({"erp": {"DE01": {"adapter": "http", "url": "x", "token": "x"}}}, {}, "token"),
        ({"erp": {"DE01": {"adapter": "http", "url": "x", "token_env": "NOT_SET"}}}, {}, "NOT_SET"),
    ],
)
def test_a_wrong_setting_is_refused_with_cause_and_remedy(table, environment, word):
    with pytest.raises(CounterfoilError) as refused:
        settings(table, environment)
    assert word in str(refused.value)
    assert refused.value.cause.endswith(".") and refused.value.remedy
    assert "geheim" not in str(refused.value)
    assert not any(secret in str(refused.value) for secret in environment.values())


@pytest.mark.parametrize("content", [b"[engine", b"\xff\xfe", b"a = 1\na = 2", b"x = " + b"[" * 5000])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    path = tmp_path / "engine.toml"
    path.write_bytes(content)
    with pytest.raises(CounterfoilError):
        load(path, {})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CounterfoilError) as refused:
        load(tmp_path / "nowhere.toml", {})
    assert "nowhere.toml" in refused.value.cause


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("watch", {"traces_url": "collector:4318"}),
        ("watch", {"traces_url": "https://name:word@collector.example.com/v1/traces"}),
        ("watch", {"metrics_listen": "8467"}),
        ("watch", {"metric_listen": "127.0.0.1:8468"}),
        ("alerts", {"webhook": "https://alerts.example.com", "webhook_secret_env": "NOT_SET"}),
        ("alerts", {"webhook": "https://[::1"}),
        ("alerts", {"smtp": "mail.example.com"}),
        ("alerts", {"smtp": "mail.example.com:25", "mail_from": "a@example.com"}),
        (
            "alerts",
            {"smtp": "mail.example.com:25", "mail_from": "a@example.com", "mail_to": ["b@example.com\nBcc: x@y.z"]},
        ),
        ("alerts", {"smtp": "mail.example.com:25", "mail_from": "a@example.com", "mail_to": [7]}),
        ("alerts", {"smtp_tls": "ssl3"}),
    ],
)
def test_what_is_wrong_about_being_watched_is_told_with_a_remedy(part, wrong):
    with pytest.raises(CounterfoilError) as told:
        settings({part: wrong}, {"COUNTERFOIL_ALERT_SECRET": SECRET})
    assert told.value.cause.startswith(("Settings: ", "The environment's ")) and told.value.remedy
