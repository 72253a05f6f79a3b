"""Documents by their key: unique in the database, and made in one transaction with what they stand for."""

from collections import defaultdict

from trytond.model import Index, ModelSQL, Unique, fields
from trytond.pool import Pool
from trytond.rpc import RPC
from trytond.transaction import Transaction, without_check_access

from .settled import reconcile

PAGE = 1000


class Document(ModelSQL):
    """A document of Counterfoil, and the record of Tryton that it became."""

    __name__ = "counterfoil.document"

    key = fields.Char("Key", required=True, strip=False, readonly=True)
    content_hash = fields.Char("Content Hash", required=True, strip=False, readonly=True)
    kind = fields.Char("Kind", required=True, readonly=True)
    company = fields.Many2One("company.company", "Company", required=True, readonly=True, ondelete="RESTRICT")
    record = fields.Reference("Record", "get_models", readonly=True)
    number = fields.Char("Number", required=True, readonly=True)
    amount_minor = fields.Numeric("Amount in Minor Units", digits=(17, 0), required=True, readonly=True)
    currency = fields.Char("Currency", required=True, readonly=True)
    day = fields.Date("Date", required=True, readonly=True)
    about = fields.Char("About", strip=False, readonly=True, help="The order that it belongs to.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append(("key_unique", Unique(table, table.key), "counterfoil.msg_key_unique"))
        cls._sql_indexes.update(
            {
                Index(table, (table.company, Index.Equality()), (table.day, Index.Range())),
                Index(table, (table.create_date, Index.Range())),
                Index(table, (table.about, Index.Equality())),
            }
        )
        cls.__rpc__.update(
            {
                "promises": RPC(),
                "post": RPC(readonly=False),
                "found": RPC(),
                "since": RPC(),
                "between": RPC(),
            }
        )

    @classmethod
    def get_models(cls):
        return Pool().get("ir.model").get_name_items(ModelSQL)

    @classmethod
    def promises(cls):
        """Asked to find out whether the module is there, and which contract of calls it keeps."""
        return {"calls": 2}

    @classmethod
    def post(cls, company, documents):
        """Make each document that isn't there yet, all in this transaction; an answer each, in order.

        documents: {key, content_hash, kind, amount_minor, currency, day, about, model, values, buttons} or, in place of
        the last three, {record}: what was there before, and is now known by this key too. An answer: {number,
        content_hash, new}; of a key that stands already those of the first document. What an application levels out is
        reconciled, so that its invoices are paid.
        """
        with Transaction().set_context(company=company, _skip_warnings=True):
            standing = {each.key: each for each in cls._of_keys([each["key"] for each in documents])}
            new = [each for each in documents if each["key"] not in standing]
            records = cls._make([each for each in new if each.get("model")])
            made = cls._note(company, new, records)
            reconcile({each["about"] for each in new if each["kind"] == "application"})
        answers = []
        for each in documents:
            there = made.get(each["key"]) or standing[each["key"]]
            answers.append({"number": there.number, "content_hash": there.content_hash, "new": each["key"] in made})
        return answers

    @classmethod
    def _make(cls, documents):
        """The record of each key: created together, then moved on together, a button at a time."""
        groups = defaultdict(list)
        for each in documents:
            groups[each["model"], tuple(each["buttons"])].append(each)
        records = {}
        for (name, buttons), group in groups.items():
            Model = Pool().get(name)
            created = Model.create([each["values"] for each in group])
            for button in buttons:
                getattr(Model, button)(created)
            records.update(zip((each["key"] for each in group), Model.browse([one.id for one in created])))
        return records

    @classmethod
    @without_check_access
    def _note(cls, company, documents, records):
        last = cls._last_id()
        values = []
        for place, each in enumerate(documents, start=1):
            record = records.get(each["key"])
            number = getattr(record, "number", None) or getattr(record, "code", None) if record else None
            values.append(
                {
                    "key": each["key"],
                    "content_hash": each["content_hash"],
                    "kind": each["kind"],
                    "company": company,
                    "record": str(record) if record else each.get("record"),
                    "number": str(number or f"CF{last + place}"),
                    "amount_minor": each["amount_minor"],
                    "currency": each["currency"],
                    "day": each["day"],
                    "about": each.get("about"),
                }
            )
        return {one.key: one for one in cls.create(values)}

    @classmethod
    def _last_id(cls):
        table = cls.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.select(table.id, order_by=[table.id.desc], limit=1))
        row = cursor.fetchone()
        return row[0] if row else 0

    @classmethod
    def _of_keys(cls, keys):
        return cls.search([("key", "in", keys)])

    @classmethod
    def found(cls, keys):
        """The documents of these keys: (key, number, content_hash, written at, record)."""
        return [each._told() for each in cls._of_keys(keys)]

    @classmethod
    def since(cls, company, moment, after):
        """A page of the documents of a company written since a moment (UTC, without offset), by id after one."""
        domain = [("company", "=", company), ("create_date", ">=", moment), ("id", ">", after)]
        page = cls.search(domain, order=[("id", "ASC")], limit=PAGE)
        return {"rows": [each._told() for each in page], "next": page[-1].id if len(page) == PAGE else None}

    @classmethod
    def between(cls, company, first, last, after):
        """A page of the documents of a company with a date in these days, by id after one: (key, number, content_hash,
        amount_minor, currency, day, written at, record)."""
        domain = [("company", "=", company), ("day", ">=", first), ("day", "<=", last), ("id", ">", after)]
        page = cls.search(domain, order=[("id", "ASC")], limit=PAGE)
        rows = []
        for each in page:
            key, number, content_hash, at, record = each._told()
            rows.append([key, number, content_hash, int(each.amount_minor), each.currency, each.day, at, record])
        return {"rows": rows, "next": page[-1].id if len(page) == PAGE else None}

    def _told(self):
        record = str(self.record) if self.record else None
        return [self.key, self.number, self.content_hash, self.create_date, record]
