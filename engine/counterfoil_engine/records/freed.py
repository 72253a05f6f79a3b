"""What became of the subjects that a cause held, once it was over: how far those have come. Reads only."""

from __future__ import annotations

from datetime import datetime

from counterfoil_engine.records.database import Transaction


def progress(tx: Transaction, fingerprint: str, since: datetime, most: int) -> dict[str, int]:
    """held: subjects that a cause holds still; marked: that it holds, and that are about to be looked at again.

    gone: that it let go since, so many at most; of those under_way: wait for a party; parked: are stuck again."""
    open_now = tx.one(
        "select count(distinct c.subject) as subjects, count(distinct w.subject) as marked from cases c"
        " left join work w on w.subject = c.subject where c.fingerprint = %s and c.resolved_at is null",
        fingerprint,
    )
    let_go = tx.one(
        "select count(*) as gone, coalesce(sum(is_under_way), 0) as under_way, coalesce(sum(is_parked), 0) as parked"
        " from (select case when exists (select 1 from intents i where i.about = c.subject"
        "   and i.state in ('ready', 'sent')) then 1 else 0 end as is_under_way,"
        " case when exists (select 1 from cases o where o.subject = c.subject and o.resolved_at is null)"
        "  then 1 else 0 end as is_parked"
        " from (select distinct subject from cases where fingerprint = %s and resolved_at >= %s"
        "  order by subject limit %s) as c) as each_one",
        fingerprint,
        since,
        most,
    )
    marked = int(open_now["marked"]) if open_now else 0
    held = int(open_now["subjects"]) - marked if open_now else 0
    return {"held": held, "marked": marked, **{name: int(value) for name, value in (let_go or {}).items()}}
