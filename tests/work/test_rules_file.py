"""The rules file: what is read, what is refused and how it is said, and that what is written reads back the same."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.domain.rules import TABLES, Entity, Pool, Registration, Row, Rules, Store, Warehouse
from counterfoil_engine.work.rules_file import BadRules, RulesFault, parse_rules, render_rules, with_row
from hypothesis import given, settings
from hypothesis import strategies as st

RULES = """\
# Rules of the shop in Cologne.
rules: "2026-11-24"
entities:
  - {id: DE01, book_currency: EUR, zone: Europe/Berlin, country: DE,
     registrations: [{jurisdiction: DE, treatment: domestic}, {jurisdiction: FR, treatment: oss}]}
stores:
  - {id: eu1, entity: DE01, pool: eu, start_line: 2026-01-01T00:00:00Z, switches: {erp: on}}   # off | preview | on
payment_methods:
  - {store: "*", method: bacs, gateway: bacs, accept_unpaid: false, from: 2020-01-01}
items:
  # The goods, by SKU.
  - {store: "*", sku: "0012", item: "0012", class: goods, exempt: false, from: 2020-01-01}   # zeros stay

guests: [{store: "*", policy: per_country, from: 2020-01-01}]   # per_country | per_store
untaxed: []
rates:
- {book: EUR, currency: USD, rate: 1.25, from: 2026-01-01}
"""


def faults_of(text: str | bytes) -> list[RulesFault]:
    with pytest.raises(BadRules) as caught:
        parse_rules(text)
    return list(caught.value.faults)


def changed(old: str, new: str) -> str:
    assert old in RULES
    return RULES.replace(old, new)


def test_a_rules_file_is_read_into_entities_stores_and_tables() -> None:
    rules = parse_rules(RULES)
    assert rules.version == "2026-11-24"
    assert rules.entities["DE01"].registrations == (Registration("DE", "domestic"), Registration("FR", "oss"))
    assert rules.stores["eu1"] == Store("eu1", "DE01", datetime(2026, 1, 1, tzinfo=UTC), "eu", {"erp": "on"})
    assert rules.tables["payment_methods"] == (
        Row({"store": "*", "method": "bacs"}, date(2020, 1, 1), {"gateway": "bacs", "accept_unpaid": False}),
    )


STOCK = """
warehouses: [{id: BER, owner: erp, entity: DE01}]
pools: [{id: eu, warehouses: [BER]}]
"""


def test_pools_and_warehouses_are_read_with_who_owns_them() -> None:
    rules = parse_rules(RULES + STOCK)
    assert rules.warehouses == {"BER": Warehouse("BER", "erp", "DE01", "owner")}
    assert rules.pools == {"eu": Pool("eu", ("BER",))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STOCK.replace("[BER]}", "[HAM]}"), "The warehouse 'HAM' is not in the rules."),
        (STOCK.replace("id: eu", "id: us"), "The pool 'eu' is not in the rules."),
        (STOCK.replace("entity: DE01", "entity: FR01"), "The entity 'FR01' is not in the rules."),
        (STOCK + "caps: [{pool: eu, store: us9, sku: '*', share: 0.5, from: 2020-01-01}]", "The store 'us9'"),
        (
            STOCK
            + "availability: [{pool: '*', warehouse: BER, class: '*', sku: '*', safety_units: 5, from: 2020-01-01}]",
            "safety_units holds for a whole pool",
        ),
    ],
)
def test_a_pool_of_what_nobody_knows_is_told(text: str, said: str) -> None:
    assert said in faults_of(RULES + text)[0].cause


def test_a_version_from_outside_replaces_the_label() -> None:
    assert parse_rules(RULES, version="7").version == "7"


def test_words_stay_words_zeros_stay_and_a_rate_is_no_float() -> None:
    rules = parse_rules(changed("country: DE,", "country: NO,"))
    assert rules.entities["DE01"].country == "NO"
    assert rules.stores["eu1"].switches == {"erp": "on"}
    assert rules.tables["items"][0].match["sku"] == "0012"
    assert rules.rate("USD", "EUR", date(2026, 2, 1)) == Decimal("1.25")


def test_a_start_line_with_another_offset_is_the_same_moment() -> None:
    rules = parse_rules(changed("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"))
    assert rules.stores["eu1"].start_line == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("old", "new", "line", "cause", "remedy"),
    [
        ("Europe/Berlin", "Europe/Berln", 4, "The time zone 'Europe/Berln' is unknown", "IANA"),
        ("Europe/Berlin", "../../etc/passwd", 4, "The time zone", "IANA"),
        ("Europe/Berlin", "Europe", 4, "The time zone 'Europe' is unknown", "IANA"),
        ("book_currency: EUR", "book_currency: EUX", 4, "The currency 'EUX' is not an active", "EUR"),
        ("entity: DE01, pool", "entity: DE02, pool", 7, "entity 'DE02', which is not in", "Add it to entities"),
        ("erp: on", "erp: yes", 7, '"yes" is not one of "off", "preview" or "on"', "off, preview or on"),
        ("2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", 7, "There is no moment", "a real one"),
        ("2026-01-01T00:00:00Z", "2026-01-01", 7, "/stores/0/start_line", "A moment with its offset"),
        ('store: "*", method: bacs', "store: eu2, method: bacs", 9, "The store 'eu2' is not in the rules", "eu1"),
        ("accept_unpaid: false", "accept_unpaid: no", 9, '"no" is not of type "boolean"', "accepted before it is paid"),
        ("method: bacs, ", "", 9, '"method" is a required property', "Add it."),
        ("gateway: bacs", "gatway: bacs", 9, "the name 'gatway' is unknown here", "Did you mean gateway?"),
        ("class: goods, ", "", 12, '"class" is a required property', "Add it."),
        ("from: 2020-01-01}   # zeros", "from: 2020-02-30}   # zeros", 12, "There is no day '2020-02-30'", "real one"),
        ("policy: per_country,", "policy: per_shop,", 14, "per_shop", "Which guests share"),
        ("currency: USD", "currency: USX", 17, "The currency 'USX'", "EUR"),
        ("rate: 1.25", "rate: 0.00", 17, "A rate of zero", "how many units"),
        ("rate: 1.25", 'rate: "1,25"', 17, "/rates/0/rate", "Units of currency for one unit of book"),
        ("untaxed: []", "rate: []", 15, "the name 'rate' is unknown here", "Did you mean rates?"),
        ("guests: [{store", "untaxed: [{store", 15, "'untaxed' stands twice", "Keep one"),
        ("method: bacs, gateway", "method: bacs, method: cod, gateway", 9, "'method' stands twice", "Keep one"),
        ("erp: on", "erp: &x on", 7, "Anchors and aliases", "Write the row out"),
        ("sku: \"0012\"", "sku: *x", 12, "Anchors and aliases", "put * in quotes"),
        ("rate: 1.25", "rate: !!float 1.25", 17, "The tag", "Leave it out"),
        ("untaxed: []", "untaxed: {[a]: b}", 15, "A key is a list", "Write a name"),
        ("untaxed: []", "untaxed: [[[[[[[[[]]]]]]]]]", 15, "nested too deeply", "Tables hold rows"),
        ("untaxed: []", "untaxed: [", 17, "This is not YAML", "Correct the line"),
        ("untaxed: []", "---\nrules: again", 15, "A second document begins here", "Keep all rules in one"),
        ("untaxed: []", "untaxed: null", 15, "/untaxed: null is not of type", "Why orders"),
    ],
)  # fmt: skip
def test_a_fault_says_its_line_its_cause_and_its_remedy(old: str, new: str, line: int, cause: str, remedy: str) -> None:
    fault = next(fault for fault in faults_of(changed(old, new)) if cause in fault.cause)
    assert (fault.line, remedy in fault.remedy) == (line, True), fault


def test_all_faults_are_told_at_once_and_by_line() -> None:
    text = changed("Europe/Berlin", "Mars/Base").replace("erp: on", "erp: maybe").replace("from: 2026-01-01", "from: x")
    assert [fault.line for fault in faults_of(text)] == [4, 7, 17]


def test_two_rows_that_stand_for_the_same_are_refused_since_nobody_could_say_which_holds() -> None:
    row = '  - {store: "*", method: bacs, gateway: bank, from: 2020-01-01}\n'
    (fault,) = faults_of(changed("items:\n", row + "items:\n"))
    assert fault.line == 10
    assert "the row of line 9 stands for the same" in fault.cause
    parse_rules(changed("items:\n", row.replace("2020", "2021") + "items:\n"))


def test_two_entities_of_one_name_are_refused() -> None:
    again = "  - {id: DE01, book_currency: USD, zone: UTC, country: US}\nstores:\n"
    assert [fault.line for fault in faults_of(changed("stores:\n", again))] == [6]


def test_a_way_of_shipping_can_be_exempt_without_a_class_but_goods_need_one() -> None:
    exempt = '  - {store: "*", sku: "shipping:*", exempt: true, from: 2020-01-01}\n'
    rules = parse_rules(changed("\nguests", exempt + "\nguests"))
    assert rules.tables["items"][1].values == {"exempt": True}
    (fault,) = faults_of(changed("\nguests", exempt.replace("shipping:*", "MUG") + "\nguests"))
    assert "class" in fault.cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "The file is empty"),
        ("# only a comment", "The file is empty"),
        ("[]", "not of type"),
        ("42", "not of type"),
        (b"rules: \xff", "not UTF-8"),
        ("rules: \ud800", "not UTF-8"),
        ("rules: a\x00b", "not YAML"),
        ("rules: 'a\n  b", "not YAML"),
        ("\t- x", "not YAML"),
        ("[" * 100_000, "nested too deeply"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "Anchors and aliases"),
        ("rules: !!python/object/apply:os.system [ls]", "The tag"),
        ("rules: " + "x" * 20_000_000, "At most 20000000 are read"),
    ],
    ids=range(13),
)
def test_hostile_text_is_refused_with_a_sentence(text: str | bytes, cause: str) -> None:
    assert cause in " ".join(str(fault) for fault in faults_of(text))


def test_hundreds_of_faults_are_told_as_fifty() -> None:
    rows = "".join(f"  - {{store: x{i}}}\n" for i in range(300))
    assert len(faults_of(changed("items:\n", rows + "items:\n"))) == 50


def test_the_sentence_for_people_counts_the_faults_and_says_what_to_do() -> None:
    with pytest.raises(BadRules) as caught:
        parse_rules(changed("erp: on", "erp: yes"))
    assert caught.value.cause.startswith("The rules have a fault: line 7: /stores/0/switches/erp")
    assert "check it again" in caught.value.remedy


# Rows that are filled in


def test_a_missing_row_is_added_and_comments_stay() -> None:
    row = {"table": "payment_methods", "store": "eu1", "method": "klarna", "gateway": "klarna", "accept_unpaid": None}
    text = with_row(RULES, row)
    added = "  - {store: eu1, method: klarna, gateway: klarna, accept_unpaid: false, from: 2000-01-01}\n"
    assert text == changed("items:\n", added.replace("accept_unpaid: false, ", "") + "items:\n")


def test_a_row_goes_into_a_list_in_brackets_too() -> None:
    text = with_row(RULES, {"table": "guests", "store": "eu1", "policy": "per_store", "from": "2026-01-01"})
    assert "from: 2020-01-01}, {store: eu1, policy: per_store, from: 2026-01-01}]   # per_country" in text
    text = with_row(RULES, {"table": "untaxed", "store": "*", "country": "US", "treatment": "export"})
    assert 'untaxed: [{store: "*", country: US, treatment: export, from: 2000-01-01}]' in text


def test_a_row_of_a_table_that_is_not_there_yet_begins_it() -> None:
    row = {"table": "fees", "store": "*", "title": 'Gift "card"', "reads_as": "gift_card", "provider": "cards"}
    assert parse_rules(with_row(RULES, row)).tables["fees"][0].match["title"] == 'Gift "card"'


def test_a_row_takes_what_it_leaves_out_from_the_row_that_fits_now() -> None:
    text = with_row(RULES, {"table": "items", "store": "eu1", "sku": "0012", "exempt": True})
    assert parse_rules(text).tables["items"][1].values == {"item": "0012", "class": "goods", "exempt": True}


def test_a_row_that_is_not_filled_in_is_refused() -> None:
    with pytest.raises(BadRules, match="gateway"):
        with_row(RULES, {"table": "payment_methods", "store": "eu1", "method": "klarna", "gateway": None})
    with pytest.raises(BadRules, match="no table 'paymnt'"):
        with_row(RULES, {"table": "paymnt"})


def test_a_file_in_a_layout_of_its_own_is_written_anew_with_the_row_in_it() -> None:
    braces = '{rules: x, entities: [{id: E, book_currency: EUR, zone: UTC, country: DE}], stores: [{id: s, entity: E,\n start_line: 2026-01-01T00:00:00Z}]}'  # fmt: skip # noqa: E501
    text = with_row(braces, {"table": "guests", "store": "*", "policy": "per_store"})
    assert parse_rules(text).tables["guests"][0].values == {"policy": "per_store"}


# Properties

_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
_words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_days = st.dates(date(1, 1, 1), date(9999, 12, 31))
_treatments = st.sampled_from(["domestic", "oss", "ioss", "export", "intra_eu", "reverse_charge", "exempt"])
_countries = st.from_regex(r"[A-Z]{2}", fullmatch=True)
_currencies = st.sampled_from(sorted(DECIMALS))
_rates = st.decimals("0.0001", "999999", places=4)
_units = st.sampled_from(["0", "7", "100"])
_values = {
    "payment_methods": st.fixed_dictionaries({"gateway": _words}, optional={"accept_unpaid": st.booleans()}),
    "tax_rates": st.fixed_dictionaries({"treatment": _treatments, "jurisdiction": _countries}),
    "untaxed": st.fixed_dictionaries({"treatment": _treatments}),
    "items": st.fixed_dictionaries({"item": _words, "class": _words}, optional={"exempt": st.booleans()}),
    "guests": st.fixed_dictionaries({"policy": st.sampled_from(["per_country", "per_store"])}),
    "statuses": st.fixed_dictionaries({"reads_as": st.sampled_from(["processing", "on-hold", "trash"])}),
    "fees": st.fixed_dictionaries({"reads_as": st.just("gift_card")}, optional={"provider": _words}),
    "rates": st.fixed_dictionaries({"rate": _rates}),
    "sequence": st.fixed_dictionaries(
        {},
        optional={
            "invoice_on": st.sampled_from(["acceptance", "shipment"]),
            "shortfall_minor": _units,
            "store_update": st.booleans(),
        },
    ),
    "reasons": st.fixed_dictionaries({"reads_as": st.sampled_from(["reduction", "goodwill"])}),
    "availability": st.fixed_dictionaries(
        {},
        optional={
            "counts": st.lists(st.sampled_from(["on_hand", "in_transit", "damaged"]), max_size=2),
            "inbound_days": _units,
        },
    ),
    "caps": st.fixed_dictionaries({"share": st.sampled_from(["0", "0.5", "1"])}),
    "kits": st.fixed_dictionaries(
        {"parts": st.lists(st.fixed_dictionaries({"sku": _words, "quantity": st.just("2")}), min_size=1, max_size=2)}
    ),
    "approvals": st.fixed_dictionaries({"limit_minor": st.sampled_from(["0", "5000", "any"])}),
    "settlement": st.fixed_dictionaries({}, optional={"refund_days": st.sampled_from(["0", "5", "30"])}),
    "healing": st.fixed_dictionaries(
        {"heal": st.sampled_from(["automatic", "propose", "four_eyes"])}, optional={"within_units": _units}
    ),
    "sweeps": st.fixed_dictionaries({}, optional={"every_hours": _units, "quiet_from": st.just("22:00")}),
}


@st.composite
def any_rules(draw: st.DrawFn) -> Rules:
    entity = Entity(
        draw(_names),
        draw(_currencies),
        draw(st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"])),
        draw(_countries),
        tuple(draw(st.lists(st.builds(Registration, _countries, _treatments), max_size=2))),
    )
    moments = st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))
    switches = st.dictionaries(st.just("erp"), st.sampled_from(["off", "preview", "on"]))
    warehouse = Warehouse(draw(_words), draw(st.sampled_from(["erp", "wms"])), entity.id)
    pool = Pool(draw(_names), (warehouse.id,))
    in_pool = draw(st.sampled_from(["", pool.id]))
    store = Store(draw(_names), entity.id, draw(moments), in_pool, draw(switches))
    exact = {
        "store": st.sampled_from(["*", store.id]),
        "entity": st.sampled_from(["*", entity.id]),
        "book": _currencies,
        "currency": _currencies,
        "warehouse": st.just("*"),
        "pool": st.just("*"),
    }
    tables = {}
    for table, (match, _) in TABLES.items():
        rows = draw(
            st.lists(
                st.builds(
                    Row, st.fixed_dictionaries({name: exact.get(name, _words) for name in match}), _days, _values[table]
                ),
                max_size=3,
                unique_by=lambda row: (frozenset(row.match.items()), row.since),
            )
        )
        tables[table] = tuple(rows)
    return Rules(
        draw(_words), {entity.id: entity}, {store.id: store}, tables, {warehouse.id: warehouse}, {pool.id: pool}
    )


@given(any_rules())
@settings(max_examples=150, deadline=None)
def test_rules_that_are_written_read_back_the_same(rules: Rules) -> None:
    assert parse_rules(render_rules(rules)) == rules


@given(any_rules(), _words, _words)
@settings(max_examples=50, deadline=None)
def test_a_row_added_to_any_rules_is_the_only_change(rules: Rules, method: str, gateway: str) -> None:
    row = {"table": "payment_methods", "store": "*", "method": method, "gateway": gateway, "from": "0999-01-01"}
    tables = parse_rules(with_row(render_rules(rules), row)).tables
    before = rules.tables["payment_methods"]
    assert tables["payment_methods"][: len(before)] == before
    assert tables["payment_methods"][-1].match == {"store": "*", "method": method}
    assert {**tables, "payment_methods": before} == rules.tables


@given(st.text(max_size=300) | st.text(alphabet="[]{}&*!|>'\"%@`#:-,? \n\tab1", max_size=100) | st.binary(max_size=100))
@settings(max_examples=500, deadline=None)
def test_no_text_makes_reading_fail_without_a_word(text: str | bytes) -> None:
    assert faults_of(text)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_damage_to_a_good_file_makes_reading_fail_without_a_word(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(RULES)))
    end = data.draw(st.integers(start, min(len(RULES), start + 30)))
    text = RULES[:start] + data.draw(st.text(alphabet="[]{}&*!:-, \nax1\"'", max_size=10)) + RULES[end:]
    try:
        parse_rules(text)
    except BadRules as error:
        assert all(fault.cause and fault.remedy for fault in error.faults)
