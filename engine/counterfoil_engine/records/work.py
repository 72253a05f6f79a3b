"""The work list: the set of subjects that deserve another look. A thousand events on one order are one row.

gen comes from a sequence that never repeats, so that a stale worker's finish can't remove a newer event's row (L1).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from counterfoil_engine.ports import WorkClass
from counterfoil_engine.records.database import Transaction

# The more urgent class wins where a subject is marked twice. The claim count stays: it has to survive crashes (L4).
_ON_MARK = """
on conflict (subject) do update set
    gen = excluded.gen,
    class = case when 'live' in (work.class, excluded.class) then 'live'
                 when 'repair' in (work.class, excluded.class) then 'repair' else 'history' end,
    due_at = case when work.due_at < excluded.due_at then work.due_at else excluded.due_at end,
    marked_at = excluded.marked_at
"""


def mark_due(
    tx: Transaction, subjects: Iterable[str], work_class: WorkClass = "live", due_at: datetime | None = None
) -> None:
    """Mark subjects due, now or at a later moment; one that is due already stays due at its earlier moment.

    Rows are locked in the order of their names: two writers that mark the same subjects don't deadlock."""
    names = sorted(set(subjects))
    if not names:
        return
    now = tx.now()
    if tx.is_sqlite:
        last = _raise_gen(tx, len(names))
        sql = "insert into work (subject, gen, class, due_at, marked_at) values (%s, %s, %s, %s, %s)" + _ON_MARK
        rows = [(name, last - len(names) + 1 + i, work_class, due_at or now, now) for i, name in enumerate(names)]
        tx.run_many(sql, rows)
        return
    tx.run(
        "insert into work (subject, gen, class, due_at, marked_at)"
        " select subject, nextval('work_gen'), %s, %s, %s from unnest(%b::text[]) as subject order by subject"
        + _ON_MARK,
        work_class,
        due_at or now,
        now,
        names,
    )


def _raise_gen(tx: Transaction, count: int) -> int:
    """SQLite has no sequences; a one-row table under the writer's lock is one. The last of `count` new values."""
    row = tx.one("update work_gen set value = value + %s returning value", count)
    assert row is not None
    return int(row["value"])
