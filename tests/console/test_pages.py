"""What people do on the pages of orders, cases, proposals and parties, and what they type wrongly there."""

from __future__ import annotations

import pytest
from builders import a_line, an_order
from console.conftest import Running, Visitor, a_running_console
from counterfoil_engine.work.users import BOOTSTRAP


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Two orders in the ERP, three held by one cause, two that can't be read; what a test does stays for the next."""
    with a_running_console(tmp_path_factory.mktemp("console")) as running:
        running.arrives(
            an_order(a_line("MUG-RED", 2, "9.90"), id=1001, number="EU-77", transaction_id="ch_4711"),
            an_order(a_line("CUP"), id=1002),
            *[an_order(a_line("MUG"), id=1003 + n, payment_method="klarna") for n in range(3)],
            *[an_order(a_line("MUG"), id=1008 + n, total="11.905") for n in range(2)],
        )
        yield running


def somebody(running: Running, name: str) -> Visitor:
    visitor = Visitor(running.app)
    assert visitor.signs_in(name).status_code == 303
    return visitor


def case_of(running: Running, order: int) -> int:
    with running.chain.database.transaction() as tx:
        row = tx.one("select id from cases where subject = %s and resolved_at is null", f"order eu1/{order}")
    assert row
    return int(row["id"])


def does(visitor: Visitor, path: str, /, **fields: str) -> str:
    """What the page says that comes after a form."""
    answer = visitor.post(path, **fields)
    assert answer.status_code == 303, answer.text
    return visitor.get(answer.headers["Location"].removeprefix("/console")).text


def test_a_case_is_assigned_put_off_and_talked_about_each_with_its_note(running):
    sam = somebody(running, "sam")
    assert "olga looks after 3 cases." in does(sam, "/cases/1/assign", owner="olga", alike="true")
    assert "Said at 1 case." in does(sam, "/cases/1/comment", text="asked the shop <script>alert(1)</script>")
    page = does(sam, "/cases/1/snooze", hours="24")
    assert "1 case is put off for a day." in page
    assert "asked the shop &lt;script&gt;" in page
    assert "1 case is back in the inbox." in does(sam, "/cases/1/snooze", hours="0")


def test_an_order_is_corrected_by_one_person_and_approved_by_another(running):
    olga, carl = somebody(running, "olga"), somebody(running, "carl")
    fields = {"path": "/order/total", "value": "11.90", "reason": "typed with three decimals"}
    page = does(olga, f"/cases/{case_of(running, 1008)}/correct", **fields)
    assert "somebody else has to approve it" in page
    assert "replace /order/total: &#34;11.905&#34; → &#34;11.90&#34;" in page
    assert "Approve: do it" not in page
    number = page.partition("Proposal ")[2].partition(" ")[0]
    assert "is approved, and done" in does(carl, f"/proposals/{number}/approve")
    running.chain.flow()
    assert "Order eu1/1008 is in the ERP" in carl.get("/orders/eu1/1008").text


def test_a_proposal_is_rejected_with_a_reason_and_nothing_is_done(running):
    olga, carl = somebody(running, "olga"), somebody(running, "carl")
    fields = {"path": "/order/total", "value": "11.90", "reason": "a guess"}
    number = (
        does(olga, f"/cases/{case_of(running, 1009)}/correct", **fields).partition("Proposal ")[2].partition(" ")[0]
    )
    assert "nothing of it is done" in does(carl, f"/proposals/{number}/reject", reason="no proof of it")
    assert "is stuck" in carl.get("/orders/eu1/1009").text


def test_who_proposed_it_does_not_approve_it(running):
    carl = somebody(running, "carl")
    answer = carl.post("/cases/1/fill", **{"set.gateway": "klarna", "set.accept_unpaid": "false"})
    number = answer.headers["Location"].rpartition("/")[2]
    refused = carl.post(f"/proposals/{number}/approve")
    assert refused.status_code == 403
    assert "approving takes somebody else" in refused.text
    assert "Take it back" in carl.get(f"/proposals/{number}").text
    does(carl, f"/proposals/{number}/reject", reason="done by a test")


def test_raw_forms_are_for_those_who_serve_customers(running):
    path = "/orders/eu1/1001/fact?epoch=1&n=1"
    assert "Mustermann" in somebody(running, "sam").get(path).text
    vera = somebody(running, "vera")
    assert vera.get(path).status_code == 403
    assert "Mustermann" not in vera.get("/orders/eu1/1001").text


def test_a_raw_form_is_asked_for_by_its_own_order_alone(running):
    sam = somebody(running, "sam")
    assert sam.get("/orders/eu1/1002/fact?epoch=1&n=1").status_code == 404
    assert sam.get("/orders/eu1/1002/document?key=eu1/1001/sales_order/order/r1").status_code == 404


def test_a_document_says_why_it_is_and_where(running):
    page = somebody(running, "sam").get("/orders/eu1/1001/document?key=eu1/1001/sales_order/order/r1").text
    assert "the store accepted the order" in page
    assert "SO-2026-000001" in page


def test_an_order_that_only_the_store_calls_paid_says_so_instead_of_waiting(running):
    page = somebody(running, "vera").get("/orders/eu1/1001").text
    assert "nothing of its gateway confirms it yet" in page
    assert "<b>Proven</b><span>only the store says it was paid</span>" in page


