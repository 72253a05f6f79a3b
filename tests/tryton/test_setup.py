"""Connecting a Tryton: what is checked, proposed, and made after a yes; what each thing that is wrong says."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner
from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.adapters.erp.tryton.names import NameMap, load
from counterfoil_engine.cli.commands import counterfoil
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.ports import Posted, Refused
from month.world import rules_text
from sandbox.erp_documents import a_customer, a_line, a_payment, a_sales_order

from tryton import server as servers
from tryton.conformance import close_period, company_id, open_period
from tryton.orders import numbered


@pytest.fixture
def settings(tryton: servers.Server, tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(rules_text())
    path = tmp_path / "engine.toml"
    path.write_text(
        f'[engine]\nrules = "{tmp_path / "rules.yaml"}"\n[erp.DE01]\nadapter = "tryton"\nurl = "{tryton.url}"\n'
        f'token_env = "TRYTON_PASSWORD"\noptions = {{ map = "{tmp_path / "map.toml"}" }}\n'
    )
    return path


def run(*words: str, answer: str = "") -> tuple[int, str]:
    with mock.patch.dict(os.environ, {"TRYTON_PASSWORD": servers.PASSWORD}):
        done = CliRunner().invoke(counterfoil, ["erp", "setup", "tryton", *words], input=answer)
    return done.exit_code, done.output


def test_nothing_is_made_without_a_yes(settings: Path) -> None:
    code, said = run("DE01", "--config", str(settings), "--role", "tax:oss:XX:12", answer="n\n")
    assert code != 0 and "can be made" in said and "tax:oss:XX:12" in said
    assert not (settings.parent / "map.toml").exists()


def test_what_is_missing_is_made_after_a_yes_and_the_map_names_it(settings: Path, tryton: servers.Server) -> None:
    code, said = run("DE01", "--config", str(settings), "--role", "tax:oss:YY:12", "--warehouse", "MAIN", "--yes")
    assert "1 made" in said or "2 made" in said, said
    assert "MUC" in said and code == 1  # a warehouse of ours that Tryton doesn't have, by its name
    names = load(settings.parent / "map.toml")
    assert names.accounts["tax:oss:YY:12"] == "tax:oss:YY:12" and names.warehouse == "MAIN"
    assert names.accounts["receivable"] != "receivable"  # the chart's own
    (outcome,) = tryton.erp(names).post(numbered([a_payment()]))
    assert isinstance(outcome, Posted)


def test_two_roles_on_one_account_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('company = "DE01"\njournal = "CFL"\n[accounts]\nreceivable = "1"\ndeposits = "1"\n')
    with pytest.raises(CounterfoilError, match="receivable and deposits are both on the account 1"):
        load(path)


# What is wrong, and what it says


def test_a_wrong_password_says_where_to_look(tryton: servers.Server) -> None:
    erp = TrytonErp(tryton.url, "another-password", map=tryton.maps["DE01"])
    assert "Check user in the engine's settings" in erp.health().detail


def test_a_database_that_is_not_there_says_where_to_look(tryton: servers.Server) -> None:
    erp = TrytonErp(tryton.url + "x", servers.PASSWORD, map=tryton.maps["DE01"])
    health = erp.health()
    assert not health.ok and "url in the engine's settings" in health.detail


def test_a_company_that_is_not_there_is_named(tryton: servers.Server) -> None:
    health = tryton.erp(NameMap("FR01", "CFL")).health()
    assert not health.ok and "'FR01'" in health.detail


def test_another_series_is_refused_by_name(tryton: servers.Server) -> None:
    erp = tryton.erp(tryton.maps["DE01"])
    with mock.patch.object(erp.tryton, "version", return_value="7.0"):
        health = erp.health()
    assert not health.ok and "7.0" in health.detail and "8.2" in health.detail


def test_an_account_that_is_gone_is_named_with_its_role(tryton: servers.Server) -> None:
    names = tryton.maps["DE01"]
    erp = tryton.erp(replace(names, accounts={**names.accounts, "deposits": "gone"}))
    (outcome,) = erp.post(numbered([a_payment()]))
    assert isinstance(outcome, Refused) and outcome.case.category == "missing_mapping"
    assert "gone" in outcome.case.cause and "deposits" in outcome.case.cause and outcome.case.remedy


def test_a_product_of_another_unit_is_refused_by_name(tryton: servers.Server) -> None:
    client = tryton.client()
    client.context["company"] = company_id(tryton)
    (unit,) = client.read("model.product.uom.search", [("name", "=", "Kilogram")], 0, 1, None)
    values = {"name": "Tea", "type": "goods", "default_uom": unit, "sale_uom": unit, "salable": True}
    values["list_price"] = Decimal(0)
    client.write("model.product.template.create", [{**values, "products": [("create", [{"suffix_code": "TEA-KG"}])]}])
    life = numbered([a_customer(), a_sales_order([a_line(2028, 385, item="TEA-KG")], 2413)])
    erp = tryton.erp(tryton.maps["DE01"])
    erp.post(life[:1])
    (outcome,) = erp.post(life[1:])
    assert isinstance(outcome, Refused) and "another unit than pieces" in outcome.case.cause


def test_a_party_that_was_merged_is_found_by_its_identifier(tryton: servers.Server) -> None:
    life = numbered([a_customer(), a_sales_order()])
    erp, client = tryton.erp(tryton.maps["DE01"]), tryton.client()
    (posted,) = erp.post(life[:1])
    assert isinstance(posted, Posted)
    (old,) = client.read("model.party.party.search", [("code", "=", posted.number)], 0, 1, None)
    (new,) = client.write("model.party.party.create", [{"name": "Ada Lovelace", "addresses": [("create", [{}])]}])
    context = {"active_model": "party.party", "active_id": old, "active_ids": [old]}
    session, _, _ = client.write("wizard.party.replace.create", **context)
    client.write(
        "wizard.party.replace.execute", session, {"ask": {"source": old, "destination": new}}, "replace", **context
    )
    (outcome,) = erp.post(life[1:])
    assert isinstance(outcome, Posted)
    (sale,) = client.read("model.sale.sale.search_read", [("number", "=", outcome.number)], 0, 1, None, ["party"])
    assert sale["party"] == new


def test_a_period_that_was_closed_in_between_is_refused_and_the_next_open_day_is_said(tryton: servers.Server) -> None:
    erp = tryton.erp(tryton.maps["DE01"])
    close_period(tryton, date(2026, 3, 10))
    try:
        (outcome,) = erp.post(numbered([a_payment(date="2026-03-10")]))
        assert isinstance(outcome, Refused) and outcome.case.category == "closed_period"
        assert erp.open_day("DE01", date(2026, 3, 10)) == date(2026, 4, 1)
    finally:
        open_period(tryton, date(2026, 3, 10))


def test_a_user_without_rights_is_told_which_it_lacks(tryton: servers.Server) -> None:
    servers.execute_in(
        tryton.database,
        "insert into res_user (name, login, active, password_hash, company, company_filter)"
        " select 'Poor', 'poor', true,"
        " password_hash, company, company_filter from res_user where login = 'counterfoil' on conflict do nothing;"
        ' insert into "res_user-company_company" ("user", company) select p.id, c.company from res_user p,'
        ' "res_user-company_company" c join res_user u on u.id = c."user" where p.login = \'poor\''
        " and u.login = 'counterfoil'",
    )
    erp = tryton.erp(tryton.maps["DE01"], user="poor")
    with pytest.raises(Unavailable) as caught:
        outcomes = erp.post(numbered([a_payment()]))
        assert isinstance(outcomes[0], Refused)
        raise Unavailable(outcomes[0].case.cause, outcomes[0].case.remedy)
    assert "groups" in caught.value.remedy


def test_the_help_shows_an_example() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("counterfoil"), "erp", "setup", "tryton", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "Example:" in done.stdout
