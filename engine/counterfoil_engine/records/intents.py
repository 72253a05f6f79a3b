"""The ledger of intents: what is to be posted, what was sent, and what became of it.

Intents move by compare-and-set alone (K2): ready → sent → done | refused; ready → withdrawn; a refused reversal goes
back to ready under its own key; what was refused and is found at its party goes back to sent. Only a look withdraws,
or a poster that finds what was refused before; only a poster sends. Behind it stands a unique index over (party,
entity, key) of all that are not withdrawn.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from counterfoil_engine.domain.documents import Document, JournalLine
from counterfoil_engine.domain.old_references import NO_NUMBER
from counterfoil_engine.ports import Intent, NewIntent, WorkClass
from counterfoil_engine.records.database import Transaction, as_time
from counterfoil_engine.records.waits import ANY_PARTY, forget, result_key, wait_for_results

BUCKETS = 64


def bucket_of(subject: str) -> int:
    """The fixed bucket of a subject: the number of lanes never changes it (K5)."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:4]) % BUCKETS


def book_minor(document: Document) -> int:
    """What a document moves in book currency: the debits of its journal, or its amount where it has none."""
    return sum(line.book_debit_minor for line in document.journal) or abs(document.amount_minor)


OF_PAYOUTS = ("payment", "fee", "payout", "dispute")  # kinds of documents that are of no order


def of_group(tx: Transaction, slots: Mapping[str, Iterable[str]]) -> dict[str, dict[str, list[Intent]]]:
    """For each subject every intent of it and of its slots that is not withdrawn, by slot, oldest first."""
    wanted = {subject: set(names) for subject, names in slots.items()}
    is_own, own = tx.among("subject", wanted)
    is_slot, named = tx.among("slot", {name for names in wanted.values() for name in names})
    rows = tx.all(
        f"select * from intents where state <> 'withdrawn' and ({is_own} or {is_slot}) order by id", *own, *named
    )
    needing: dict[str, set[str]] = {}
    for subject, names in wanted.items():
        for name in names:
            needing.setdefault(name, set()).add(subject)
    found: dict[str, dict[str, list[Intent]]] = {subject: {} for subject in wanted}
    for intent in map(as_intent, rows):
        for subject in needing.get(intent.slot, set()) | ({intent.subject} & wanted.keys()):
            found[subject].setdefault(intent.slot, []).append(intent)
    return found


def of_subject(tx: Transaction, about: str) -> list[Intent]:
    """Every intent that a subject's looks made, withdrawn ones too, oldest first (for people)."""
    return [as_intent(row) for row in tx.all("select * from intents where about = %s order by id", about)]


def by_key(tx: Transaction, party: str, entity: str, key: str) -> Intent | None:
    row = tx.one(
        "select * from intents where party = %s and entity = %s and key = %s and state <> 'withdrawn'",
        party,
        entity,
        key,
    )
    return as_intent(row) if row else None


def add(tx: Transaction, new: Sequence[NewIntent]) -> dict[tuple[str, str, str], int]:
    """Write intents and their waits; the ids by party, entity and key. One whose key is there already is left out."""
    if not new:
        return {}
    now = tx.now()
    table, params = tx.given([_new_row(each) for each in new], **_NEW_COLUMNS)
    names = ", ".join(_NEW_COLUMNS)
    rows = tx.all(
        f"insert into intents ({names}, made_at, due_at, result_at, released, attempts)"
        f" select {names}, %s, %s, case when ever_sent = 1 then %s end, 0, 0 from {table} where true"
        " on conflict do nothing returning id, party, entity, key",
        now,
        now,
        now,
        *params,
    )
    made = {(row["party"], row["entity"], row["key"]): int(row["id"]) for row in rows}
    wait_for_results(
        tx,
        [
            (made[place], place[0], place[1], key)
            for each in new
            if each.number is None and (place := (each.document.party, each.document.entity, each.key)) in made
            for key in each.after
        ],
        made,
    )
    return made


_NEW_COLUMNS = {
    "party": "text",
    "entity": "text",
    "key": "text",
    "slot": "text",
    "kind": "text",
    "store": "text",
    "subject": "text",
    "about": "text",
    "class": "text",
    "bucket": "bigint",
    "state": "text",
    "reverses": "text",
    "content_hash": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "book_minor": "bigint",
    "day": "text",
    "after": "text",
    "document": "text",
    "group_id": "text",
    "look_id": "bigint",
    "rules_version": "text",
    "ever_sent": "bigint",
    "number": "text",
    "origin": "text",
}


