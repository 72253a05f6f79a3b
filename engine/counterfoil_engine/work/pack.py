"""Evidence packs: files, a manifest with the SHA-256 of each, and the manifest's Ed25519 signature.

The same content gives the same bytes: nothing here looks at a clock. Whoever has the public key can tell, without an
engine, whether a pack is as it was signed, and which of its files is not. Cells of text can't be taken for formulas.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from counterfoil_engine.domain.errors import CounterfoilError

FORMAT = "counterfoil-evidence/1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FILES_MAX, BYTES_MAX = 100, 1 << 31

_FORMULA = tuple("=+-@\t\n＝＋－＠")  # spreadsheets take a cell that begins so for a formula


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A CSV file: commas, LF, numbers as they are, and text that no spreadsheet carries out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(int(value))
    text = str(value).replace("\r\n", "\n").replace("\r", "\n")  # the csv module leaves a lone CR unquoted
    return f"'{text}" if text.startswith(_FORMULA) else text


def seal(facts: Mapping[str, Any], files: Mapping[str, str], key: Ed25519PrivateKey) -> dict[str, bytes]:
    """A pack by file name. facts: what the manifest says beside its files."""
    content = {name: text.encode() for name, text in sorted(files.items())}
    manifest = {
        "format": FORMAT,
        **facts,
        "signed_by": fingerprint(key.public_key()),
        "files": {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in content.items()},
    }
    said = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return {**content, MANIFEST: said, SIGNATURE: key.sign(said).hex().encode() + b"\n"}


def faults(pack: Mapping[str, bytes], key: Ed25519PublicKey) -> list[str]:
    """What is not as it was signed, a sentence each; none: all is."""
    missing = [f"{name} is missing." for name in (MANIFEST, SIGNATURE) if name not in pack]
    if missing:
        return missing
    try:
        key.verify(bytes.fromhex(pack[SIGNATURE].decode("ascii").strip()), pack[MANIFEST])
    except (InvalidSignature, ValueError):
        named = manifest_of(pack).get("signed_by")
        if named not in (None, fingerprint(key)):
            return [f"{MANIFEST} was signed with another key ({str(named)[:16]}…) than this one, or was changed."]
        return [f"{MANIFEST} was changed, or its signature was."]
    return list(_file_faults(manifest_of(pack).get("files", {}), pack))


def _file_faults(told: Mapping[str, Mapping[str, Any]], pack: Mapping[str, bytes]) -> Iterator[str]:
    for name, its in sorted(told.items()):
        if name not in pack:
            yield f"{name} is missing."
        elif _sha256(pack[name]) != its["sha256"]:
            yield f"{name} was changed."
    yield from (f"{name} was added." for name in sorted(pack) if name not in {*told, MANIFEST, SIGNATURE})


def manifest_of(pack: Mapping[str, bytes]) -> Mapping[str, Any]:
    """What a pack says of itself; empty where that can't be read."""
    try:
        said = json.loads(pack.get(MANIFEST, b""))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def chain_of(pack: Mapping[str, bytes]) -> dict[int, str]:
    """The audit log as a pack has it: place → hash."""
    rows = csv.DictReader(io.StringIO(pack.get("audit.csv", b"").decode("utf-8", "replace")))
    kept = {int(row["n"]): row["hash"] for row in rows if (row.get("n") or "").isdigit() and row.get("hash")}
    head = manifest_of(pack).get("audit")
    if isinstance(head, dict) and isinstance(head.get("n"), int) and head["n"] > 0:
        kept.setdefault(head["n"], str(head.get("hash")))
    return kept


# Keys.


def new_key() -> tuple[bytes, bytes]:
    """A private key and its public one, both PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def private_key(data: bytes, name: str) -> Ed25519PrivateKey:
    """name: of the file, for the sentence that says what is wrong with it."""
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise _no_key(name, "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(name, "private")
    return key


def public_key(data: bytes, name: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(data)
    except ValueError as error:
        raise _no_key(name, "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(name, "public")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    return _sha256(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


# A pack as a folder or as one ZIP file.


def zipped(pack: Mapping[str, bytes]) -> bytes:
    """A pack as a ZIP file: the same pack gives the same bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(pack.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    return data.getvalue()


def write(path: Path, pack: Mapping[str, bytes]) -> None:
    """Write a pack where nothing is yet: a ZIP file where the name ends so, else a folder."""
    if path.suffix.lower() == ".zip":
        with path.open("xb") as file:
            file.write(zipped(pack))
        return
    path.mkdir(parents=True, exist_ok=False)
    for name, data in sorted(pack.items()):
        (path / name).write_bytes(data)


def read(path: Path) -> dict[str, bytes]:
    """A pack by file name. Raises CounterfoilError where it can't be read, or is larger than any pack."""
    try:
        return _read_zip(path) if path.is_file() else _read_folder(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is neither a folder nor a ZIP"
        raise CounterfoilError(
            f"The pack {path} can't be read: {why}.", "Name the folder or the ZIP file of a pack.", "contract"
        ) from None


def _read_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _bound(path, len(entries), sum(entry.file_size for entry in entries))
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise CounterfoilError(f"{twice} is in the pack {path} twice.", "Ask for the pack as it was.", "contract")
        return {entry.filename: archive.read(entry) for entry in entries}


def _read_folder(path: Path) -> dict[str, bytes]:
    files = [entry for entry in path.rglob("*") if entry.is_file() or entry.is_symlink()] if path.is_dir() else None
    if files is None:
        raise FileNotFoundError(2, "there is no such file or folder")
    _bound(path, len(files), sum(entry.stat().st_size for entry in files))
    return {entry.relative_to(path).as_posix(): entry.read_bytes() for entry in files}


def _bound(path: Path, files: int, size_bytes: int) -> None:
    if files > FILES_MAX or size_bytes > BYTES_MAX:
        raise CounterfoilError(f"{path} is larger than any pack.", "Name the pack itself.", "contract")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _no_key(name: str, kind: str) -> CounterfoilError:
    return CounterfoilError(
        f"{name} holds no {kind} Ed25519 key (PEM).", "Make a pair: counterfoil evidence keygen FILE.", "contract"
    )
