"""Every library that is needed, also by another one, may be used in commercial work."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

# As SPDX writes them, and as older packages do. LGPL: psycopg, used unchanged as a library.
PERMITTED = re.compile(
    r"\b(MIT|any-OSI|BSD|0BSD|Apache|ISC|MPL-2\.0|Mozilla Public License 2\.0|LGPL|Lesser General Public|PSF|"
    r"Python Software Foundation|Unlicense|Zlib|Public Domain)\b",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"\b(A?GPL|General Public License|SSPL|BUSL|Commons Clause|Non-?Commercial)\b", re.IGNORECASE)


def needed(name: str, extras: tuple[str, ...], seen: dict[str, Distribution]) -> None:
    """All distributions that a requirement brings in, here where they are installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return  # for another platform, or not asked for
    if name.lower() in seen and not extras:
        return
    seen[name.lower()] = found
    for line in found.requires or []:
        requirement = Requirement(line)
        if any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in (*extras, "")):
            needed(requirement.name, tuple(requirement.extras), seen)


def licence_of(found: Distribution) -> str:
    """What a package says of its licence: SPDX expression, else classifiers, else its own words, else the text."""
    if expression := found.metadata.get("License-Expression"):
        return str(expression)
    classifiers = [each for each in found.metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    said = "; ".join(classifiers) or str(found.metadata.get("License") or "")[:200]
    if said:
        return said
    texts = [path.read_text() for path in found.files or [] if path.name.upper().startswith(("LICENSE", "LICENCE"))]
    return "MIT" if any("Permission is hereby granted, free of charge" in text for text in texts) else ""


def test_every_library_that_is_needed_permits_commercial_use() -> None:
    seen: dict[str, Distribution] = {}
    needed("counterfoil", ("engine", "dev"), seen)
    assert len(seen) > 30
    doubtful = {name: licence_of(found) for name, found in seen.items() if not _is_fine(licence_of(found))}
    assert doubtful == {}


def test_a_licence_that_forbids_it_would_be_found() -> None:
    assert not _is_fine("AGPL-3.0-only")
    assert not _is_fine("License :: OSI Approved :: GNU General Public License v3 (GPLv3)")
    assert not _is_fine("")
    assert _is_fine("LGPL-3.0-only")
    assert _is_fine("GPL-2.0-only OR MIT")


def _is_fine(licence: str) -> bool:
    """Fine where one of the alternatives is permitted and not forbidden."""
    alternatives = re.split(r"\bOR\b", licence)
    return any(
        PERMITTED.search(each)
        and not FORBIDDEN.search(re.sub(r"LGPL|(Library or )?Lesser General Public License", "", each))
        for each in alternatives
    )
