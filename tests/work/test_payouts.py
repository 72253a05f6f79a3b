"""Payouts: reports come in once, each is settled by looks like any other subject, and nothing is posted twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest
from counterfoil_engine.adapters.payouts.folder import Folder, format_of
from counterfoil_engine.domain.documents import Document
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.postings import journal
from counterfoil_engine.ports import Caller
from counterfoil_engine.records import party_facts, payouts, postings
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.payouts import ChooseReport, MatchLine, PayoutFolder, Payouts
from domain.settlement.reports import stripe, stripe_row
from fakes.databases import open_database
from fakes.engine import a_document, a_world
from fakes.party_facts import judged, payout

PO_1 = "payout stripe/po_1"
ANNA = Caller("anna", "controller")


def money(kind, amount_minor, transaction, order="1001", **body) -> Document:
    """A document as an order's dues make it, with its journal."""
    made = {"gateway": "stripe", "transaction": transaction, "book_minor": amount_minor, **body}
    if kind == "payment":
        made |= {"method": "card", "to": "deposits", "inferred": False}
    document = a_document(kind, amount_minor, transaction, order)
    lines = journal(kind, made, amount_minor, "EUR")
    return replace(document, body=made, journal=lines, known_as=(transaction,), day=date(2026, 11, 18))


def a_report(*rows, net="116.75"):
    """po_1 as Stripe reports it: rows, and the payout's own."""
    own = f"po_1,2026-11-20 00:00:00,eur,-{net},0.00,-{net},payout,po_1,po_1,2026-11-20 00:00:00"
    return stripe(*(rows or (stripe_row("119.00", "2.25", "116.75"),)), own)


@pytest.fixture
def takes(world):
    return Payouts(world.records, payouts, world.book, party_facts)


def take(takes, data):
    return [each["verdict"] for each in takes.take("stripe", data, "november.csv", "anna")["payouts"]]


def standing(world):
    """key → amount of what stands in the ERP."""
    return {key.rpartition("/")[0]: each["amount_minor"] for key, each in world.erp.standing().items()}


def clearing(world):
    return world.one("select coalesce(sum(debit_minor - credit_minor), 0) from journal where role like 'clearing:%%'")


def test_a_payout_whose_charge_is_posted_posts_its_fee_and_itself_and_the_clearing_is_empty(world, takes):
    world.due("1001", money("payment", 11900, "ch_1"))
    world.run()
    assert take(takes, a_report()) == ["new"]
    world.run()
    assert standing(world) == {
        "eu1/1001/payment/ch_1": 11900,
        "DE01/-/fee/stripe.po_1.txn_1": 225,
        "DE01/-/payout/stripe.po_1": 11675,
    }
    assert clearing(world) == 0
    assert world.open_cases() == []


def test_what_no_order_knows_stands_unapplied_with_a_case_until_its_order_posts_it(world, takes):
    take(takes, a_report())
    world.run()
    assert standing(world)["DE01/-/payment/stripe.po_1.txn_1"] == 11900
    assert len(world.open_cases()) == 1 and clearing(world) == 0
    world.due("1001", money("payment", 11900, "ch_1"))
    world.run()
    assert "DE01/-/payment/stripe.po_1.txn_1" not in standing(world)
    assert standing(world)["eu1/1001/payment/ch_1"] == 11900
    assert world.open_cases() == [] and clearing(world) == 0


def test_a_fee_that_the_gateway_tells_of_later_replaces_the_reports(world, takes):
    world.due("1001", money("payment", 11900, "ch_1"))
    take(takes, a_report())
    world.run()
    world.due("1001", money("payment", 11900, "ch_1"), money("fee", 225, "ch_1"))
    world.run()
    assert [key for key in standing(world) if "/fee/" in key] == ["eu1/1001/fee/ch_1"]
    assert clearing(world) == 0


def test_a_report_sent_twice_is_a_duplicate_and_another_content_a_conflict(world, takes):
    assert take(takes, a_report()) == ["new"]
    world.run()
    before = world.erp.posted()
    assert take(takes, a_report().replace(b"\n", b"\r\n")) == ["duplicate"]
    other = a_report(stripe_row("120.00", "3.25", "116.75"))
    assert take(takes, other) == ["conflict"]
    world.run()
    assert world.erp.posted() == before
    assert any("was reported before with another content" in cause for cause in world.open_cases())


def test_a_person_chooses_which_of_two_reports_counts(world, takes):
    take(takes, a_report())
    take(takes, a_report(stripe_row("120.00", "3.25", "116.75")))
    world.run()
    eyes = FourEyes(world.records, world.book, [ChooseReport(world.records, payouts)])
    other = next(each["digest"] for each in takes.show("stripe", "po_1")["reports"] if not each["stands"])
    eyes.ask("choose_report", {"source": "stripe", "payout": "po_1", "report": other[:12]}, ANNA)
    world.run()
    assert standing(world)["DE01/-/fee/stripe.po_1.txn_1"] == 325
    assert not any("another content" in cause for cause in world.open_cases())


