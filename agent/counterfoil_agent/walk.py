"""Pure: how to read all orders by a time, page after page, without missing one that changes meanwhile.

Paging by offset drifts: an order that is changed leaves its place, and its followers slip onto a page already read
(issue 33386). So there are two ways to go, and both only ever ask for what can't slip away:

*By key*, where the store sorts by the time itself. Always page 1, from the last time seen on, that second included:
whatever changes meanwhile moves to the end, ahead of us. Times have whole seconds, so orders of that second come
again; they are recognised by their hash. Where a single second fills a page, that second is read as a window.

*A window* of time, sorted by id, where the store can't sort by the time (WooCommerce before `orderby=modified`), from
its last page to its first. An order that changes leaves the window, so what is behind it moves towards pages not yet
read. What a late commit puts into the window may still push another over: so a wide window is read a second time.

The next pass starts `overlap_s` before the newest time seen: a long request of PHP sets the time before it commits.
What comes later still is found by the slow re-read. A time in the future (a clock was wrong) never becomes the marker,
and where the store's clock went back, the marker goes back with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from counterfoil_agent.ports import Ask, Column, Page

SECOND = timedelta(seconds=1)


class Walk(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a walk stands; durable together with the rows it has read.

    marker: where the last pass ended. at: where this pass is, None between passes. end: the last second that is asked
    for, None: open. newest: the newest time met. until, page, second: the window that is being read, its page next
    (None: how many there are isn't known yet), and whether it is read for the second time. by_id: windows only.
    """

    marker: datetime
    end: datetime | None = None
    at: datetime | None = None
    newest: datetime | None = None
    until: datetime | None = None
    page: int | None = None
    second: bool = False
    by_id: bool = False

    @property
    def under_way(self) -> bool:
        return self.at is not None


def begin(walk: Walk, overlap_s: float, now: datetime) -> Walk:
    """The first step of a pass; now closes the window where the store can't sort by time."""
    at = (walk.marker - timedelta(seconds=overlap_s)).replace(microsecond=0)
    until = (walk.end or now.replace(microsecond=0)) if walk.by_id else None
    return msgspec.structs.replace(walk, at=at, newest=None, until=until, page=None, second=False)


def ask(walk: Walk, column: Column, status: str, size: int = 100) -> Ask:
    """The page to ask for next."""
    assert walk.at is not None, "a pass begins with begin()"
    in_window = walk.until is not None
    return Ask(
        column,
        since=walk.at,
        until=walk.until if in_window else walk.end,
        status="trash" if status == "trash" else "any",
        by_id=in_window,
        page=walk.page or 1,
        size=size,
    )


def after(walk: Walk, asked: Ask, page: Page) -> Walk:
    """Where the walk stands once this page's rows are durable."""
    times = [row.at for row in page.rows if row.at is not None]
    newest = max([*times, *([walk.newest] if walk.newest else [])], default=None)
    walk = msgspec.structs.replace(walk, newest=newest)
    return _after_window(walk, page) if asked.by_id else _after_key(walk, asked, page, times)


def _after_key(walk: Walk, asked: Ask, page: Page, times: list[datetime]) -> Walk:
    if page.count < asked.size:
        return _ended(walk, page)
    if not times or times != sorted(times) or times[-1] < asked.since:
        # The store doesn't sort, or doesn't bound, as asked (a plugin may get in between): windows don't need it to.
        closed = walk.end or page.store_now.replace(microsecond=0)
        return msgspec.structs.replace(walk, by_id=True, until=closed, page=None)
    if times[-1] == walk.at:
        return msgspec.structs.replace(walk, until=walk.at, page=None)
    return msgspec.structs.replace(walk, at=times[-1])


def _after_window(walk: Walk, page: Page) -> Walk:
    assert walk.until is not None
    if walk.page is None and page.pages > 1:
        return msgspec.structs.replace(walk, page=page.pages)
    if walk.page is not None and walk.page > 1:
        return msgspec.structs.replace(walk, page=walk.page - 1)
    if walk.by_id and walk.page is not None and not walk.second:
        return msgspec.structs.replace(walk, page=None, second=True)
    if walk.by_id:
        return _ended(walk, page)
    if walk.end is not None and walk.until >= walk.end:
        return _ended(walk, page)
    return msgspec.structs.replace(walk, at=walk.until + SECOND, until=None, page=None)


def _ended(walk: Walk, page: Page) -> Walk:
    # A marker ahead of the store's clock comes from before that went back; what changes now would lie behind it.
    store_now = page.store_now.replace(microsecond=0)
    marker = min(max(walk.marker, walk.newest or walk.marker), store_now)
    return msgspec.structs.replace(walk, marker=marker, at=None, until=None, page=None, second=False)


def by_windows(walk: Walk, now: datetime) -> Walk:
    """The same pass by windows, since the store can't sort by the time."""
    return msgspec.structs.replace(walk, by_id=True, until=walk.end or now.replace(microsecond=0), page=None)


def encoded(walk: Walk) -> str:
    return msgspec.json.encode(walk).decode()


def decoded(text: str) -> Walk:
    return msgspec.json.decode(text, type=Walk)
