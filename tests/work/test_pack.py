"""Evidence packs: whatever is done to one after it was signed is told by the file's name."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.work import pack
from hypothesis import given
from hypothesis import strategies as st

PRIVATE, PUBLIC = pack.new_key()
KEY, PUBLIC_KEY = pack.private_key(PRIVATE, "key"), pack.public_key(PUBLIC, "key.pub")
FACTS = {"entity": "DE01", "period": "2026-10", "audit": {"n": 2, "hash": "b" * 64}}
FILES = {"trial_balance.csv": "role\nreceivable\n", "audit.csv": f"n,hash\n1,{'a' * 64}\n2,{'b' * 64}\n"}


@pytest.fixture
def sealed():
    return pack.seal(FACTS, FILES, KEY)


def test_a_pack_as_it_was_signed_has_no_fault(sealed):
    assert sorted(sealed) == ["audit.csv", "manifest.json", "manifest.sig", "trial_balance.csv"]
    assert pack.faults(sealed, PUBLIC_KEY) == []


def test_the_manifest_says_what_it_is_of_and_the_hash_of_each_file(sealed):
    manifest = json.loads(sealed["manifest.json"])
    assert (manifest["entity"], manifest["period"], manifest["audit"]["n"]) == ("DE01", "2026-10", 2)
    assert manifest["files"]["trial_balance.csv"] == {
        "bytes": 16,
        "sha256": "8d53a3c85566b98573f3370537cb6f48972507b566ff843f07a2b69168c9ffe6",
    }


def test_a_file_that_was_changed_is_missing_or_was_added_is_named(sealed):
    changed = {**sealed, "trial_balance.csv": b"role\nsuspense\n"}
    assert pack.faults(changed, PUBLIC_KEY) == ["trial_balance.csv was changed."]
    gone = {name: data for name, data in sealed.items() if name != "audit.csv"}
    assert pack.faults(gone, PUBLIC_KEY) == ["audit.csv is missing."]
    assert pack.faults({**sealed, "notes.txt": b""}, PUBLIC_KEY) == ["notes.txt was added."]
    assert pack.faults({**gone, "notes.txt": b""}, PUBLIC_KEY) == ["audit.csv is missing.", "notes.txt was added."]


def test_a_manifest_that_was_made_to_fit_is_not_the_signed_one(sealed):
    forged = pack.seal(FACTS, {**FILES, "trial_balance.csv": "role\nsuspense\n"}, KEY)
    mixed = {**forged, "manifest.sig": sealed["manifest.sig"]}
    assert pack.faults(mixed, PUBLIC_KEY) == ["manifest.json was changed, or its signature was."]


@pytest.mark.parametrize("signature", [b"", b"00", b"zz" * 64, b"\xff\xfe", b"00" * 64])
def test_a_signature_that_is_none_is_told(sealed, signature):
    [fault] = pack.faults({**sealed, "manifest.sig": signature}, PUBLIC_KEY)
    assert fault == "manifest.json was changed, or its signature was."


def test_a_pack_signed_with_another_key_says_so(sealed):
    other, other_public = pack.new_key()
    foreign = pack.seal(FACTS, FILES, pack.private_key(other, "other"))
    [fault] = pack.faults(foreign, PUBLIC_KEY)
    assert "another key" in fault
    assert pack.faults(foreign, pack.public_key(other_public, "other.pub")) == []


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
def test_a_pack_without_manifest_or_signature_is_none(sealed, name):
    del sealed[name]
    assert pack.faults(sealed, PUBLIC_KEY) == [f"{name} is missing."]


@pytest.mark.parametrize("name", ["pack", "pack.zip"])
def test_the_same_content_gives_the_same_bytes_and_is_read_back(tmp_path, sealed, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        pack.write(tmp_path / folder / name, pack.seal(FACTS, FILES, KEY))
    assert pack.read(tmp_path / "one" / name) == pack.read(tmp_path / "two" / name) == sealed
    if name == "pack.zip":
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with pytest.raises(FileExistsError):
        pack.write(tmp_path / "one" / name, sealed)


def test_a_zip_that_holds_a_name_twice_is_refused(tmp_path, sealed):
    pack.write(tmp_path / "pack.zip", sealed)
    with zipfile.ZipFile(tmp_path / "pack.zip", "a") as archive, pytest.warns(UserWarning):
        archive.writestr("trial_balance.csv", "role\nsuspense\n")
    with pytest.raises(CounterfoilError, match=r"trial_balance\.csv is in the pack .* twice"):
        pack.read(tmp_path / "pack.zip")


def test_what_is_no_pack_is_told(tmp_path):
    (tmp_path / "text").write_text("no pack")
    for name in ("text", "nowhere"):
        with pytest.raises(CounterfoilError, match="can't be read"):
            pack.read(tmp_path / name)
    with pytest.raises(CounterfoilError, match="holds no private Ed25519 key"):
        pack.private_key(b"no key", "text")
    with pytest.raises(CounterfoilError, match="holds no public Ed25519 key"):
        pack.public_key(PRIVATE, "text")


def test_the_audit_chain_is_what_the_pack_kept_of_it(sealed):
    assert pack.chain_of(sealed) == {1: "a" * 64, 2: "b" * 64}
    assert pack.chain_of({"manifest.json": sealed["manifest.json"]}) == {2: "b" * 64}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "＝1+1", "=cmd|' /C calc'!A0"])
def test_a_cell_that_a_spreadsheet_would_carry_out_is_text(text):
    [[cell]] = list(csv.reader(io.StringIO(pack.table(["x"], [[text]]))))[1:]
    assert cell == f"'{text}"


def test_a_carriage_return_ends_no_row():
    assert pack.table(["x", "y"], [["a\r=1\r\nb", "c"]]) == 'x,y\n"a\n=1\nb",c\n'


def test_a_negative_amount_stays_a_number():
    assert pack.table(["amount_minor"], [[-500], [None], [True]]) == 'amount_minor\n-500\n""\n1\n'


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=4))
def test_no_text_at_all_begins_a_formula(rows):
    told = list(csv.reader(io.StringIO(pack.table(["a", "b"], rows), newline="")))
    assert len(told) == len(rows) + 1
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in told for cell in row)
