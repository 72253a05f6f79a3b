"""Whatever is done to a report's bytes, it parks or is proved: nothing else comes out of a reader."""

from __future__ import annotations

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.settlement.lines import prove_payout
from domain.settlement.reports import NAMES, read, sample
from hypothesis import example, given, settings
from hypothesis import strategies as st

EDITS = st.lists(
    st.tuples(
        st.integers(0, 4_000),
        st.integers(0, 40),
        st.one_of(
            st.binary(max_size=4),
            st.sampled_from([b"", b"\n", b'"', b",", b";", b"-", b"'", b"\x00", b"\xff\xfe", b"9999-12-31 23:59:59"]),
            st.sampled_from(
                [b"=cmd|'/C calc'!A0", b"1,000", b"0.005", b"payout", b"JPY", b"Europe", b"../etc", b"\xef\xbb\xbf"]
            ),
        ),
    ),
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(NAMES), EDITS)
@example("adyen", [(453, 3, b"../etc/passwd")])
@example("adyen", [(453, 3, b"Europe")])
@example("adyen", [(433, 19, b"9999-12-31 23:59:59")])
@example("adyen", [(433, 19, b"0001-01-01 00:00:00")])
def test_a_spoilt_report_parks_or_still_adds_up(name: str, edits: list[tuple[int, int, bytes]]) -> None:
    data = sample(name)
    for at, size, put in edits:
        data = data[:at] + put + data[at + size :]
    try:
        reports = read(name, data)
    except Parked as fault:
        assert fault.cause.endswith(".")
        assert fault.remedy.endswith(".")
        return
    assert all(prove_payout(report).ok for report in reports)
    assert all(line.net_minor == line.gross_minor - line.fee_minor for report in reports for line in report.lines)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=200))
def test_bytes_that_are_no_report_park(name: str, data: bytes) -> None:
    try:
        read(name, data)
    except Parked:
        return
    raise AssertionError("this was no report")
