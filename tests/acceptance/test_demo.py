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
from counterfoil_engine import demo, demo_proof, demo_stock
from counterfoil_engine.demo_proof import Ledger, Line
from counterfoil_engine.work.rules_file import parse_rules


def line(**changed):
    fields = {"order_id": 1001, "status": "processing", "currency": "EUR", "shop_minor": 909, "engine_minor": 909}
    return Line(**{**fields, "erp_minor": 909, "sales_orders": 1, "expected_sales_orders": 1, "case": None, **changed})


def ledger(**journals):
    made = Ledger()
    for key, lines in journals.items():
        made.documents[key] = {"kind": "invoice", "order": 1001, "currency": "EUR", "amount_minor": 909}
        for role, *amounts in lines:
            made.journals[key].append(tuple(amounts))
            totals = made.by_role[role, "EUR"]
            totals[:] = [total + amount for total, amount in zip(totals, amounts, strict=True)]
    return made


SOLD = [("receivable", 909, 0, 909, 0), ("revenue:goods", 0, 909, 0, 909)]


def test_an_order_that_agrees_passes():
    assert demo_proof.to_the_cent([line()]).ok
    assert demo_proof.nothing_lost_or_doubled([line()], ledger()).ok


def test_one_cent_fails_the_proof_and_names_the_order():
    check = demo_proof.to_the_cent([line(), line(order_id=1002, erp_minor=910)])
    assert not check.ok and "1002: shop 909, engine 909, ERP 910 EUR" in check.detail


@pytest.mark.parametrize("sales_orders", [0, 2])
def test_a_lost_or_doubled_order_fails_the_proof(sales_orders):
    assert not demo_proof.nothing_lost_or_doubled([line(sales_orders=sales_orders)], ledger()).ok


def test_an_order_in_a_case_is_accounted_for_but_never_doubled():
    assert demo_proof.nothing_lost_or_doubled([line(sales_orders=0, case="tax")], ledger()).ok
    assert not demo_proof.nothing_lost_or_doubled([line(sales_orders=2, case="tax")], ledger()).ok


def test_a_key_that_is_in_the_erp_twice_fails_the_proof():
    twice = ledger()
    twice.doubled.append("eu1/1001/invoice/all/r1")
    assert not demo_proof.nothing_lost_or_doubled([line()], twice).ok


def test_a_document_that_does_not_balance_fails_the_proof_in_either_currency():
    assert demo_proof.balanced(ledger(a=SOLD), ledger(a=SOLD)).ok
    for off in [("receivable", 910, 0, 909, 0), ("receivable", 909, 0, 910, 0)]:
        assert not demo_proof.balanced(ledger(a=[off, SOLD[1]]), ledger(a=SOLD)).ok


def test_a_document_of_one_side_alone_fails_the_proof():
    assert demo_proof.same_documents(ledger(a=SOLD), ledger(a=SOLD)).ok
    assert not demo_proof.same_documents(ledger(a=SOLD, b=SOLD), ledger(a=SOLD)).ok
    assert not demo_proof.same_documents(ledger(), ledger(a=SOLD)).ok


def test_a_wrong_role_on_either_side_fails_the_proof():
    theirs = {("receivable", "EUR"): [909, 0, 909, 0], ("revenue:goods", "EUR"): [0, 909, 0, 909]}
    assert demo_proof.same_balances(ledger(a=SOLD), theirs).ok
    wrong = {("receivable", "EUR"): [909, 0, 909, 0], ("revenue:services", "EUR"): [0, 909, 0, 909]}
    check = demo_proof.same_balances(ledger(a=SOLD), wrong)
    assert not check.ok and "revenue:services" in check.detail


def test_what_the_shop_keeps_of_an_order_is_computed_from_the_order_alone():
    assert demo_proof.kept_minor(demo.recorded("order_after_partial_refund")) == 4794 - 603
    assert demo_proof.kept_minor(demo.recorded("order_gift_card_negative_fee")) == 383
    assert demo_proof.kept_minor(demo.recorded("order_jpy")) == 1785
    assert demo_proof.kept_minor(demo.recorded("order_kwd")) == 14700
    assert demo_proof.kept_minor(demo.recorded("order_fully_refunded")) == 0
    assert demo_proof.kept_minor(demo.recorded("order_status_pending")) == 0


def test_the_demos_rules_are_sound():
    parsed = parse_rules(json.dumps(demo.rules()))
    assert set(parsed.stores) == {demo.STORE}


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
    running.wait_for("The shop is up", timeout_s=60)
    assert running.left_behind()
    assert running.end(number) != 0
    assert running.left_behind() == []
    assert "Traceback" not in running.text()


@pytest.mark.slow
def test_the_demo_proves_itself_and_finds_a_document_that_is_edited_behind_its_back(tmp_path):
    running = Running(tmp_path)
    try:
        running.wait_for("Ctrl-C ends it", timeout_s=300)
        said = running.text()
        assert "Every invariant held." in said
        assert "FAIL" not in said
        prove = re.search(r"(\S+) -m counterfoil_engine\.demo --prove (\S+)", said)
        command = [prove[1], "-m", "counterfoil_engine.demo", "--prove", prove[2]]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
        words = re.search(r"(\. \S+/env)\s+Ask the engine\s+(counterfoil .+)", said)
        asked = subprocess.run(["sh", "-ec", f"{words[1]}; {words[2]}"], capture_output=True, text=True, timeout=60)
        assert asked.returncode == 0, asked.stderr
        places = demo.read_places(Path(prove[2]))
        edit = json.loads(re.search(r"tamper -d '(.+)'", said)[1])
        headers = {"Authorization": f"Bearer {places.erp_token}"}
        requests.post(f"{places.erp_url}/sandbox/tamper", json=edit, headers=headers, timeout=30).raise_for_status()
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert found.returncode == 1 and "FAIL" in found.stdout
    finally:
        status = running.end(signal.SIGINT)
    assert status == 0
    assert running.left_behind() == []


def test_stock_that_the_shop_offers_beyond_what_is_there_fails_the_proof(monkeypatch):
    told = {"offered": {"MUG": 38}, "there": {"MUG": 40}, "sold": Counter({"MUG": 2}), "numbers": {"MUG": 38}}
    for name, units in told.items():
        monkeypatch.setattr(demo_stock, name, lambda places, units=units: units)
    assert demo_stock.agrees(None).ok
    for name, wrong in (("offered", {"MUG": 39}), ("there", {"MUG": 39}), ("sold", Counter()), ("numbers", {})):
        monkeypatch.setattr(demo_stock, name, lambda places, wrong=wrong: wrong)
        assert not demo_stock.agrees(None).ok
        monkeypatch.setattr(demo_stock, name, lambda places, units=told[name]: units)