def test_a_person_says_which_document_a_line_is_and_every_later_look_knows(world, takes):
    world.due("1001", money("payment", 11900, "ch_other"))
    world.run()
    take(takes, a_report())
    world.run()
    assert "eu1/1001/payment/ch_other" in world.one("select remedy from cases")  # the likeliest
    eyes = FourEyes(world.records, world.book, [MatchLine(world.records, payouts, postings, world.book)])
    asked = {"source": "stripe", "payout": "po_1", "line": "txn_1", "document": "eu1/1001/payment/ch_other/r1"}
    assert eyes.ask("manual_match", asked, ANNA)["slot"] == "eu1/1001/payment/ch_other"
    world.run()
    assert "DE01/-/payment/stripe.po_1.txn_1" not in standing(world)
    assert world.open_cases() == [] and clearing(world) == 0


@pytest.mark.parametrize(
    "change",
    [{"line": "txn_9"}, {"document": "eu1/9999/payment/x"}, {"payout": "po_9"}, {"line": "po_1"}],
    ids=["no such line", "no such document", "no such payout", "the payout itself"],
)
def test_a_match_that_can_not_be_is_refused_with_its_remedy(world, takes, change):
    world.due("1001", money("payment", 11900, "ch_other"))
    world.run()
    take(takes, a_report())
    eyes = FourEyes(world.records, world.book, [MatchLine(world.records, payouts, postings, world.book)])
    asked = {"source": "stripe", "payout": "po_1", "line": "txn_1", "document": "eu1/1001/payment/ch_other"}
    with pytest.raises(CounterfoilError):
        eyes.ask("manual_match", {**asked, **change}, ANNA)
    assert world.one("select count(*) from payout_decisions") == 0


def test_a_payout_is_not_posted_before_its_stores_are_switched_on(world, takes):
    world.load_rules("v2", "preview")
    take(takes, a_report())
    world.run()
    assert world.erp.posted() == []
    assert set(world.states(PO_1).values()) == {"ready"}


def test_what_rules_alone_change_of_a_payout_is_held(world, takes):
    """R2 by the same code as orders: a payout's document, computed otherwise from the same facts, is not reversed."""
    take(takes, a_report())
    world.run()
    before = world.erp.posted()
    looker = world.looker()
    reader = looker._readers["payout"]
    dues = reader.dues
    reader.dues = lambda facts, rules, as_of: replace(dues(facts, rules, as_of), documents=())
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, [PO_1], "live")
    world.run(looker)
    assert world.erp.posted() == before
    assert world.one("select count(*) from restatements where subject = %s", PO_1) == 3


def test_a_restart_in_the_middle_posts_nothing_twice(world, takes):
    world.due("1001", money("payment", 11900, "ch_1"))
    world.run()
    take(takes, a_report())
    world.looker().step()
    world.erp.lose_answers = 1
    poster = world.poster()
    poster.step()  # sent, and its answer is lost
    poster.give_back()
    assert "sent" in world.states(PO_1).values()
    assert take(takes, a_report()) == ["duplicate"]
    world.clock.pass_time(60)
    world.run()
    posted = world.erp.posted()
    assert len(posted) == len(set(posted)) == 3
    assert clearing(world) == 0


def test_a_report_that_says_no_sum_waits_for_the_gateways_announcement(world, takes):
    take(takes, stripe(stripe_row("119.00", "2.25", "116.75")))
    world.run()
    assert world.erp.posted() == []
    announce(world, 11675)
    world.run()
    assert standing(world)["DE01/-/payout/stripe.po_1"] == 11675


def test_a_report_that_lacks_lines_of_what_was_announced_is_a_case_and_the_payout_alone_is_posted(world, takes):
    take(takes, stripe(stripe_row("119.00", "2.25", "116.75")))
    announce(world, 20000)
    world.run()
    assert standing(world) == {"DE01/-/payout/stripe.po_1": 20000}
    assert "add up to 116.75 EUR" in world.open_cases()[0]


def test_what_is_paid_out_tomorrow_is_posted_tomorrow(world):
    announce(world, 11675, "2026-11-24")
    world.run()
    assert standing(world) == {}
    world.clock.pass_time(86_400)
    with world.database.transaction() as tx:
        world.records.looks.mark_again(tx)
    world.run()
    assert standing(world) == {"DE01/-/payout/stripe.po_1": 11675}