def _new_row(new: NewIntent) -> tuple[Any, ...]:
    document, stands = new.document, new.number is not None
    return (
        document.party,
        document.entity,
        new.key,
        document.slot,
        document.kind,
        new.store,
        document.subject,
        new.about,
        new.work_class,
        bucket_of(document.subject),
        "done" if stands else "ready",
        new.reverses,
        document.content_hash,
        -document.amount_minor if new.reverses else document.amount_minor,
        document.currency,
        book_minor(document),
        new.day.isoformat(),
        json.dumps(new.after),
        document_json(document),
        new.group_id,
        new.look_id,
        new.rules_version,
        int(stands),
        new.number,
        "taken_over" if stands else "look",
    )


def withdraw(tx: Transaction, intent: Intent) -> bool:
    """ready → withdrawn; False where a poster was quicker."""
    if not tx.run("update intents set state = 'withdrawn' where id = %s and state = 'ready'", intent.id):
        return False
    forget(tx, [f"intent {intent.id}"])
    return True


def offer_again(tx: Transaction, intent: Intent) -> bool:
    """A refused reversal goes back to ready under its own key, since what refused it has ended (K2)."""
    return bool(
        tx.run(
            "update intents set state = 'ready', released = 0, due_at = %s where id = %s and state = 'refused'"
            " and reverses is not null",
            tx.now(),
            intent.id,
        )
    )


def explain(
    tx: Transaction,
    intent: Intent,
    document: Document,
    about: str,
    after: Sequence[str],
    look_id: int | None,
    rules_version: str,
) -> None:
    """Give an intent that was adopted or taken over the document that it turns out to be, or to undo (R3, R4)."""
    tx.run(
        "update intents set document = %s, content_hash = %s, about = %s, subject = %s, kind = %s, amount_minor = %s,"
        " currency = %s, book_minor = %s, after = %s, look_id = %s, rules_version = %s, released = 0 where id = %s",
        document_json(document),
        document.content_hash,
        about,
        document.subject,
        document.kind,
        -document.amount_minor if intent.reverses else document.amount_minor,
        document.currency,
        book_minor(document),
        json.dumps(after),
        look_id,
        rules_version,
        intent.id,
    )


def withdraw_beside(tx: Transaction, party: str, entity: str, key: str) -> list[str]:
    """Withdraw what is ready for the slot of this key, and all that is for its order; the subjects whose looks made it.

    A credit note, say, was made for the invoice that stood before this one."""
    slot = _slot_of(key)
    rows = tx.all(
        "update intents set state = 'withdrawn' where (slot = %s or about = %s) and party = %s and entity = %s"
        " and state = 'ready' and reverses is null returning id, about",
        slot,
        _subject_of(slot),
        party,
        entity,
    )
    forget(tx, [f"intent {row['id']}" for row in rows])
    return [row["about"] for row in rows]


def overtaken(tx: Transaction, intents: Sequence[Intent]) -> set[int]:
    """The ids of those postings of whose slot a later revision was adopted after a restore."""
    slots = sorted({intent.slot for intent in intents if intent.reverses is None})
    if not slots:
        return set()
    named, params = tx.among("slot", slots)
    sql = f"select slot, key from intents where {named} and origin = 'adopted' and reverses is null"
    adopted = tx.all(sql, *params)
    last = {slot: max((_revision(row["key"]) for row in adopted if row["slot"] == slot), default=0) for slot in slots}
    return {one.id for one in intents if one.reverses is None and last[one.slot] > _revision(one.key)}


def _revision(key: str) -> int:
    """n of `…/r<n>`; 0: somebody else's key."""
    number = key.rpartition("/r")[2]
    return int(number) if number.isdigit() else 0


def _slot_of(key: str) -> str:
    return key.removesuffix("/reversal").rpartition("/")[0]


def _subject_of(slot: str) -> str:
    """Whose a document is, by its slot alone; of a payout's line it is the gateway, since no slot says the payout."""
    owner, order_id, kind, natural = [*slot.split("/", 3), "", "", "", ""][:4]
    if order_id != "-":
        return f"order {owner}/{order_id}"
    return f"payouts {natural.partition('.')[0]}" if kind in OF_PAYOUTS else f"{kind} {owner}/{natural}"


