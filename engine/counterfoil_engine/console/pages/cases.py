"""Cases: what is stuck by cause, one case with its history, and everything that ends it: fill in, preview, replay,
correct, assign, put off, comment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from counterfoil_contracts import schema
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Name, Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import many
from counterfoil_engine.console.forms import Line, Lines, filled_in, form, number_of, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console
from counterfoil_engine.ports import Rejected, Wanted

PAGE = 50
SNOOZES = {"1": "an hour", "4": "four hours", "24": "a day", "72": "three days", "168": "a week"}


class _Wanted(Strict):
    category: Name | None = None
    store: Name | None = None
    party: Name | None = None
    owner: Name | None = None
    sort: Literal["money", "age"] = "money"
    single: bool = False
    snoozed: bool = False
    page: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1

    @property
    def is_some(self) -> bool:
        return any((self.category, self.store, self.party, self.owner))

    def wanted(self) -> Wanted:
        return Wanted(
            category=self.category,
            store=self.store,
            party=self.party,
            owner=self.owner,
            with_snoozed=self.snoozed,
            sort=self.sort,
            limit=PAGE,
            offset=(self.page - 1) * PAGE,
        )


class _Alike(Strict):
    alike: bool = False


class _Assigned(_Alike):
    owner: Name | None = None


class _Snoozed(_Alike):
    hours: Literal["0", "1", "4", "24", "72", "168"] = "0"


class _Said(_Alike, kw_only=True):
    text: Lines


class _Corrected(Strict):
    path: Annotated[str, msgspec.Meta(pattern=r"^/[^\x00-\x1f]{1,300}\Z")]
    value: Lines
    reason: Line


def case_pages(at: Blueprint, does: Console) -> None:
    _reading(at, does)
    _ending(at, does)
    _minding(at, does)


def _reading(at: Blueprint, does: Console) -> None:
    inbox = does.cases.inbox

    @at.get("/cases")
    def cases() -> Response:
        wanted = query(request, _Wanted)
        found = inbox.list(wanted.wanted())
        first = answer(found, wanted.is_some)
        return page("cases.html", of="cases", answer=first, wanted=wanted, size=PAGE, listed=found)

    @at.get("/cases/<number>")
    def case(number: str) -> Response:
        shown = inbox.show(number_of(number))
        people = [each["name"] for each in does.control.users.list()["users"]]
        return page(
            "case.html", of="cases", one=shown, blank=blank_fields(shown["rows"]), people=people, snoozes=SNOOZES
        )

    @at.post("/cases/<number>/preview")
    def preview_case(number: str) -> Response:
        """Reads only: reloading it asks the same again."""
        values, alike = filled_in(request, "set."), request.form.get("alike") == "true"
        seen, shown = does.cases.preview.preview(number_of(number), values, alike), inbox.show(number_of(number))
        return page("preview.html", of="cases", seen=seen, values=values, alike=alike, one=shown)

    @at.get("/cases/<number>/watch")
    def watch_case(number: str) -> Response:
        seen = inbox.watch(number_of(number))
        return page("watch.html", of="cases", seen=seen, answer=watched(seen))


def _ending(at: Blueprint, does: Console) -> None:
    """What lets go of what a case holds."""
    hands = does.cases.hands

    @at.post("/cases/<number>/fill")
    def fill_case(number: str) -> Response:
        done = hands.fill(number_of(number), filled_in(request, "set."), caller())
        if "proposal" in done:
            tell(does, f"Proposed as {done['proposal']}: somebody else has to approve it.")
            return go("proposal", number=done["proposal"])
        tell(does, f"Filled in: version {done['version']} of the rules is in force, and what it held goes on.")
        return go("watch_case", number=number)

    @at.post("/cases/<number>/retry")
    def retry_case(number: str) -> Response:
        wanted = form(request, _Alike)
        subject = does.cases.inbox.show(number_of(number))["subject"]
        done = hands.retry(number_of(number), wanted.alike, caller())
        tell(does, f"{many(len(done['subjects']), 'subject is', 'subjects are')} looked at again.")
        if wanted.alike:
            return go("watch_case", number=number)
        store, _, order = subject.removeprefix("order ").partition("/")
        return go("order", store=store, order=order) if subject.startswith("order ") else go("case", number=number)

    @at.post("/cases/<number>/correct")
    def correct_case(number: str) -> Response:
        wanted = form(request, _Corrected)
        patch = [{"op": "replace", "path": wanted.path, "value": _value(wanted.value)}]
        done = hands.correct(number_of(number), wanted.reason, {"patch": patch}, caller())
        if "proposal" in done:
            tell(does, f"Proposed as {done['proposal']}: somebody else has to approve it.")
            return go("proposal", number=done["proposal"])
        tell(does, "Corrected: the order is looked at again.")
        return go("case", number=number)


def _minding(at: Blueprint, does: Console) -> None:
    """Who looks after a case, when, and what is said of it."""
    hands = does.cases.hands

    @at.post("/cases/<number>/assign")
    def assign_case(number: str) -> Response:
        wanted = form(request, _Assigned)
        done = hands.assign(number_of(number), wanted.owner, wanted.alike, caller())
        tell(does, f"{wanted.owner or 'Nobody'} looks after {many(len(done['cases']), 'case')}.")
        return go("case", number=number)

    @at.post("/cases/<number>/snooze")
    def snooze_case(number: str) -> Response:
        wanted = form(request, _Snoozed)
        until = does.clock.now() + timedelta(hours=int(wanted.hours)) if wanted.hours != "0" else None
        done = hands.snooze(number_of(number), until, wanted.alike, caller())
        put = f"put off for {SNOOZES[wanted.hours]}" if until else "back in the inbox"
        tell(does, f"{many(len(done['cases']), 'case is', 'cases are')} {put}.")
        return go("case", number=number)

    @at.post("/cases/<number>/comment")
    def comment_case(number: str) -> Response:
        wanted = form(request, _Said)
        done = hands.comment(number_of(number), wanted.text, wanted.alike, caller())
        tell(does, f"Said at {many(len(done['cases']), 'case')}.")
        return go("case", number=number)


def blank_fields(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is to be filled in of missing rows, as the rules' contract describes it: name, description, and choices
    (value, how it reads) where there are few."""
    tables = schema("config/rules.v1")["properties"]
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        said = tables.get(row.get("table"), {}).get("items", {}).get("properties", {})
        for name in (name for name, value in row.items() if value is None):
            told = said.get(name, {})
            choices = [(value, value) for value in told.get("enum", ())]
            if told.get("type") == "boolean":
                choices = [("false", "no"), ("true", "yes")]
            found.setdefault(name, {"name": name, "description": told.get("description", ""), "choices": choices})
    return sorted(found.values(), key=lambda field: (bool(field["choices"]), field["name"]))


