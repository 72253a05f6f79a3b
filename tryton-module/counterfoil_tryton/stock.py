"""Positions of every item in every warehouse, in one statement of the database."""

import datetime as dt

from trytond.model import Model
from trytond.pool import Pool
from trytond.rpc import RPC
from trytond.transaction import Transaction

from .ledger import _may_read, _rows

# A warehouse's goods that can be sold lie in its storage zone: what is in the output zone is picked already. A move
# within the zone changes nothing and counts on neither side.
_PLACES = """
with place as (
  select w.id as warehouse, l.id as location from stock_location w
  join stock_location top on top.id = w.storage_location
  join stock_location l on l."left" >= top."left" and l."right" <= top."right"
  where w.type = 'warehouse' and w.id in ({warehouses})
),
moved as (
  select m.product, d.warehouse as came, o.warehouse as went, m.internal_quantity as q, m.state, m.planned_date
  from stock_move m
  left join place d on d.location = m.to_location left join place o on o.location = m.from_location
  where m.company = %s and m.state in ('done', 'assigned', 'draft'){changed}
    and coalesce(d.warehouse, 0) <> coalesce(o.warehouse, 0)
)"""

_POSITIONS = """
select warehouse, product, sum(on_hand), sum(allocated), sum(inbound) from (
  select came as warehouse, product, case when state = 'done' then q else 0 end as on_hand, 0 as allocated,
    case when state <> 'done' then q else 0 end as inbound from moved where came is not null
  union all
  select went, product, case when state = 'done' then -q else 0 end, case when state = 'assigned' then q else 0 end, 0
    from moved where went is not null
) as each_way group by warehouse, product order by 1, 2"""

_CHANGED = """ and m.product in (
    select product from stock_move where company = %s and coalesce(write_date, create_date) >= %s)"""


class Stock(Model):
    """No table of its own."""

    __name__ = "counterfoil.stock"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__rpc__.update({"positions": RPC()})

    @classmethod
    def positions(cls, company, warehouses, since):
        """{at, codes: {product: code}, rows: (warehouse, product, on hand, allocated, inbound)} in the items' own units.

        since: only items with a move that changed at or after this moment (UTC, without offset); None: all.
        """
        _may_read("stock.move")
        places = [int(each) for each in warehouses]
        sql = _PLACES.format(warehouses=", ".join(map(str, places)) or "0", changed="" if since is None else _CHANGED)
        parameters = [company] if since is None else [company, company, since]
        at = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        rows = _rows(sql + _POSITIONS, parameters)
        return {"at": at, "codes": cls._codes({row[1] for row in rows}), "rows": rows}

    @classmethod
    def _codes(cls, products):
        Product = Pool().get("product.product")
        table = Product.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(table.id, table.code))
        return {str(product): code for product, code in cursor.fetchall() if product in products}
