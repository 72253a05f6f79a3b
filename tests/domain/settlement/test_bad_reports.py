"""A report that isn't whole, or isn't what it should be, parks with cause and remedy, and is never read in part."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.settlement import table, text
from counterfoil_engine.domain.settlement.description import describe
from counterfoil_engine.domain.settlement.lines import Expected, Total
from counterfoil_engine.domain.settlement.read import conflict_case, judge, read_report
from domain.settlement.reports import (
    NAMES,
    STRIPE_HEADER,
    TODAY,
    read,
    sample,
    stripe,
    stripe_row,
)


def parked(name: str, data: bytes, expected: Expected | None = None) -> Parked:
    with pytest.raises(Parked) as caught:
        read(name, data, expected)
    fault = caught.value
    assert fault.cause.endswith(".")
    assert fault.remedy.endswith(".")
    return fault


@pytest.mark.parametrize("name", NAMES)
def test_wherever_a_report_is_cut_off_it_parks_or_holds_only_whole_payouts(name: str) -> None:
    """A payout is never read in part, but for one of which nobody said what it comes to: that one says so."""
    data, whole = sample(name), {report.payout: (report.digest, report.paid_on) for report in read(name)}
    accepted = 0
    for end in range(len(data)):
        try:
            reports = read(name, data[:end])
        except Parked:
            continue
        for report in reports:
            if report.total_from != "lines":
                accepted += 1
                assert whole[report.payout] == (report.digest, report.paid_on), f"cut at byte {end}"
    assert accepted < len(data) / 4


def test_a_report_cut_off_before_its_payout_row_is_only_as_good_as_the_payout_s_fact() -> None:
    data = sample("stripe").split(b"txn_1F")[0]
    (alone,) = read("stripe", data)
    assert alone.total_from == "lines"
    fault = parked("stripe", data, Expected("stripe", TODAY, totals={"po_88": Total(11419, "EUR")}))
    assert fault.category == "unbalanced"
    assert fault.cause == (
        "The lines of payout po_88 add up to 124.19 EUR, but 114.19 EUR was paid out:"
        " the report was cut off, or changed."
    )
    assert fault.money_minor == -1000


def test_a_line_that_was_taken_out_is_missed() -> None:
    rows = sample("adyen").splitlines(keepends=True)
    assert parked("adyen", b"".join(rows[:3] + rows[4:])).category == "unbalanced"


def test_a_row_that_is_there_twice_is_named() -> None:
    row = stripe_row("10.00", "0", "10.00")
    assert parked("stripe", stripe(row, row)).cause == "Row 3 of the report is there twice: 'txn_1' was in it before."


def test_a_row_that_doesn_t_add_up_is_named() -> None:
    fault = parked("stripe", stripe(stripe_row("10.00", "0.30", "9.00")))
    assert fault.cause == "Row 2 of the report doesn't add up: 10.00 less a fee of 0.30 is not 9.00."


def test_paypal_s_statement_without_its_end_was_cut_off() -> None:
    fault = parked("paypal", sample("paypal").split(b'"SC"')[0])
    assert fault.cause == "The report was cut off: the section of row 3 has no end (SF, SC)."


def test_paypal_s_report_without_its_own_footer_may_lack_an_account() -> None:
    fault = parked("paypal", sample("paypal").split(b'"RF"')[0])
    assert fault.cause == "The report was cut off: it has no footer (RF, RC or FF)."


def test_paypal_s_totals_are_held_against_its_lines() -> None:
    fault = parked("paypal", sample("paypal").replace(b'"CR",11900,"EUR"', b'"CR",11901,"EUR"'))
    assert fault.cause.startswith("Row 11 of the report (SF) says 194.00 EUR of credits, its lines come to 194.01 EUR")
    fault = parked("paypal", sample("paypal").replace(b'"CR",500,"CR",2669', b'"CR",400,"CR",2669'))
    assert fault.cause.startswith(
        "Row 11 of the report (SF) says 26.69 EUR of closing balance, its lines come to 25.69 EUR"
    )
    fault = parked("paypal", sample("paypal").replace(b'"SC",6', b'"SC",7'))
    assert "counts 7 lines, its section has 6" in fault.cause


def test_paypal_s_currencies_of_unclear_scale_wait_for_a_word() -> None:
    data = sample("paypal").replace(b"USD", b"HUF")
    assert "HUF" in parked("paypal", data).cause
    told = Expected("paypal", TODAY, totals={}, decimals={"HUF": 0})
    assert read("paypal", data, told)[1].lines[0].gross_minor == 1_000_000


# Encodings.


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("name", ["stripe", "paypal"])
def test_the_same_report_in_another_encoding_is_the_same(name: str, encoding: str) -> None:
    data = sample(name).decode().encode(encoding)
    assert [report.digest for report in read(name, data)] == [report.digest for report in read(name)]
    assert read(name, data) == read(name)


def test_a_report_put_together_from_two_encodings_names_the_byte() -> None:
    data = "Straße,".encode() + "Straße".encode("cp1252")
    with pytest.raises(Parked, match=r"not UTF-8 throughout: byte 12, in row 1"):
        text.text_of(data)


def test_a_report_cut_off_in_the_middle_of_a_character_is_not_taken_for_windows() -> None:
    with pytest.raises(Parked, match="not UTF-8 throughout"):
        text.text_of("Müller, Straß".encode()[:-1])
    with pytest.raises(Parked, match="not UTF-8 throughout: byte 4"):
        text.text_of("Straß".encode()[:-1])


def test_a_byte_that_the_named_encoding_doesn_t_have_is_named() -> None:
    with pytest.raises(Parked, match=r"not WINDOWS-1252 throughout: byte 2, in row 2"):
        text.text_of(b"a\n\x81", "windows-1252")


def test_nul_characters_park_with_their_row() -> None:
    assert parked("stripe", stripe(stripe_row("1", "0", "1", id="a\0b"))).cause.endswith("NUL character in row 2.")


# Amounts.


def test_a_decimal_comma_is_understood_where_every_amount_has_one() -> None:
    row = 'txn_1,2026-11-18 09:00:00,eur,"1119,00","2,04","1116,96",charge,ch_1,po_1,2026-11-20 00:00:00'
    (report,) = read("stripe", stripe(row))
    assert (report.lines[0].gross_minor, report.net_minor) == (111900, 111696)


@pytest.mark.parametrize(
    "amounts", ['"1,234",0,"1,234"', '"1,50",0,1.50', '"1,234.50",0,"1,234.50"', "1e3,0,1e3", "10 EUR,0,10"]
)
def test_amounts_that_can_be_read_in_two_ways_park(amounts: str) -> None:
    row = f"txn_1,2026-11-18 09:00:00,eur,{amounts},charge,ch_1,po_1,2026-11-20 00:00:00"
    assert parked("stripe", stripe(row)).category == "data"


def test_a_digit_that_the_currency_can_t_hold_parks_with_its_row() -> None:
    fault = parked("stripe", stripe(stripe_row("10.005", "0", "10.005")))
    assert fault.cause == "Row 2 of the report: The amount 10.005 has a digit that EUR can't hold (2 decimals)."
    assert parked("stripe", stripe(stripe_row("1.5", "0", "1.5", currency="jpy"))).category == "data"


def test_a_currency_that_is_none_parks() -> None:
    assert "not an active ISO 4217 code" in parked("stripe", stripe(stripe_row("1", "0", "1", currency="xxq"))).cause


# Columns, types, dates, size.


def test_an_unknown_column_or_type_is_named_with_its_row() -> None:
    fault = parked("stripe", stripe(header=f"{STRIPE_HEADER},surprise"))
    assert fault.cause.startswith("Row 1 of the report has the column 'surprise'")
    fault = parked("stripe", stripe(stripe_row("1", "0", "1"), stripe_row("1", "0", "1", "gift", "2")))
    assert fault.cause == "Row 3 of the report is of the type 'gift', which is not known."
    fault = parked("stripe", stripe(header=STRIPE_HEADER.replace("net,", "")))
    assert fault.cause.startswith("Row 1 of the report has no column 'net'")
    assert "event code 'T9900'" in parked("paypal", sample("paypal").replace(b"T0400", b"T9900")).cause


def test_a_column_that_is_named_twice_parks() -> None:
    assert "names the column 'fee' twice" in parked("stripe", stripe(header=f"{STRIPE_HEADER},fee")).cause


def test_dates_may_be_two_days_ahead_and_no_more() -> None:
    assert read("stripe", stripe(stripe_row("1", "0", "1", at="2026-11-26")))
    fault = parked("stripe", stripe(stripe_row("1", "0", "1", at="2026-11-27")))
    assert fault.cause == "Row 2 of the report is dated 2026-11-27, more than 2 days after 2026-11-24."
    assert "a date like" in parked("stripe", stripe(stripe_row("1", "0", "1", at="18.11.2026"))).cause


def test_a_payout_in_another_currency_than_agreed_is_a_conflict() -> None:
    fault = parked("stripe", sample("stripe"), Expected("stripe", TODAY, currency="USD"))
    assert (fault.category, fault.cause) == ("conflict", "Row 2 of the report is in EUR, but payout po_88 is in USD.")
    mixed = stripe(stripe_row("1", "0", "1"), stripe_row("1", "0", "1", id="2", currency="usd"))
    assert parked("stripe", mixed).category == "conflict"


def test_too_many_bytes_rows_or_letters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "longer fields" in parked("stripe", stripe(stripe_row("1", "0", "1", id="x" * 10_001))).cause
    monkeypatch.setattr(table, "ROWS_MAX", 2)
    assert (
        "more than 2 rows" in parked("stripe", stripe(*(stripe_row("1", "0", "1", id=f"{n}") for n in range(3)))).cause
    )
    monkeypatch.setattr(text, "SIZE_MAX_BYTES", 100)
    assert "more than 100" in parked("stripe", sample("stripe")).cause


def test_an_open_quote_is_torn_and_an_empty_report_is_none() -> None:
    assert parked("stripe", stripe('txn_1,"2026')).cause == "Row 2 of the report is torn (unexpected end of data)."
    assert parked("stripe", b" \n").cause == "The report is empty."
    assert parked("stripe", stripe()).cause == "The report has no line of any payout."


def test_what_a_spreadsheet_would_run_stays_text() -> None:
    header = f"{STRIPE_HEADER},description"
    for formula in ("=1+1", '"=HYPERLINK(""http://x"",""y"")"', "@SUM(1)", "+1", "-1"):
        (report,) = read("stripe", stripe(stripe_row("-1.00", "0", "-1.00", "refund") + f",{formula}", header=header))
        assert report.lines[0].reference == formula.strip('"').replace('""', '"')


def test_the_apostrophe_before_a_guarded_minus_is_not_part_of_the_amount() -> None:
    (report,) = read("stripe", stripe(stripe_row("'-1.00", "0", "'-1.00", "refund")))
    assert report.net_minor == -100


# Sent twice.


def test_the_same_payout_is_a_duplicate_in_whatever_file_it_comes_and_a_conflict_with_another_content() -> None:
    report, _ = read("stripe")
    header, *rows = sample("stripe").splitlines(keepends=True)
    (alone,) = read("stripe", b"".join([header, *reversed(rows[:7])]))
    known = {"po_88": report.digest}
    assert judge(report, {}) == "new"
    assert judge(alone, known) == "duplicate"
    changed = replace(alone, digest="of another content")
    assert judge(changed, known) == "conflict"
    assert conflict_case(changed).cause == (
        "Payout po_88 of stripe was reported before with another content; this one is of 114.19 EUR in 7 lines."
    )


def test_the_digest_tells_every_amount_apart() -> None:
    digests = {read("stripe", stripe(stripe_row(a, "0.10", b)))[0].digest for a, b in (("1", "0.9"), ("1.1", "1"))}
    assert len(digests) == 2


# Descriptions.


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"colour": "red"}, "has the field 'colour', which there is not"),
        ({"types": {"Zahlung": "sale"}}, "has the kind of line 'sale', which there is not"),
        ({"gross": "Brutto"}, "has a value in gross that is no"),
        ({"gross": []}, "needs net, or gross and fee"),
        ({"payout": []}, "lacks payout"),
        ({"decimal_mark": ";"}, "has an encoding, a decimal mark or a delimiter that there is not"),
    ],
)
def test_a_description_that_can_t_be_parks_with_what_is_wrong_with_it(change: dict[str, object], cause: str) -> None:
    right = {
        **{"format": "x", "type": "a", "types": {"Zahlung": "charge"}, "payout": ["b"], "currency": "c", "at": "d"},
        **{"at_format": ["%d.%m.%Y"], "gross": ["e"], "fee": ["f"]},
    }
    assert describe(right)
    with pytest.raises(Parked, match=cause) as caught:
        describe({**right, **change})
    assert caught.value.category == "contract"


def test_a_format_that_there_is_not_names_those_that_are() -> None:
    with pytest.raises(Parked) as caught:
        read_report(b"x", "excel", Expected("x", date(2026, 11, 24)))
    assert caught.value.remedy == "Choose one of stripe, adyen, woopayments, paypal, or describe the source's reports."