def adopt(
    tx: Transaction, party: str, entity: str, key: str, number: str, content_hash: str, posted_on: date
) -> str | None:
    """Take a document that the ERP holds, and this ledger lost, into it; its subject, or None where it is known."""
    slot = _slot_of(key)
    owner, _, kind = [*slot.split("/", 3), "", "", ""][:3]
    subject = _subject_of(slot)
    now = tx.now()
    row = tx.one(
        "insert into intents (party, entity, key, slot, kind, store, subject, about, class, bucket, state, reverses,"
        " content_hash, amount_minor, currency, book_minor, day, after, rules_version, made_at, ever_sent, released,"
        " attempts, due_at, number, posting_date, result_at, origin)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, 'repair', %s, 'done', %s, %s, 0, '', 0, %s, '[]', '', %s, 1, 0, 0,"
        " %s, %s, %s, %s, 'adopted') on conflict do nothing returning subject",
        party,
        entity,
        key,
        slot,
        kind,
        owner,
        subject,
        subject,
        bucket_of(subject),
        key.removesuffix("/reversal") if key.endswith("/reversal") else None,
        content_hash,
        posted_on.isoformat(),
        now,
        now,
        number,
        posted_on.isoformat(),
        now,
    )
    return row["subject"] if row else None


def release(tx: Transaction, subject: str, sparing: Sequence[str] = (), refused_only: bool = False) -> list[str]:
    """What refused a subject's intents has ended, says a person, but for the keys in `sparing`; or what was taken over,
    or adopted and never explained by a fact, is put right in the ERP (not with `refused_only`).

    Returns the subjects whose looks made them: they decide what follows."""
    which = "state = 'refused'"
    if not refused_only:
        which += " or origin = 'taken_over' or (origin = 'adopted' and document is null)"
    spared = f" and key not in ({', '.join(['%s'] * len(sparing))})" if sparing else ""
    rows = tx.all(
        f"update intents set released = 1 where (subject = %s or about = %s) and ({which}){spared}"
        " returning about, party, entity, key",
        subject,
        subject,
        *sparing,
    )
    abouts = {row["about"] for row in rows}
    for row in rows:
        abouts.update(waiting_abouts(tx, row["entity"], row["key"]))
    return sorted(abouts)


# What a poster does.


def ready(
    tx: Transaction,
    party: str,
    entity: str,
    buckets: Sequence[int],
    stores_on: Sequence[str],
    work_class: WorkClass,
    limit: int,
) -> list[Intent]:
    """Intents that may go now: nothing left that they wait for, their store's switch on or their group under way."""
    if not buckets:
        return []
    stores = ", ".join(["%s"] * len(stores_on)) or "null"
    rows = tx.all(
        "select * from intents where party = %s and entity = %s and state = 'ready' and class = %s and due_at <= %s"
        f" and bucket in ({', '.join(str(int(bucket)) for bucket in buckets)})"
        f" and (store in ({stores}) or (group_id is not null and exists (select 1 from intents begun"
        " where begun.group_id = intents.group_id and begun.ever_sent = 1)))"
        # Asked for each intent by its own index entry: as a join, PostgreSQL scans waits that it last saw empty.
        " and (select 1 from waits where waits.waiter = 'intent ' || cast(intents.id as text) limit 1) is null"
        " order by id limit %s",
        party,
        entity,
        work_class,
        tx.now(),
        *stores_on,
        limit,
    )
    return [as_intent(row) for row in rows]


def unmet(tx: Transaction, intents: Sequence[Intent]) -> set[int]:
    """The ids of those before which something is missing: not all that must be there has a result row (K6), with
    whatever party."""
    needed: dict[str, set[str]] = defaultdict(set)
    for intent in intents:
        needed[intent.entity].update(intent.after)
    done: set[tuple[str, str]] = set()
    for entity, keys in needed.items():
        if keys:
            named, params = tx.among("key", keys)
            sql = f"select key from intents where {ANY_PARTY} and entity = %s and {named} and state = 'done'"
            done |= {(entity, row["key"]) for row in tx.all(sql, entity, *params)}
    return {intent.id for intent in intents if any((intent.entity, key) not in done for key in intent.after)}


def mark_sent(tx: Transaction, intents: Sequence[Intent]) -> list[int]:
    """ready → sent, or sent anew; the ids that were still there to send.

    The posting date that an intent is sent with is kept, so that a lost answer doesn't lose it."""
    if not intents:
        return []
    days = [(intent.id, intent.posting_date.isoformat() if intent.posting_date else None) for intent in intents]
    table, params = tx.given(sorted(days), given_id="bigint", given_day="text")
    by_id, ids = _by_id(tx, intents)
    rows = tx.all(
        "update intents set state = 'sent', sent_at = %s, ever_sent = 1, attempts = attempts + 1,"
        f" posting_date = coalesce(given_day, posting_date) from {table}"
        f" where {by_id} and id = given_id and state in ('ready', 'sent') returning id",
        tx.now(),
        *params,
        *ids,
    )
    return [int(row["id"]) for row in rows]


