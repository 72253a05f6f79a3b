"""How WordPress's REST API reads a query and answers: lists, numbers, chosen fields, error documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PER_PAGE_MAX = 100


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


_INDEX = re.compile(r"\[\d*\]")


class Rejected(Exception):
    """An answer that is an error document of WordPress's form."""

    def __init__(self, status: int, code: str, message: str, data: Any = None) -> None:
        super().__init__(message)
        data = {"status": status} if data is None else data
        self.answer = Answer(status, {"code": code, "message": message, "data": data})


def invalid_parameter(name: str, reason: str, code: str = "rest_invalid_param") -> Rejected:
    details = {name: {"code": code, "message": reason, "data": None}}
    data = {"status": 400, "params": {name: reason}, "details": details}
    return Rejected(400, "rest_invalid_param", f"Invalid parameter(s): {name}", data)


def listed(query: Mapping[str, str], name: str) -> list[str]:
    """A list parameter: `name=a,b`, `name[]=a`, or `name[0]=a&name[1]=b`."""
    values = [
        v for k, v in query.items() if k == name or (k.startswith(f"{name}[") and _INDEX.fullmatch(k[len(name) :]))
    ]
    return [part for value in values for part in re.split(r"[\s,]+", value) if part]


def number(query: Mapping[str, str], name: str, default: int, low: int, high: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise invalid_parameter(name, f"{name} is not of type integer.", "rest_invalid_type")
    value = int(text)
    if value < low or (high is not None and value > high):
        upper = f"between {low} (inclusive) and {high} (inclusive)"
        bounds = upper if high is not None else f"greater than or equal to {low}"
        raise invalid_parameter(name, f"{name} must be {bounds}", "rest_out_of_bounds")
    return value


def one_of(query: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = query.get(name, default)
    if value not in allowed:
        raise invalid_parameter(name, f"{name} is not one of {', '.join(allowed)}.", "rest_not_in_enum")
    return value


def truth(query: Mapping[str, str], name: str, default: bool) -> bool:
    value = query.get(name)
    if value is None:
        return default
    if value.lower() not in ("true", "false", "1", "0", ""):
        raise invalid_parameter(name, f"{name} is not of type boolean.", "rest_invalid_type")
    return value.lower() in ("true", "1")


def marks(values: Any) -> str:
    return ", ".join("?" for _ in values)


def chosen_fields(answer: Answer, query: Mapping[str, str]) -> Answer:
    """`_fields`: top-level names; a dotted name stands for the field it begins with."""
    names = {name.split(".")[0] for name in listed(query, "_fields")}
    if not names:
        return answer

    def cut(item: Any) -> Any:
        return {k: v for k, v in item.items() if k in names} if isinstance(item, dict) else item

    body = [cut(item) for item in answer.body] if isinstance(answer.body, list) else cut(answer.body)
    return Answer(answer.status, body, answer.headers)
