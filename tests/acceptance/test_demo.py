"""The demo: its proof can fail, its story ends well, and nothing stays behind when it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import requests
from counterfoil_engine import demo
from counterfoil_engine.demo import proof, stock
from counterfoil_engine.demo.baskets import order_of
from counterfoil_engine.demo.branches import AUSTIN, BERLIN, BRANCHES
from counterfoil_engine.demo.places import Place, Places
from counterfoil_engine.demo.proof import Ledger, Line
from counterfoil_engine.demo.rules import town_rules
from counterfoil_engine.work.rules_file import parse_rules


def line(**changed):
    fields = {"store": "eu1", "order_id": 1001, "status": "processing", "currency": "EUR"}
    fields |= {"shop_minor": 909, "engine_minor": 909, "erp_minor": 909}
    return Line(**{**fields, "sales_orders": 1, "expected_sales_orders": 1, "case": None, **changed})


def ledger(**journals):
    made = Ledger()
    for key, lines in journals.items():
        made.documents[key] = {"kind": "invoice", "order": "eu1/1001", "currency": "EUR", "amount_minor": 909}
        for role, *amounts in lines:
            made.journals[key].append(tuple(amounts))
            totals = made.by_role["DE01", role, "EUR"]
            totals[:] = [total + amount for total, amount in zip(totals, amounts, strict=True)]
    return made


SOLD = [("receivable", 909, 0, 909, 0), ("revenue:goods", 0, 909, 0, 909)]


def test_an_order_that_agrees_passes():
    assert proof.to_the_cent([line()]).ok
    assert proof.nothing_lost_or_doubled([line()], ledger()).ok


def test_one_cent_fails_the_proof_and_names_the_order():
    check = proof.to_the_cent([line(), line(order_id=1002, erp_minor=910)])
    assert not check.ok and "eu1/1002: shop 909, engine 909, ERP 910 EUR" in check.detail


@pytest.mark.parametrize("sales_orders", [0, 2])
def test_a_lost_or_doubled_order_fails_the_proof(sales_orders):
    assert not proof.nothing_lost_or_doubled([line(sales_orders=sales_orders)], ledger()).ok


def test_an_order_in_a_case_is_accounted_for_but_never_doubled():
    assert proof.nothing_lost_or_doubled([line(sales_orders=0, case="tax")], ledger()).ok
    assert not proof.nothing_lost_or_doubled([line(sales_orders=2, case="tax")], ledger()).ok


def test_a_key_that_is_in_the_erp_twice_fails_the_proof():
    twice = ledger()
    twice.doubled.append("eu1/1001/invoice/all/r1")
    assert not proof.nothing_lost_or_doubled([line()], twice).ok


def test_a_document_that_does_not_balance_fails_the_proof_in_either_currency():
    assert proof.balanced(ledger(a=SOLD), ledger(a=SOLD)).ok
    for off in [("receivable", 910, 0, 909, 0), ("receivable", 909, 0, 910, 0)]:
        assert not proof.balanced(ledger(a=[off, SOLD[1]]), ledger(a=SOLD)).ok


def test_a_document_of_one_side_alone_fails_the_proof():
    assert proof.same_documents(ledger(a=SOLD), ledger(a=SOLD)).ok
    assert not proof.same_documents(ledger(a=SOLD, b=SOLD), ledger(a=SOLD)).ok
    assert not proof.same_documents(ledger(), ledger(a=SOLD)).ok


def test_a_wrong_role_on_either_side_fails_the_proof():
    theirs = {("DE01", "receivable", "EUR"): [909, 0, 909, 0], ("DE01", "revenue:goods", "EUR"): [0, 909, 0, 909]}
    assert proof.same_balances(ledger(a=SOLD), theirs).ok
    wrong = {("DE01", "receivable", "EUR"): [909, 0, 909, 0], ("DE01", "revenue:services", "EUR"): [0, 909, 0, 909]}
    check = proof.same_balances(ledger(a=SOLD), wrong)
    assert not check.ok and "revenue:services" in check.detail


def test_what_the_shop_keeps_of_an_order_is_computed_from_the_order_alone():
    assert proof.kept_minor(demo.recorded("order_after_partial_refund")) == 4794 - 603
    assert proof.kept_minor(demo.recorded("order_gift_card_negative_fee")) == 383
    assert proof.kept_minor(demo.recorded("order_jpy")) == 1785
    assert proof.kept_minor(demo.recorded("order_kwd")) == 14700
    assert proof.kept_minor(demo.recorded("order_fully_refunded")) == 0
    assert proof.kept_minor(demo.recorded("order_status_pending")) == 0


def test_the_demos_rules_are_sound():
    assert set(parse_rules(json.dumps(demo.rules())).stores) == {demo.STORE}
    assert set(parse_rules(json.dumps(town_rules())).stores) == {branch.store for branch in BRANCHES}


def test_what_a_shopper_of_the_town_pays_is_what_the_lines_and_their_tax_come_to():
    order = order_of(AUSTIN, {"MUG": 7, "TEAPOT": 9}, {"MUG": 2, "TEAPOT": 1}, "Jo Miller")
    assert (order["total"], order["total_tax"], order["currency"]) == ("80.10", "6.10", "USD")
    assert order["billing"]["email"] == "jo@example.com"


def test_an_order_whose_agent_is_away_is_told_apart_from_one_that_is_lost():
    unheard = line(sales_orders=0, case="not heard")
    check = proof.nothing_lost_or_doubled([line(), unheard], ledger())
    assert check.ok and "1 that wait in their shop" in check.detail
    assert not proof.nothing_lost_or_doubled([line(sales_orders=0)], ledger()).ok


def test_where_a_demo_is_can_be_read_from_another_terminal(tmp_path):
    place = Place(BERLIN, "http://shop", "ck", "cs", "http://erp", "t", tmp_path / "erp.sqlite")
    places = Places(tmp_path / "engine.sqlite", (place,))
    places.write(tmp_path)
    assert Places.read(tmp_path) == places
    assert places.away() == set()
    places.send_away("fr1")
    assert Places.read(tmp_path).away() == {"fr1"}
    with places.standing_still():
        assert Places.read(tmp_path).is_still()
    assert not places.is_still()


def test_proving_where_no_demo_is_up_says_what_to_do(tmp_path):
    command = [sys.executable, "-m", "counterfoil_engine.demo", "--prove", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 2
    assert "make demo" in answer.stdout and "Traceback" not in answer.stdout + answer.stderr


# With real processes


class Running:
    """A demo being run, its output read as it comes."""

    def __init__(self, tmp_path, *arguments):
        self.home, self.output = tmp_path, tmp_path / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "counterfoil_engine.demo", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            )

    def text(self):
        return self.output.read_text(errors="replace")

    def wait_for(self, words, timeout_s):
        end = time.monotonic() + timeout_s
        while words not in self.text():
            assert self.process.poll() is None, self.text()[-3000:]
            assert time.monotonic() < end, self.text()[-3000:]
            time.sleep(0.2)

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def left_behind(self):
        """Processes whose command names the demo's folder, and folders."""
        processes = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.home) in command and "pytest" not in command:
                processes.append(command)
        return processes + [str(folder) for folder in self.home.glob("counterfoil-demo-*")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_ended_early_leaves_nothing_behind(tmp_path, number):
    running = Running(tmp_path)
    running.wait_for("eu1 in Berlin is up", timeout_s=60)
    assert running.left_behind()
    assert running.end(number) != 0
    assert running.left_behind() == []
    assert "Traceback" not in running.text()


@pytest.mark.slow
def test_the_demo_proves_itself_lives_on_and_finds_a_document_that_is_edited_behind_its_back(tmp_path):
    running = Running(tmp_path)
    try:
        running.wait_for("Ctrl-C ends it", timeout_s=300)
        said = running.text()
        assert "Every invariant held." in said
        assert "FAIL" not in said
        every_link_of_the_guide_leads_somewhere(said)
        prove = re.search(r"(\S+) -m counterfoil_engine\.demo --prove (\S+)", said)
        command = [prove[1], "-m", "counterfoil_engine.demo", "--prove", prove[2]]
        slow = Places.read(Path(prove[2])).stores[2]
        modes, token = f"{slow.erp_url}/sandbox/modes", {"Authorization": f"Bearer {slow.erp_token}"}
        requests.post(modes, json={"reset": True}, headers=token, timeout=30).raise_for_status()
        proven = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert proven.returncode == 0, proven.stdout
        words = re.search(r"(\. \S+/env)\s+Ask the engine\s+(counterfoil .+)", said)
        asked = subprocess.run(["sh", "-ec", f"{words[1]}; {words[2]}"], capture_output=True, text=True, timeout=60)
        assert asked.returncode == 0, asked.stderr
        place = Places.read(Path(prove[2])).stores[0]
        edit = json.loads(re.search(r"tamper -d '(.+)'", said)[1])
        headers = {"Authorization": f"Bearer {place.erp_token}"}
        requests.post(f"{place.erp_url}/sandbox/tamper", json=edit, headers=headers, timeout=30).raise_for_status()
        found = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert found.returncode == 1 and "FAIL" in found.stdout
    finally:
        status = running.end(signal.SIGINT)
    assert status == 0
    assert running.left_behind() == []


def every_link_of_the_guide_leads_somewhere(said):
    """Signed in as it says, each of the five pages says what the guide promises."""
    console, name, password = re.search(r"(http://\S+/console)/\s+sign in as (\S+), password (\S+)", said).groups()
    links = re.findall(rf"{console}(/\S*)", said.split("Five things to look at")[1])
    assert len(links) == 5
    session = requests.Session()
    form = session.get(f"{console}/sign-in", timeout=10).text
    fields = dict(re.findall(r'name="(csrf|wanted)" value="([^"]*)"', form))
    session.post(f"{console}/sign-in", data={**fields, "name": name, "password": password}, timeout=10)
    pages = [session.get(f"{console}{link}", timeout=10) for link in links]
    assert [page.status_code for page in pages] == [200] * 5
    told = ("fr1", "klarna_later", "BOWL", "23.80", "in the ERP")
    assert [word.lower() in page.text.lower() for word, page in zip(told, pages, strict=True)] == [True] * 5


def test_stock_that_a_shop_offers_beyond_what_is_there_fails_the_proof(monkeypatch, tmp_path):
    monkeypatch.setattr(stock, "offered", lambda place: {"MUG": 38})
    monkeypatch.setattr(stock, "there", lambda place: {"MUG": 40})
    monkeypatch.setattr(stock, "sold", lambda place: Counter({"MUG": 2}))
    monkeypatch.setattr(stock, "numbers", lambda places, place: {"MUG": 38})
    monkeypatch.setattr(stock, "told", lambda places, place: set())
    place = Place(BERLIN, "http://shop", "ck", "cs", "http://erp", "t", tmp_path / "erp.sqlite")
    places = Places(tmp_path / "engine.sqlite", (place,))
    assert stock.agrees(places).ok
    wrong = {
        "offered": lambda place: {"MUG": 39},
        "there": lambda place: {"MUG": 39},
        "sold": lambda place: Counter(),
        "numbers": lambda places, place: {},
    }
    for name, says in wrong.items():
        with monkeypatch.context() as one:
            one.setattr(stock, name, says)
            assert not stock.agrees(places).ok
    monkeypatch.setattr(stock, "offered", lambda place: {"MUG": 55})
    monkeypatch.setattr(stock, "told", lambda places, place: {"mug"})
    edited = stock.agrees(places)
    assert edited.ok and "1 edited by hand" in edited.detail
