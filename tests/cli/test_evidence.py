"""The auditor's evidence at the command line: signed with a key of one's own, verified without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PERIOD = "2026-10"


@pytest.fixture
def key(shell, tmp_path, monkeypatch) -> Path:
    """The private key's file, which the environment names; the public one lies beside it."""
    path = tmp_path / "evidence.key"
    assert shell("evidence", "keygen", path).exit_code == 0
    monkeypatch.setenv("COUNTERFOIL_EVIDENCE_KEY", str(path))
    return path


def public(key: Path) -> str:
    return f"{key}.pub"


def test_a_private_key_is_its_owners_alone_and_never_written_over(shell, key):
    assert key.stat().st_mode & 0o777 == 0o600
    assert "there is one already" in shell("evidence", "keygen", key).stderr


@pytest.mark.parametrize("name", ["pack", "pack.zip"])
def test_a_pack_is_verified_without_an_engine(running, shell, key, tmp_path, monkeypatch, name):
    said = shell("evidence", "pack", "DE01", PERIOD, "--out", tmp_path / name).stdout
    assert said.startswith("8 files in ") and "not locked" in said
    monkeypatch.setenv("COUNTERFOIL_URL", "http://127.0.0.1:9")
    verified = shell("evidence", "verify", tmp_path / name, "--key", public(key))
    assert (verified.exit_code, verified.stdout.strip()[-18:]) == (0, "DE01 2026-10, 8 files."[-18:])


def test_packing_twice_gives_the_same_bytes(running, shell, key, tmp_path):
    for name in ("one.zip", "two.zip"):
        assert shell("evidence", "pack", "DE01", PERIOD, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_file_that_was_changed_afterwards_is_named(running, shell, key, tmp_path):
    shell("evidence", "pack", "DE01", PERIOD, "--out", tmp_path / "pack")
    with (tmp_path / "pack" / "cases.csv").open("a") as file:
        file.write("one more\n")
    (tmp_path / "pack" / "notes.txt").write_text("added")
    (tmp_path / "pack" / "proofs.csv").unlink()
    told = shell("evidence", "verify", tmp_path / "pack", "--key", public(key), "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["faults"] == [
        "cases.csv was changed.",
        "proofs.csv is missing.",
        "notes.txt was added.",
    ]


def test_without_a_key_nothing_is_packed(running, shell, tmp_path, monkeypatch):
    monkeypatch.delenv("COUNTERFOIL_EVIDENCE_KEY", raising=False)
    refused = shell("evidence", "pack", "DE01", PERIOD, "--out", tmp_path / "pack")
    assert refused.exit_code == 1 and "COUNTERFOIL_EVIDENCE_KEY is not set." in refused.stderr
    assert not (tmp_path / "pack").exists()


def test_an_audit_log_that_was_rewritten_as_a_whole_is_found_by_a_pack(running, shell, key, tmp_path):
    """Somebody with the database's rights changes an entry and recomputes all hashes after it."""
    for setting in ("preview", "off", "preview"):
        shell("switch", "eu1", "erp", setting)
    shell("evidence", "pack", "DE01", PERIOD, "--out", tmp_path / "pack.zip")
    shell("switch", "eu1", "erp", "off")
    compared = ("audit", "verify", "--pack", tmp_path / "pack.zip", "--key", public(key))
    assert shell(*compared).exit_code == 0
    second = rewrite(running.chain.database)
    assert shell("audit", "verify").exit_code == 0  # it agrees with itself
    found = shell(*compared, "--json")
    assert found.exit_code == 1
    [fault] = json.loads(found.stdout)["faults"]
    assert fault.startswith(f"Entry {second} is the first that differs from ")


def rewrite(database) -> int:
    """Change the second entry and chain all anew; its place."""
    from counterfoil_engine.records import audit

    with database.transaction() as tx:
        place = audit.entries(tx)[1].n
        tx.run("update audit set who = 'nobody' where n = %s", place)
        tx.run("update audit set n = null, hash = null")
        audit.head(tx)
    return place


def test_a_pack_that_was_tampered_with_anchors_nothing(running, shell, key, tmp_path):
    shell("evidence", "pack", "DE01", PERIOD, "--out", tmp_path / "pack")
    (tmp_path / "pack" / "audit.csv").write_text("n,hash\n")
    refused = shell("audit", "verify", "--pack", tmp_path / "pack", "--key", public(key))
    assert refused.exit_code == 1 and "audit.csv was changed." in refused.stderr