IN_HAND = {
    "order id": "1001",
    "order number": "eu-77",
    "store and order": "eu1/1001",
    "e-mail": "E@Example.com",
    "SKU": "mug-red",
    "transaction": "ch_4711",
    "amount": "23.56",
    "amount as it is shown": "23.56 EUR",
    "document key": "eu1/1001/sales_order/order/r1",
    "document number": "SO-2026-000001",
}


@pytest.mark.parametrize("q", IN_HAND.values(), ids=IN_HAND)
def test_the_search_leads_to_the_order_by_whatever_somebody_has_in_hand(running, q):
    sam = somebody(running, "sam")
    sent = sam.post("/search", q=q)
    answer = sam.get(sent.headers["Location"].removeprefix("/console"))
    assert "/console/orders/eu1/1001" in answer.headers.get("Location", "") + answer.text


@pytest.mark.parametrize("q", IN_HAND.values(), ids=IN_HAND)
def test_customer_service_finds_it_by_the_same_search_over_the_api(running, q):
    """With a viewer's own token, which does nothing."""
    token = running.chain.engine.control().users.rotate("vera", 30, BOOTSTRAP)["token"]
    client, bearer = running.app.test_client(), {"Authorization": f"Bearer {token}"}
    found = client.post("/v1/search", json={"q": q}, headers=bearer).json
    assert "order eu1/1001" in {row["subject"] for row in [*found["orders"], *found["documents"]]}
    assert client.get("/v1/orders/eu1/1001", headers=bearer).json["subject"] == "order eu1/1001"
    assert client.post("/v1/retry", json={"subject": "order eu1/1001"}, headers=bearer).status_code == 403


def test_a_hold_and_its_release_stand_in_the_audit_log(running):
    olga = somebody(running, "olga")
    assert "is held" in does(olga, "/parties/hold", party="erp", entity="DE01", reason="its upgrade", hours="2")
    assert "Released: 0 documents go now" in does(olga, "/parties/release", party="erp", entity="DE01")
    page = olga.get("/audit").text
    assert page.index("release party") < page.index("hold party")


@pytest.mark.parametrize(
    "path",
    [
        "/orders/eu1/9999",
        "/orders/nowhere/1",
        "/cases/404",
        "/cases/404/watch",
        "/proposals/404",
        "/orders/eu1/1001/fact?epoch=9&n=9",
        "/orders/eu1/1001/said?party=x&source=y&id=z",
    ],
)
def test_what_there_is_not_is_said_with_a_way_out(running, path):
    answer = somebody(running, "ada").get(path)
    assert answer.status_code in (400, 404)
    assert '<p class="sub">' in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/cases?page=0",
        "/cases?page=x",
        "/cases?sort=colour",
        "/cases?unknown=1",
        "/cases?store=%00",
        "/cases/x",
        "/cases/-1",
        "/cases/99999999999999999999",
        "/proposals/x",
        "/proposals?decided=perhaps",
        "/audit?before=0",
        "/audit?before=x",
        "/search?q=x&after=y",
        "/search?q=" + "x" * 300,
        "/search",
        "/orders/eu1/1001/fact",
        "/orders/eu1/1001/fact?epoch=x&n=1",
        "/orders/eu1/1001/document?key=%00",
        "/orders/%27%3B--/1",
        "/orders/eu1/%F0%9F%92%A5",
        "/parties/erp/%00",
    ],
)
def test_a_query_that_is_wrong_is_answered_and_never_fails(running, path):
    answer = somebody(running, "ada").get(path)
    assert answer.status_code in (400, 404), answer.status_code
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/cases/1/snooze", {"hours": "2"}),
        ("/cases/1/comment", {}),
        ("/cases/1/comment", {"text": "x" * 5_000}),
        ("/cases/1/comment", {"text": "\x00"}),
        ("/cases/1/assign", {"owner": "nobody-of-that-name"}),
        ("/cases/1/assign", {"owner": "olga", "role": "admin"}),
        ("/cases/1/correct", {"path": "order", "value": "x", "reason": "y"}),
        ("/cases/1/correct", {"path": "/order/total", "value": "[1", "reason": "y"}),
        ("/cases/1/fill", {}),
        ("/cases/1/fill", {"set.nothing": "x"}),
        ("/cases/1/preview", {"set.gateway": "\x00"}),
        ("/cases/404/retry", {}),
        ("/proposals/404/approve", {}),
        ("/proposals/404/reject", {"reason": "x"}),
        ("/parties/hold", {"party": "erp", "entity": "none", "reason": "x"}),
        ("/parties/hold", {"party": "erp", "entity": "DE01"}),
        ("/parties/hold", {"party": "erp", "entity": "DE01", "reason": "x", "hours": "1000"}),
        ("/parties/release", {"party": "erp", "entity": "DE01"}),
        ("/search", {"q": "x" * 500}),
    ],
)
def test_a_form_that_is_wrong_does_nothing_and_says_why(running, path, fields):
    ada = somebody(running, "ada")
    with running.chain.database.transaction() as tx:
        before = tx.one("select count(*) as entries from audit")
    answer = ada.post(path, **fields)
    assert answer.status_code in (400, 404), (answer.status_code, answer.text[-800:])
    assert "<h1>" in answer.text
    with running.chain.database.transaction() as tx:
        assert tx.one("select count(*) as entries from audit") == before