def _by_id(tx: Transaction, intents: Sequence[Intent]) -> tuple[str, list[Any]]:
    """These intents by their key, whatever PostgreSQL last knew of how many are ready: else it may scan all of them."""
    ids = sorted(intent.id for intent in intents)
    return ("id = any(%s::bigint[])", [ids]) if not tx.is_sqlite else ("true", [])


def no_answer(tx: Transaction, intents: Sequence[Intent]) -> None:
    """The call is over and its answer is lost: commit_lag counts from now, the later and safer moment."""
    for intent in intents:
        tx.run("update intents set sent_at = %s where id = %s and state = 'sent'", tx.now(), intent.id)


def sent_without_result(
    tx: Transaction, party: str, entity: str, buckets: Sequence[int], commit_lag_s: float, limit: int
) -> list[Intent]:
    """Sent intents whose call can no longer commit unseen: time to look them up."""
    if not buckets:
        return []
    rows = tx.all(
        "select * from intents where party = %s and entity = %s and state = 'sent' and sent_at <= %s and due_at <= %s"
        f" and bucket in ({', '.join(str(int(bucket)) for bucket in buckets)}) order by id limit %s",
        party,
        entity,
        tx.now() - timedelta(seconds=commit_lag_s),
        tx.now(),
        limit,
    )
    return [as_intent(row) for row in rows]


def done(tx: Transaction, results: Sequence[tuple[Intent, str]]) -> set[int]:
    """sent → done, each with the ERP's number and the date it was posted on (R1); the ids that were sent till now."""
    if not results:
        return set()
    given = sorted(
        (intent.id, number, intent.posting_date.isoformat() if intent.posting_date else None)
        for intent, number in results
    )
    table, params = tx.given(given, given_id="bigint", given_number="text", given_day="text")
    by_id, ids = _by_id(tx, [intent for intent, _ in results])
    rows = tx.all(
        "update intents set state = 'done', number = given_number, posting_date = given_day, result_at = %s"
        f" from {table} where {by_id} and id = given_id and state = 'sent' returning id",
        tx.now(),
        *params,
        *ids,
    )
    return {int(row["id"]) for row in rows}


def refuse(tx: Transaction, intent: Intent, released: bool = False, number: str | None = None) -> bool:
    """sent → refused; released: time ends the cause by itself, so that the next look may try again.

    number: of what bears its key in the ERP with another content: nothing goes into its slot until it is released."""
    return bool(
        tx.run(
            "update intents set state = 'refused', result_at = %s, released = %s, number = %s"
            " where id = %s and state = 'sent'",
            tx.now(),
            int(released),
            number,
            intent.id,
        )
    )


def refused_before(tx: Transaction, intents: Sequence[Intent]) -> list[Intent]:
    """What was refused in the slots of these postings, under an earlier key and not since that key was taken."""
    again = [one for one in intents if one.reverses is None and _revision(one.key) > 1]
    places = {(one.party, one.entity, one.slot) for one in again}
    if not places:
        return []
    named, params = tx.among("slot", sorted({slot for _, _, slot in places}))
    where = f"{named} and state = 'refused' and reverses is null and number is null"
    found = [as_intent(row) for row in tx.all(f"select * from intents where {where} order by id", *params)]
    return [one for one in found if (one.party, one.entity, one.slot) in places]


def doubt(tx: Transaction, intent: Intent) -> bool:
    """refused → sent: its party holds it after all."""
    return bool(tx.run("update intents set state = 'sent' where id = %s and state = 'refused'", intent.id))


def end_refusals(tx: Transaction, intents: Sequence[Intent]) -> None:
    """What refused these has ended, or they aren't due any more: a later look may try again."""
    for intent in intents:
        tx.run("update intents set released = 1 where id = %s and state = 'refused'", intent.id)


# What looks, brakes and people count.


def postings_since(tx: Transaction, slot: str, since: datetime) -> int:
    """Postings of a slot that were sent since then (K3: more than a few a day are a conflict)."""
    row = tx.one(
        "select count(*) as n from intents where slot = %s and reverses is null and ever_sent = 1 and made_at >= %s"
        " and origin = 'look'",
        slot,
        since,
    )
    return int(row["n"]) if row else 0