def announce(world, amount_minor, paid_on="2026-11-20"):
    fact = judged(payout("po_1", amount_minor=amount_minor, paid_on=paid_on))
    with world.database.transaction() as tx:
        party_facts.take(tx, [fact])


# The drop folder


@pytest.fixture
def folder(world, tmp_path):
    """A function that looks into the folder, and the subfolder of stripe."""
    dropped = tmp_path / "drop"
    (dropped / "stripe").mkdir(parents=True)
    takes = Payouts(world.records, payouts, world.book, party_facts, lambda source: format_of(dropped, source))
    look = PayoutFolder(world.records, takes, Folder(dropped, 5000)).step
    return look, dropped / "stripe"


def test_a_file_is_taken_once_it_has_stopped_growing(world, folder):
    look, stripe_folder = folder
    (stripe_folder / "november.csv").write_bytes(a_report()[:100])
    assert not look()
    (stripe_folder / "november.csv").write_bytes(a_report())
    assert not look()
    assert look()
    assert [each.name for each in (stripe_folder / "taken").iterdir()] == ["november.csv"]
    assert not look()
    world.run()
    assert "DE01/-/payout/stripe.po_1" in standing(world)


def test_one_bad_file_is_set_aside_with_its_cause_and_holds_no_neighbour(world, folder):
    look, stripe_folder = folder
    (stripe_folder / "a.csv").write_bytes(a_report()[:-40])
    (stripe_folder / "b.csv").write_bytes(a_report())
    (stripe_folder / "c.csv").write_bytes(b"x" * 6000)
    look()
    look()
    assert sorted(each.name for each in (stripe_folder / "refused").iterdir()) == [
        "a.csv",
        "a.csv.txt",
        "c.csv",
        "c.csv.txt",
    ]
    assert "more than 5000" in (stripe_folder / "refused" / "c.csv.txt").read_text()
    assert [each.name for each in (stripe_folder / "taken").iterdir()] == ["b.csv"]
    assert len(world.open_cases()) == 2
    for each in (stripe_folder / "refused").iterdir():
        each.unlink()
    look()
    assert world.open_cases() == []


def test_links_hidden_files_and_half_written_ones_are_left_alone(folder, tmp_path):
    look, stripe_folder = folder
    (tmp_path / "elsewhere.csv").write_bytes(a_report())
    (stripe_folder / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    (stripe_folder / ".hidden.csv").write_bytes(a_report())
    (stripe_folder / "half.csv.part").write_bytes(a_report())
    assert not look() and not look()
    assert not (stripe_folder / "taken").exists()


def test_a_source_of_another_name_says_its_format_in_a_description(world, folder):
    look, stripe_folder = folder
    other = stripe_folder.parent / "woocommerce_payments"
    other.mkdir()
    (other / "description.toml").write_text('format = "stripe"\n')
    (other / "november.csv").write_bytes(a_report())
    look()
    assert look()
    world.run()
    assert "DE01/-/payout/woocommerce_payments.po_1" in standing(world)


# A posting and a look at one moment


@pytest.mark.postgresql
@pytest.mark.parametrize("after", [False, True], ids=["before it waits", "while it waits"])
def test_a_charge_that_is_posted_while_its_payout_is_looked_at_is_not_missed(tmp_path, clock, after):
    """The look has read what is posted and not yet said what it waits for: whoever is second sees the first (L2)."""
    with open_database("postgresql", tmp_path, clock) as database:
        world = a_world(database, clock)
        take(Payouts(world.records, payouts, world.book, party_facts), a_report())
        world.due("1001", money("payment", 11900, "ch_1"), mark=False)
        mark(world, "order eu1/1001")
        orders = world.looker()
        orders._readers.pop("payout")
        other = Database(database.url, clock)
        other.now = clock.now
        with database.transaction() as tx:
            tx.run("delete from work where subject = %s", PO_1)
        orders.step()
        mark(world, PO_1)
        poster = world.poster(database=other)
        meanwhile = threading.Thread(target=lambda: (poster.step(), poster.give_back()))

        def overlapping(*given):
            done = postings.wait_for(*given) if after else None
            meanwhile.start()
            meanwhile.join(timeout=2)  # where it has to wait for this transaction, it goes on after it
            return done if after else postings.wait_for(*given)

        looker = world.looker()
        reader = looker._readers["payout"]
        reader._postings = SimpleNamespace(**{**vars(postings), "wait_for": overlapping})
        looker.step()
        meanwhile.join(timeout=20)
        other.close()
        assert PO_1 in world.work()
        world.run()
        assert "DE01/-/payment/stripe.po_1.txn_1" not in standing(world)
        assert clearing(world) == 0


def mark(world, subject):
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, [subject], "live")
