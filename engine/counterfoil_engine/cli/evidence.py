"""`counterfoil evidence`: a period's proof for the auditor, signed here and verified anywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.client import Client
from counterfoil_engine.cli.close import PERIOD
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.work import pack

KEY_VARIABLE = "COUNTERFOIL_EVIDENCE_KEY"
PACK_BYTES_MAX, PACK_TIMEOUT_S = 1 << 30, 600.0
KEY_BYTES_MAX = 10_000


@counterfoil.group("evidence")
def evidence() -> None:
    """Evidence packs: a period's figures, documents, proofs and audit log, signed (Ed25519)."""


@command("keygen", evidence)
@click.argument("file", type=click.Path(path_type=Path))
def evidence_keygen(context: Context, file: Path) -> None:
    """Make a pair of keys: FILE is the private one, FILE.pub the public one for who verifies. Needs no engine.

    Example: counterfoil evidence keygen /etc/counterfoil/evidence.key
    """
    private, public = pack.new_key()
    public_file = file.with_name(file.name + ".pub")
    _make(file, private, 0o600)
    _make(public_file, public, 0o644)
    answer = {"private": str(file), "public": str(public_file)}
    context.answer(
        answer, lambda value: show.line(f"Keep {file} away from the database; give {public_file} to others.")
    )


@command("pack", evidence)
@click.argument("entity")
@PERIOD
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="a folder to make, or a file ending in .zip"
)
def evidence_pack(context: Context, entity: str, period: str, out: Path) -> None:
    """Put a period's evidence together and sign it with the key that COUNTERFOIL_EVIDENCE_KEY names.

    The same database gives the same bytes. Example: counterfoil evidence pack DE01 2026-10 --out DE01-2026-10.zip
    """
    named = os.environ.get(KEY_VARIABLE, "")
    if not named:
        raise CounterfoilError(
            f"{KEY_VARIABLE} is not set.",
            "Let it name the private key's file; counterfoil evidence keygen makes one.",
            "contract",
        )
    key = pack.private_key(read_file(Path(named)), named)
    said = Client(context.url, PACK_TIMEOUT_S, PACK_BYTES_MAX).get("evidence", entity=entity, period=period)
    content = _sealed(said, key)
    try:
        pack.write(out, content)
    except OSError as error:
        why = "there is something already" if isinstance(error, FileExistsError) else error.strerror
        raise CounterfoilError(f"The pack can't be written to {out}: {why}.", "Name a new place.", "contract") from None
    manifest = pack.manifest_of(content)
    locked = "" if manifest["locked_by"] else " The period is not locked: what is in it may still change."
    context.answer(manifest, lambda value: show.line(f"{len(content)} files in {out}.{locked}"))


@command(
    "verify",
    evidence,
    exit_status="Exit status: 0 the pack is as it was signed, 1 it isn't (what differs is said), 2 wrong usage.",
)
@click.argument("path", metavar="PACK", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="the public key of who signed it")
def evidence_verify(context: Context, path: Path, key: Path) -> int:
    """Tell whether a pack is as it was signed, and which file was changed, is missing or was added. Needs no engine.

    Example: counterfoil evidence verify DE01-2026-10.zip --key evidence.key.pub
    """
    content = pack.read(path)
    wrong = pack.faults(content, pack.public_key(read_file(key), str(key)))

    def shown(value: Mapping[str, Any]) -> None:
        for fault in value["faults"]:
            show.line(fault, "bold red")
        if not value["faults"]:
            said = pack.manifest_of(content)
            show.line(f"{path} is as it was signed: {said['entity']} {said['period']}, {len(content)} files.", "green")

    context.answer({"faults": wrong}, shown)
    return int(bool(wrong))


def read_file(path: Path) -> bytes:
    """A key's file. Raises CounterfoilError."""
    try:
        with path.open("rb") as file:
            return file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise CounterfoilError(f"{path} can't be read: {error.strerror}.", "Name a key's file.", "contract") from None


def _sealed(said: Mapping[str, Any], key: Any) -> dict[str, bytes]:
    try:
        return pack.seal(said["facts"], said["files"], key)
    except (LookupError, TypeError, AttributeError):
        raise CounterfoilError(
            "The engine's answer is no evidence.", "Use the command line of the engine's own version.", "contract"
        ) from None


def _make(path: Path, data: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except OSError as error:
        why = "there is one already" if isinstance(error, FileExistsError) else error.strerror
        raise CounterfoilError(f"The key can't be written to {path}: {why}.", "Name a new file.", "contract") from None