def reversals_since(tx: Transaction, entity: str, since: datetime) -> tuple[int, int]:
    """Reversals written for an entity since then, and what they move in book currency (R2's brake)."""
    row = tx.one(
        "select count(*) as n, coalesce(sum(book_minor), 0) as book from intents where entity = %s"
        " and reverses is not null and state <> 'withdrawn' and made_at >= %s",
        entity,
        since,
    )
    return (int(row["n"]), int(row["book"])) if row else (0, 0)


def waiting_abouts(tx: Transaction, entity: str, key: str) -> list[str]:
    """The subjects whose intents wait for the result of this key."""
    rows = tx.all(
        "select distinct about from intents where 'intent ' || cast(id as text) in"
        " (select waiter from waits where on_key = %s) and state = 'ready'",
        result_key(entity, key),
    )
    return [row["about"] for row in rows]


def old_numbers(tx: Transaction, entity: str, slots: Collection[str]) -> dict[str, str]:
    """The ERP's own numbers of what was taken over, by slot, of those that are linked to it (R3)."""
    if not slots:
        return {}
    is_named, params = tx.among("slot", slots)
    rows = tx.all(
        f"select slot, number from intents where {is_named} and origin = 'taken_over' and state = 'done'"
        " and party = 'erp' and entity = %s and number <> %s",
        *params,
        entity,
        NO_NUMBER,
    )
    return {row["slot"]: row["number"] for row in rows}


def would_post(tx: Transaction, store: str, party: str) -> list[Mapping[str, Any]]:
    """What is ready and unsent for a store, by kind and currency: what switching on would post (R3)."""
    return tx.all(
        "select kind, currency, count(*) as documents, sum(amount_minor) as amount_minor from intents"
        " where store = %s and party = %s and state = 'ready' group by kind, currency order by kind, currency",
        store,
        party,
    )


def half_done(tx: Transaction) -> list[Mapping[str, Any]]:
    """Groups (a reversal and what replaces it) of which some have a result and some have none yet."""
    return tx.all(
        "select group_id, min(about) as about, sum(case when state = 'done' then 1 else 0 end) as done,"
        " sum(case when state in ('ready', 'sent') then 1 else 0 end) as open from intents"
        " where group_id is not null and group_id in (select group_id from intents where state in ('ready', 'sent'))"
        " and state <> 'withdrawn' group by group_id"
        " having sum(case when state = 'done' then 1 else 0 end) > 0 order by group_id"
    )


def counts(tx: Transaction) -> list[Mapping[str, Any]]:
    """How many intents there are by store, party and state, with the age of the oldest that is on its way."""
    return tx.all(
        "select store, party, state, count(*) as intents, min(made_at) as oldest from intents"
        " where state <> 'withdrawn' group by store, party, state order by store, party, state"
    )


# Documents as kept.

_NOT_KEPT = ("journal", "is_kept")  # written otherwise, and for a look alone


def document_json(document: Document) -> str:
    kept = {name: getattr(document, name) for name in Document.__dataclass_fields__ if name not in _NOT_KEPT}
    kept["journal"] = [
        [line.role, line.debit_minor, line.credit_minor, line.book_debit_minor, line.book_credit_minor]
        for line in document.journal
    ]
    return msgspec.json.encode(kept, enc_hook=str).decode()


def document_of(text: str) -> Document:
    kept = msgspec.json.decode(text)
    kept["journal"] = tuple(JournalLine(*line) for line in kept["journal"])
    kept["day"] = date.fromisoformat(kept["day"])
    kept["after"] = tuple(kept["after"])
    kept["known_as"] = tuple(kept.get("known_as", ()))
    return Document(**kept)


def as_intent(row: Mapping[str, Any]) -> Intent:
    return Intent(
        id=row["id"],
        party=row["party"],
        entity=row["entity"],
        key=row["key"],
        slot=row["slot"],
        kind=row["kind"],
        store=row["store"],
        subject=row["subject"],
        about=row["about"],
        work_class=row["class"],
        bucket=row["bucket"],
        state=row["state"],
        reverses=row["reverses"],
        content_hash=row["content_hash"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        day=date.fromisoformat(row["day"]),
        after=tuple(json.loads(row["after"])),
        document=document_of(row["document"]) if row["document"] else None,
        group_id=row["group_id"],
        look_id=row["look_id"],
        rules_version=row["rules_version"],
        ever_sent=bool(row["ever_sent"]),
        released=bool(row["released"]),
        attempts=row["attempts"],
        sent_at=as_time(row["sent_at"]),
        number=row["number"],
        posting_date=date.fromisoformat(row["posting_date"]) if row["posting_date"] else None,
        origin=row["origin"],
    )
