"""Positions of every item in every warehouse, in one statement of the database."""

import datetime as dt

from trytond.model import Model
from trytond.pool import Pool
from trytond.rpc import RPC
from trytond.transaction import Transaction

from .ledger import _may_read, _rows

# A warehouse's goods that can be sold lie in its storage zone: what is in the output zone is picked already. A move
# within the zone changes nothing and counts on neither side. zone: whether a location is in storage, or where goods
# come in.
_PLACES = """
with place as (
  select w.id as warehouse, l.id as location, case when top.id = w.storage_location then 1 else 0 end as stored
  from stock_location w
  join stock_location top on top.id = w.storage_location or top.id = w.input_location
  join stock_location l on l."left" >= top."left" and l."right" <= top."right"
  where w.type = 'warehouse' and w.id in ({warehouses})
),
zone as (select warehouse, location, max(stored) as stored from place group by warehouse, location),
moved as (
  select m.id, m.product, m.internal_quantity as q, m.state, m.planned_date, m.effective_date, m.origin,
    f.type as source, d.warehouse as came, d.stored as came_stored, o.warehouse as went, o.stored as went_stored
  from stock_move m
  join stock_location f on f.id = m.from_location
  left join zone d on d.location = m.to_location left join zone o on o.location = m.from_location
  where m.company = %s and m.state in ('done', 'assigned', 'draft'){changed}
    and (coalesce(d.warehouse, 0) <> coalesce(o.warehouse, 0) or coalesce(d.stored, 0) <> coalesce(o.stored, 0))
)"""

_POSITIONS = """
select warehouse, product, sum(on_hand), sum(allocated) from (
  select came as warehouse, product, case when state = 'done' then q else 0 end as on_hand, 0 as allocated
    from moved where came_stored = 1
  union all
  select went, product, case when state = 'done' then -q else 0 end, case when state = 'assigned' then q else 0 end
    from moved where went_stored = 1
) as each_way group by warehouse, product order by 1, 2"""

# What is on its way into the zone; what came in and isn't put away yet still is. Not what customers may send back.
_INBOUND = """
select came, product, planned_date, sum(q) from moved
where state in ('draft', 'assigned') and came is not null and source <> 'customer'
  and (went is null or went <> came or went_stored = 0)
group by came, product, planned_date order by 1, 2, 3"""

# What left the zone, or is assigned to, for a line of a sale: by the move itself, or by the shipment's move that it
# brings the goods for.
_LINES = """
select x.went, x.product, s.reference, l.description, sum(case when x.state = 'assigned' then x.q else 0 end),
  sum(case when x.state = 'done' then x.q else 0 end)
from moved x
left join stock_move o on x.origin = 'stock.move,' || o.id
join sale_line l on coalesce(o.origin, x.origin) = 'sale.line,' || l.id
join sale_sale s on s.id = l.sale
where x.went_stored = 1 and (x.state = 'assigned' or x.state = 'done' and x.effective_date >= %s)
group by x.went, x.product, s.reference, l.description order by 1, 2, 3, 4"""

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
    def positions(cls, company, warehouses, since, shipped_since):
        """In the items' own units: {at, codes: {product: code}, rows: (warehouse, product, on hand, allocated),
        inbound: (warehouse, product, day or none, quantity), lines: (warehouse, product, the sale's reference, its
        line's description, allocated, shipped)}.

        since: only items with a move that changed at or after this moment (UTC, without offset); None: all.
        shipped_since: a date; what was shipped before it is in no line.
        """
        _may_read("stock.move")
        places = [int(each) for each in warehouses]
        sql = _PLACES.format(warehouses=", ".join(map(str, places)) or "0", changed="" if since is None else _CHANGED)
        parameters = [company] if since is None else [company, company, since]
        at = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        rows, inbound = _rows(sql + _POSITIONS, parameters), _rows(sql + _INBOUND, parameters)
        return {
            "at": at,
            "codes": cls._codes({row[1] for row in (*rows, *inbound)}),
            "rows": rows,
            "inbound": inbound,
            "lines": _rows(sql + _LINES, [*parameters, shipped_since]),
        }

    @classmethod
    def _codes(cls, products):
        Product = Pool().get("product.product")
        table = Product.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(table.id, table.code))
        return {str(product): code for product, code in cursor.fetchall() if product in products}
