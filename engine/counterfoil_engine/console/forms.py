"""What a form or an address brings, as the struct that the page takes: bounded before it is read."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from flask import Request

from counterfoil_engine.api.requests import Name, Strict
from counterfoil_engine.console import wrong
from counterfoil_engine.ports import Rejected

BODY_BYTES, FIELDS = 65_536, 100
RULES_BYTES = 2_097_152  # of a form that holds all rules, as browsers write it
LARGE = frozenset({"console.propose_rules", "console.try_rules"})
Asked = TypeVar("Asked")

Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
Line = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f]*\Z")]
Lines = Annotated[str, msgspec.Meta(max_length=4_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*\Z")]


def bound(request: Request) -> None:
    """Before anything of the body is read."""
    most = RULES_BYTES if request.endpoint in LARGE else BODY_BYTES
    request.max_content_length = most
    request.max_form_memory_size = most
    request.max_form_parts = FIELDS


def form(request: Request, kind: type[Asked]) -> Asked:
    """The fields of a form, but for its token; a field that was left empty is as if it weren't there."""
    return _said({name: value for name, value in request.form.items() if value != "" and name != "csrf"}, kind)


def query(request: Request, kind: type[Asked], **path: str) -> Asked:
    """What an address asks for behind its `?`, and path: in its own parts."""
    return _said({**{name: value for name, value in request.args.items() if value != ""}, **path}, kind)


def filled_in(request: Request, beginning: str) -> dict[str, str]:
    """The fields whose names begin so, by the rest of their names: those that only the page's own case knows."""
    given = {name.removeprefix(beginning): text for name, text in request.form.items() if name.startswith(beginning)}
    return _said({"values": {name: text for name, text in given.items() if text}}, _Values).values


class _Values(Strict):
    values: dict[Name, Name]


def number_of(text: str) -> int:
    """The number that an address names."""
    return _said({"number": text}, _Numbered).number


class _Numbered(Strict):
    number: Number


def _said(values: dict[str, Any], kind: type[Asked]) -> Asked:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        cause, remedy = wrong.told(error, kind)
        raise Rejected(cause, remedy, slug="contract") from None
