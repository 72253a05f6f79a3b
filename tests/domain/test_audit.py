"""The audit log as a chain: whatever is changed, taken away or put in is told by the first entry that differs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from counterfoil_engine.domain.audit import BEGINNING, Entry, entry_hash, verify
from hypothesis import given
from hypothesis import strategies as st


def a_chain(*words: str) -> list[Entry]:
    chain: list[Entry] = []
    previous = BEGINNING
    for n, what in enumerate(words, start=1):
        entry = Entry(n, f"2026-11-23T09:00:0{n % 10}.000000+00:00", "anna", what, {"store": "eu1"})
        previous = entry_hash(previous, entry)
        chain.append(replace(entry, hash=previous))
    return chain


CHAIN = a_chain("switch", "load rules", "approve restatement", "release brake", "confirm")


def test_a_hash_covers_the_hash_before_and_the_entry_as_canonical_json():
    entry = Entry(1, "2026-11-23T09:00:00.000000+00:00", "anna", "switch", {"store": "eu1", "party": "erp"})
    assert entry_hash(BEGINNING, entry) == "61d64cb5d8c06e713eddcfbaab3f328804cc781b3b7d1b0fa6269211a42b06fe"


def test_an_untouched_chain_has_no_fault():
    verified = verify(CHAIN, {})
    assert (verified.entries, verified.head, verified.faults) == (5, CHAIN[-1].hash, [])
    assert verify([], {}).faults == []


@pytest.mark.parametrize(
    "changed",
    [{"who": "ben"}, {"what": "retry"}, {"at": "2026-11-23T09:00:09.000000+00:00"}, {"detail": {"store": "us1"}}],
)
def test_a_changed_entry_is_named(changed):
    chain = [*CHAIN[:2], replace(CHAIN[2], **changed), *CHAIN[3:]]
    [fault] = verify(chain, {}).faults
    assert fault.startswith("Entry 3 (")


def test_an_entry_taken_away_from_the_middle_is_missing():
    [fault] = verify([*CHAIN[:2], *CHAIN[3:]], {}).faults
    assert fault == "Entry 3 is missing: entry 4 comes in its place."


def test_a_chain_rewritten_from_some_entry_on_agrees_with_itself_but_not_with_a_pack():
    rewritten = a_chain("switch", "load rules", "retry", "release brake", "confirm")
    assert verify(rewritten, {}).faults == []
    kept = {entry.n: entry.hash for entry in CHAIN}
    [fault] = verify(rewritten, {"2026-10.zip": kept}).faults
    assert fault.startswith("Entry 3 is the first that differs from 2026-10.zip: here its hash is ")


def test_a_head_alone_finds_a_rewritten_chain_too():
    rewritten = a_chain("switch", "load rules", "retry", "release brake", "confirm")
    [fault] = verify(rewritten, {"2026-10.zip": {4: CHAIN[3].hash}}).faults
    assert fault.startswith("Entry 4 is the first that differs from 2026-10.zip")


def test_entries_taken_away_from_the_end_are_missed_by_a_pack():
    assert verify(CHAIN[:3], {}).faults == []
    [fault] = verify(CHAIN[:3], {"2026-10.zip": {5: CHAIN[4].hash}}).faults
    assert "here the log ends with entry 3" in fault


def test_what_came_after_a_pack_is_no_fault():
    assert verify(CHAIN, {"2026-10.zip": {entry.n: entry.hash for entry in CHAIN[:2]}}).faults == []


@given(st.integers(0, 4), st.sampled_from(["who", "what", "at", "hash"]), st.text(min_size=1, max_size=5))
def test_no_change_of_any_field_goes_unseen(place, field, added):
    entry = CHAIN[place]
    chain = [*CHAIN]
    chain[place] = replace(entry, **{field: getattr(entry, field) + added})
    assert verify(chain, {}).faults
