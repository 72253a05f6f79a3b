"""The ledger in bulk: turnover of accounts, and documents with what each moved. Posted moves alone count."""

from trytond.model import Model
from trytond.pool import Pool
from trytond.rpc import RPC
from trytond.transaction import Transaction

_LINES = """
from account_move_line l
join account_move m on m.id = l.move
join company_company c on c.id = m.company
join currency_currency b on b.id = c.currency
left join currency_currency s on s.id = l.second_currency
where m.company = %s and m.state = 'posted'"""

# What a line moved in its own currency: the company's, unless it names a second one.
_OWN = "case when l.second_currency is null then l.debit - l.credit else l.amount_second_currency end"
_DEBIT = f"case when {_OWN} > 0 then {_OWN} else 0 end"
_CREDIT = f"case when {_OWN} < 0 then -({_OWN}) else 0 end"
_CODE = "coalesce(s.code, b.code)"


class Ledger(Model):
    """No table of its own."""

    __name__ = "counterfoil.ledger"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__rpc__.update({"turnover": RPC(), "moves": RPC()})

    @classmethod
    def turnover(cls, company):
        """(account, currency, debit, credit, company's debit, company's credit) of each account and currency."""
        _may_read("account.move.line")
        return _rows(
            f"select l.account, {_CODE}, sum({_DEBIT}), sum({_CREDIT}), sum(l.debit), sum(l.credit)"
            f"{_LINES} group by l.account, {_CODE} order by 1, 2",
            [company],
        )

    @classmethod
    def moves(cls, company, first, last, after, limit):
        """A page of the moves of these days, by id after one: (id, number, date, description, origin), and their lines
        (move, account, currency, debit less credit, the same in the company's currency)."""
        _may_read("account.move.line")
        moves = _rows(
            "select m.id, m.number, m.date, m.description, m.origin from account_move m where m.company = %s"
            " and m.state = 'posted' and m.date >= %s and m.date <= %s and m.id > %s order by m.id limit %s",
            [company, first, last, after, limit],
        )
        if not moves:
            return {"moves": [], "lines": []}
        lines = _rows(
            f"select m.id, l.account, {_CODE}, sum({_OWN}), sum(l.debit - l.credit)"
            f"{_LINES} and m.date >= %s and m.date <= %s and m.id >= %s and m.id <= %s"
            f" group by m.id, l.account, {_CODE} order by 1, 2, 3",
            [company, first, last, moves[0][0], moves[-1][0]],
        )
        return {"moves": moves, "lines": lines}


def _may_read(model):
    Pool().get("ir.model.access").check(model, "read")


def _rows(sql, parameters):
    connection = Transaction().connection
    cursor = connection.cursor()
    flavor = Transaction().database.flavor
    cursor.execute(sql.replace("%s", "?") if flavor.paramstyle == "qmark" else sql, parameters)
    return [list(row) for row in cursor.fetchall()]
