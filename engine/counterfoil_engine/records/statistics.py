"""What PostgreSQL's planner knows of the size of tables.

A new database knows nothing, and the plans of its first minute are kept: with 8,000 subjects due, a claim then took
seconds instead of milliseconds. Autovacuum comes once a minute, where it runs at all; this comes before.
"""

from __future__ import annotations

from counterfoil_engine.records.database import Transaction

CHANGED_ROWS = 500  # and a fifth of the table: PostgreSQL's own measure is 50 and a tenth

_STALE = """
select quote_ident(s.schemaname) || '.' || quote_ident(s.relname) as name from pg_stat_user_tables s
join pg_class c on c.oid = s.relid
where s.schemaname = current_schema() and s.n_mod_since_analyze > %s + 0.2 * greatest(c.reltuples, 0)
  and pg_get_userbyid(c.relowner) = current_user"""


def refresh(tx: Transaction) -> list[str]:
    """Count anew the tables that have changed much; their names. SQLite plans without."""
    if tx.is_sqlite:
        return []
    names = [str(row["name"]) for row in tx.all(_STALE, CHANGED_ROWS)]
    for name in names:
        tx.run(f"analyze {name}")
    return names