def _value(text: str) -> Any:
    """As JSON where it is that (true, null, 3), else the text itself: amounts of WooCommerce's are texts."""
    if text in ("true", "false", "null") or text[:1] in '[{"':
        try:
            return json.loads(text)
        except ValueError:
            raise Rejected(
                "The new value begins like JSON, and is none.", "Correct it, or type a plain text."
            ) from None
    return text


def answer(found: Mapping[str, Any], is_some: bool) -> str:
    """The inbox's first line. is_some: not all cases were asked for."""
    cases, causes = found["found"]["cases"], found["found"]["causes"]
    if not cases:
        put_off = f" {many(found['snoozed'], 'case is', 'cases are')} put off." if found["snoozed"] else ""
        return f"{'Nothing of what was asked for' if is_some else 'Nothing'} is stuck.{put_off}"
    return f"{many(cases, 'subject is', 'subjects are')} stuck, by {many(causes, 'cause')}."


def watched(seen: Mapping[str, Any]) -> str:
    """How far those have come that the cause held."""
    total, gone = seen["marked"] + seen["gone"], seen["gone"] - seen["under_way"]
    if seen["held"] and not total:
        return f"{many(seen['held'], 'subject is', 'subjects are')} held, and nothing lets go of them yet."
    if not total:
        return "This cause held nothing within the last day."
    held = f" {many(seen['held'], 'subject is', 'subjects are')} held still." if seen["held"] else ""
    stuck = f" {many(seen['parked'], 'is', 'are')} stuck by something else." if seen["parked"] else ""
    if gone == total:
        all_of_them = (
            f"All {total} subjects that it held have gone." if total > 1 else "The subject that it held has gone."
        )
        return f"{all_of_them}{held}{stuck}"
    return f"{gone} of {many(total, 'subject')} have gone; {total - gone} are on their way.{held}{stuck}"
