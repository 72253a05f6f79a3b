"""The sandbox shop's stock and its plugin behave as the real ones do: the store suite's own tests pass against it."""

import json
import os
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_sandbox.shop import Keys, Plugin, Rest, Shop, create_app, recorded
from counterfoil_sandbox.shop_plugin_routes import Routes, sign
from werkzeug.serving import make_server

STORE_SUITE = Path(__file__).parents[1] / "plugin" / "store"
KEY = "the plugin's key"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shop(clock):
    shop = Shop(clock=clock, site_url="http://shop.test", seed=1)
    Plugin(shop, KEY)
    yield shop
    shop.close()


class Agent:
    """Signs, and asks in process."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def call(self, method, path, query=None, body=None):
        raw = b"" if body is None else json.dumps(body).encode()
        query = {name: str(value) for name, value in (query or {}).items()}
        headers = sign(KEY, method, path, query, raw, self.shop.clock(), uuid.uuid4().hex)
        return Routes(self.shop.plugin).answer(method, path, query, headers, raw)

    def get(self, path, **query):
        return self.call("GET", path, query).body

    def post(self, path, body):
        return self.call("POST", path, body=body).body

    def write(self, stock_id, number, version, n=0, **more):
        item = {"stock_id": stock_id, "version": version, "number": number, "basis": {"epoch": 1, "n": n}, **more}
        return self.post("/stock", {"items": [item]})["results"][0]

    def take_all(self, first_n):
        """Acknowledge what waits; the last number used."""
        told = self.get("/changes")
        numbers = {row["id"]: first_n + place for place, row in enumerate(told["rows"])}
        rows = [{"id": row, "n": n} for row, n in numbers.items()]
        moves = [{"move_id": move["move_id"], "n": numbers[move["row_id"]]} for move in told["moves"]]
        self.post("/ack", {"epoch": 1, "rows": rows, "moves": moves})
        return first_n + len(rows) - 1


@pytest.fixture
def agent(shop):
    return Agent(shop)


def a_mug(shop, stock=10, **more):
    return shop.products.add(
        {"name": "Mug", "sku": "MUG", "regular_price": "9.90", "manage_stock": True, "stock_quantity": stock, **more}
    )


def sell(shop, product_id, units, **more):
    line = {"product_id": product_id, "quantity": units}
    return shop.create({"set_paid": True, "payment_method": "bacs", "line_items": [line], **more})


def stock_of(shop, product_id):
    return shop.products.must(product_id).stock // 10_000


def test_the_store_suite_passes_against_the_sandbox_shop_but_for_its_speed():
    shop = Shop(site_url="http://127.0.0.1")
    keys = Keys({"ck_1": ("cs_1", "read_write")}, shop.clock)
    server = make_server("127.0.0.1", 0, create_app(shop, keys, Rest(shop)), threaded=True)
    shop.site_url = f"http://127.0.0.1:{server.server_port}"
    Plugin(shop, KEY)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    named = {"STORE_URL": shop.site_url, "STORE_KEY": "ck_1", "STORE_SECRET": "cs_1", "STORE_PLUGIN_KEY": KEY}
    suite = [str(STORE_SUITE / name) for name in ("test_with_plugin.py", "test_rest_alone.py")]
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite],
            env={**os.environ, **named},
            cwd=STORE_SUITE.parents[2],
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        server.shutdown()
        thread.join()
        shop.close()
    assert ran.returncode == 0 and "21 passed" in ran.stdout, ran.stdout[-3000:]


def test_stock_is_lowered_once_however_often_the_status_changes_and_put_back_on_cancelling(shop):
    mug = a_mug(shop)
    order = sell(shop, mug, 3)
    shop.set_status(order, "on-hold")
    shop.set_status(order, "completed")
    assert stock_of(shop, mug) == 7
    shop.set_status(order, "cancelled")
    assert stock_of(shop, mug) == 10
    shop.set_status(order, "processing")
    assert stock_of(shop, mug) == 7


def test_the_lines_of_an_order_have_ids_of_their_own(shop):
    mug, cup = a_mug(shop), a_mug(shop, sku="CUP")
    lines = [{"product_id": mug, "quantity": 1}, {"product_id": cup, "quantity": 2}]
    order = shop.order(shop.create({"line_items": lines, "fee_lines": [{"total": "1.00"}]}))
    ids = [line["id"] for name in ("line_items", "fee_lines") for line in order[name]]
    assert len(set(ids)) == 3


def test_an_order_that_is_thrown_away_or_deleted_puts_nothing_back(shop):
    mug = a_mug(shop)
    first, second = sell(shop, mug, 3), sell(shop, mug, 2)
    shop.trash(first)
    shop.delete(second)
    assert stock_of(shop, mug) == 5


def test_an_edited_line_lowers_or_raises_the_difference(shop, agent):
    mug = a_mug(shop)
    order = sell(shop, mug, 3)
    shop.edit_quantity(order, 5)
    shop.edit_quantity(order, 1)
    assert stock_of(shop, mug) == 9
    assert [move["quantity"] for move in agent.get("/changes")["moves"]] == ["-3", "-2", "4"]
    shop.edit_quantity(order, 0)
    assert stock_of(shop, mug) == 10


def test_sold_out_below_none_and_back_the_status_follows(shop):
    mug, cup = a_mug(shop, 1), a_mug(shop, 1, sku="CUP", backorders="notify")
    order = sell(shop, mug, 2)
    sell(shop, cup, 1)
    assert (stock_of(shop, mug), shop.products.must(mug).status) == (-1, "outofstock")
    assert shop.products.must(cup).status == "onbackorder"
    shop.cancel(order)
    assert shop.products.must(mug).status == "instock"


def test_a_recorded_order_takes_from_no_stock_unless_the_catalogue_knows_its_products(shop):
    before = shop.order(shop.place(recorded("order_simple_paid")))
    assert any(meta["key"] == "_reduced_stock" for line in before["line_items"] for meta in line["meta_data"])


def test_a_process_that_dies_leaves_a_row_that_is_told_after_a_minute(shop, agent, clock):
    mug = a_mug(shop)
    agent.take_all(1)
    shop.plugin.dies = True
    sell(shop, mug, 2)
    told = agent.get("/changes")
    assert told["rows"] == [] and len(told["open"]) == 1
    clock.later(61)
    told = agent.get("/changes")
    assert [row["object"] for row in told["rows"]] == ["order"] and told["moves"][0]["quantity"] == "-2"


def test_a_copy_of_the_shop_is_served_no_changes_and_takes_no_stock(shop, agent):
    mug = a_mug(shop)
    shop.site_url = "https://staging.example"
    for method, path, body in (("GET", "/changes", None), ("POST", "/ack", {}), ("POST", "/stock", {"items": []})):
        answer = agent.call(method, path, body=body)
        assert (answer.status, answer.body["code"]) == (409, "counterfoil_copy")
    assert agent.get("/health")["differs_in"] == ["home"]
    assert stock_of(shop, mug) == 10


def test_a_restored_shop_goes_on_with_the_key_it_had_and_tells_an_older_head(shop, clock):
    a_mug(shop)
    agent = Agent(shop)
    head = agent.get("/changes")["head"]
    older = Shop(clock=clock, site_url="http://shop.test", seed=2)
    shop.connection.backup(older.connection)
    sell(shop, 1001, 1)
    Plugin(older)
    assert Agent(older).get("/changes")["head"] == head < agent.get("/changes")["head"]
    older.close()


def test_uncounted_sales_are_taken_off_and_the_line_that_was_raised_again_is_credited_at_most_its_own(shop, agent):
    mug = a_mug(shop)
    first = sell(shop, mug, 4)
    n = agent.take_all(1)
    sell(shop, mug, 2)
    shop.cancel(first)
    assert agent.write(mug, 6, 1, n)["stock"] == 4, "the raise of the first is the engine's to give"
    assert agent.write(mug, 10, 2, 0)["stock"] == 8, "lowered and raised, both uncounted"


def test_a_sale_between_the_write_and_the_status_leaves_the_right_status(shop, agent):
    mug = a_mug(shop, 0)
    sold = []

    def a_shopper(gate):
        if gate == "plugin.stock.crossing" and not sold:
            sold.append(sell(shop, mug, 1))

    shop.plugin.gate = a_shopper
    assert agent.write(mug, 1, 1)["crossed"] and sold
    assert (stock_of(shop, mug), shop.products.must(mug).status) == (0, "outofstock")
    assert agent.get("/health")["crossings_waiting"] == 0


def test_a_number_whose_end_has_come_is_offered_by_its_share(shop, agent, clock):
    mug = a_mug(shop)
    sell(shop, mug, 1)
    ends = (clock() + timedelta(hours=1)).isoformat()
    agent.write(mug, 9, 1, 0, expires_at=ends, silence_share="0.5")
    assert stock_of(shop, mug) == 8
    clock.later(3_700)
    agent.get("/changes")
    assert stock_of(shop, mug) == 3, "half of nine, rounded down, and the sale off"
    assert agent.write(mug, 9, 2, 0)["stock"] == 8
    agent.write(mug, -3, 3, 0, expires_at="2020-01-01T00:00:00+00:00", silence_share="0.5")
    agent.get("/changes")
    assert stock_of(shop, mug) == -4, "a debt stays one"


def test_items_are_listed_by_their_own_ids_with_the_stock_that_they_take_from(shop, agent):
    shirt = shop.products.add({"type": "variable", "sku": "SHIRT", "manage_stock": True, "stock_quantity": 5})
    small = shop.products.add({"sku": "SHIRT-S"}, shirt)
    large = shop.products.add({"sku": "SHIRT-L", "manage_stock": True, "stock_quantity": 2}, shirt)
    bag = shop.products.add({"sku": "BAG"})
    shop.products.add({"name": "neither a SKU nor stock"})
    first = agent.get("/items", limit=2)
    rest = agent.get("/items", after=first["items"][-1]["id"])
    assert first["more"] and not rest["more"]
    names = ("id", "stock_id", "sku", "quantity", "manages", "parent_id")
    assert [tuple(item[name] for name in names) for item in first["items"] + rest["items"]] == [
        (shirt, shirt, "SHIRT", "5", True, 0),
        (small, shirt, "SHIRT-S", "5", False, shirt),
        (large, large, "SHIRT-L", "2", True, shirt),
        (bag, bag, "BAG", None, False, 0),
    ]


def test_variations_show_who_manages_their_stock_and_a_batch_of_101_is_refused(shop):
    rest = Rest(shop)
    shirt = shop.products.add({"type": "variable", "sku": "SHIRT", "manage_stock": True, "stock_quantity": 5})
    small = shop.products.add({"sku": "SHIRT-S"}, shirt)
    shown = rest.answer("GET", f"products/{shirt}/variations/{small}", {}).body
    assert (shown["manage_stock"], shown["stock_quantity"], shown["type"]) == ("parent", 5, "variation")
    too_many = {"update": [{"id": small, "stock_quantity": 1}] * 101}
    assert rest.answer("POST", f"products/{shirt}/variations/batch", {}, too_many).status == 413
    twice = rest.answer("POST", "products", {}, {"sku": "SHIRT"})
    assert (twice.status, twice.body["code"]) == (400, "product_invalid_sku")
    assert [p["id"] for p in rest.answer("GET", "products", {"orderby": "id", "order": "asc"}).body] == [shirt]


def test_the_key_before_is_good_until_the_new_one_is_used(shop, agent):
    shop.plugin.pair("another key")
    assert agent.call("GET", "/health").status == 200
    headers = sign("another key", "GET", "/health", {}, b"", shop.clock(), uuid.uuid4().hex)
    assert Routes(shop.plugin).answer("GET", "/health", {}, headers, b"").status == 200
    assert agent.call("GET", "/health").status == 401


def test_a_shop_without_the_plugin_has_no_such_routes_and_still_lowers_stock():
    shop = Shop(site_url="http://shop.test")
    mug = a_mug(shop)
    sell(shop, mug, 3)
    client = create_app(shop, Keys({}, shop.clock), Rest(shop)).test_client()
    assert client.get("/wp-json/counterfoil/v1/health").status_code == 404
    assert stock_of(shop, mug) == 7
    shop.close()
