"""Who bought is what the order says last."""

from __future__ import annotations

import json

import pytest
from counterfoil_engine.records.customers import names_of
from counterfoil_engine.records.events import StoredEvents
from fakes.databases import DIALECTS, open_database
from fakes.events import an_order, incoming


@pytest.fixture(params=DIALECTS)
def database(request, tmp_path):
    with open_database(request.param, tmp_path) as database:
        log = StoredEvents(database, lambda tx, key: None)
        log.greet("eu1", "1" * 32, "1", {"order": [1]})
        yield database, log


def bought(n, order, first, last):
    said = an_order(order, billing={"first_name": first, "last_name": last})
    return incoming(f"e{n}", n, order, body=json.dumps(said).encode())


def test_a_name_is_the_orders_last_word_and_none_where_it_says_none(database):
    opened, log = database
    log.append("eu1", [bought(1, 1001, "Anna", "Adler"), bought(2, 1001, "Anna", "Bauer"), bought(3, 1002, "", None)])
    slots = ["eu1/1001/payment/ch_1", "eu1/1002/payment/ch_2", "eu1/1003/payment/x", "DE01/-/fee/stripe.po_1"]
    with opened.transaction() as tx:
        assert names_of(tx, slots) == {"eu1/1001/payment/ch_1": "Anna Bauer"}
        assert names_of(tx, []) == {}
