"""Checks: a document stands once, whatever happens around its call, and is found by its key."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from datetime import timedelta

from counterfoil_engine.conformance.check import Check, check
from counterfoil_engine.conformance.made_up import Paper
from counterfoil_engine.conformance.trial import Broken, NotPromised, NotTried, Trial, refused, told
from counterfoil_engine.domain.errors import Parked, Retry
from counterfoil_engine.ports import Outcome, Posted

ONCE, FOUND = "Once, whatever happens", "Found by key"
UNIQUE_KEYS, LIST_SINCE = "unique_keys", "list_since"
CALLERS = 10
KILLED_AFTER_S = (0.0, 0.02, 0.08, 0.3)
LONG_KEYS = 1_200
LOOK_FIRST = (
    "Look a document's key up before it is made, in the transaction that makes it; where it stands with the same"
    " content_hash, answer with its first number and make nothing."
)
KEEP_UNIQUE = "Keep the key in a column with a unique constraint, written in the document's own transaction."


@check(
    ONCE,
    "twice in a row",
    did="Posted a payment, and then the same one again.",
    expected="Both answers are posted under one number, and one document stands.",
    change=LOOK_FIRST,
)
def twice_in_a_row(trial: Trial) -> str:
    _, payment = trial.paid_order()
    first, second = trial.stands(payment), trial.stands(payment)
    if first != second:
        raise Broken(f"It was posted as {first[0]}, and then as {second[0]}.")
    trial.stands_once(payment)
    return f"Posted as {first[0]} both times."


@check(
    ONCE,
    "ten callers at once",
    did=f"Posted one payment from {CALLERS} callers at the same moment.",
    expected="One document stands, and each caller that got a number got that one's.",
    change=f"{KEEP_UNIQUE} A caller that comes second gets the number of the first, or a 503: never a second document.",
    promise=UNIQUE_KEYS,
    is_required=False,
)
def ten_at_once(trial: Trial) -> str:
    _needs_unique_keys(trial)
    _, payment = trial.paid_order()
    told_each = at_once(trial, [[payment]] * CALLERS)
    if not _any_posted(told_each):
        trial.stands(payment)
    trial.stands_once(payment)
    number = trial.found([payment])[payment.key][0].number
    for outcome in (outcome for told_one in told_each for outcome in told_one):
        if isinstance(outcome, Posted) and outcome.number != number:
            raise Broken(f"{outcome.number} was answered, and {number} stands.")
    return f"{number} stands; {sum(map(bool, told_each))} of {CALLERS} callers got an answer at once."


def at_once(trial: Trial, each: Sequence[Sequence[Paper]]) -> list[list[Outcome]]:
    """What so many callers are answered that post at one moment; nothing where a call was told to come again."""
    start, answers = threading.Barrier(len(each)), [list[Outcome]() for _ in each]

    def post(caller: int) -> None:
        start.wait()
        with contextlib.suppress(Retry, Parked):  # nothing was done with this call, says the port
            answers[caller] = list(trial.erp.post([paper.posting for paper in each[caller]]))

    threads = [threading.Thread(target=post, args=(caller,)) for caller in range(len(each))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _any_posted(answers: Sequence[Sequence[Outcome]]) -> bool:
    return any(isinstance(outcome, Posted) for told_one in answers for outcome in told_one)


@check(
    ONCE,
    "two documents of one order at once",
    did="Posted a payment, a sales order and a fee of one order from three callers at the same moment.",
    expected="Each stands once, at the latest when its caller comes again.",
    change="Answer 503 where two documents want the same lock: nothing is done, and the call is made again.",
)
def documents_of_one_order(trial: Trial) -> None:
    order = trial.order()
    trial.stands(order.customer())
    papers = [order.payment(11_900), order.sales_order([order.line(10_000, 1_900)]), order.fee(199)]
    answers = at_once(trial, [[paper] for paper in papers])
    said = [paper for paper, outcomes in zip(papers, answers, strict=True) if _any_posted([outcomes])]
    trial.stands_once(*said)  # before anything is posted again: posted is a promise
    trial.stands(*papers)
    trial.stands_once(*papers)
    trial.is_exact(*papers)


@check(
    ONCE,
    "after a lost answer",
    did="Posted two documents of an order and dropped the answer; looked their keys up, then posted them again.",
    expected="Both are found with their hashes once the commit lag has passed, and posting again gives the numbers"
    " found.",
    change=LOOK_FIRST,
)
def lost_answer(trial: Trial) -> None:
    order = trial.order()
    papers = [order.customer(), order.payment(5_000)]
    trial.call(papers)
    there = trial.found_at_last(papers)
    trial.stands_once(*papers)
    found = [there[paper.key][0].number for paper in papers]
    if trial.erp.commit_lag_s == 0 and (again := [told(outcome) for outcome in trial.call(papers)]) != [
        f"posted as {number}." for number in found
    ]:
        raise Broken(f"{found[0]} and {found[1]} were found; posting again, they were {' '.join(again)}")


@check(
    ONCE,
    "killed between intent and result",
    did=f"Killed callers in the middle of a post, {', '.join(f'{each:g}' for each in KILLED_AFTER_S)} s after it began;"
    " looked the keys up after the commit lag, then posted what was absent.",
    expected="Each document stands once, whole, wherever its caller died.",
    change="Make a document and its key in one transaction; declare as commit_lag_s how long a call may still commit.",
)
def killed_in_the_call(trial: Trial) -> str:
    if trial.levers.die is None:
        raise NotTried("There is no process that could be killed: run it as `counterfoil erp check`.")
    orders = [trial.order() for _ in KILLED_AFTER_S]
    trial.stands(*(order.customer() for order in orders))
    papers = []
    for order, after_s in zip(orders, KILLED_AFTER_S, strict=True):
        lines = [order.line(10_000, 1_900, name=f"item:{number}") for number in range(20)]
        both = [order.payment(238_000), order.sales_order(lines)]
        trial.levers.die([paper.posting for paper in both], after_s)
        papers += both
    there = trial.found_at_last(papers)
    for paper in papers:
        if len(there[paper.key]) > 1:
            raise Broken(f"{len(there[paper.key])} documents bear {paper.key}, which was posted once.")
    trial.stands(*papers)
    trial.stands_once(*papers)
    trial.is_exact(*papers)
    return f"{sum(map(bool, there.values()))} of {len(papers)} stood before they were posted again."


@check(
    ONCE,
    "another content under a key that stands",
    did="Posted a payment, and then one of another amount under its key.",
    expected="Refused as conflict, and the first stands as it was.",
    change="Keep the content_hash beside the key; refuse with category `conflict` where it differs.",
    promise=UNIQUE_KEYS,
    is_required=False,
)
def other_content(trial: Trial) -> str:
    order, payment = trial.paid_order()
    trial.stands(payment)
    other = order.payment(payment.amount_minor + 1)
    _needs_unique_keys(trial)
    (outcome,) = trial.call([other])
    said = refused(outcome, ["conflict"])
    trial.stands_once(payment)
    trial.is_exact(payment)
    return said


@check(
    ONCE,
    "a batch of good and bad ones",
    did="Posted a payment, an invoice whose lines don't add up to its amount, and another payment in one call.",
    expected="An outcome each, in the order sent: the second is refused, its neighbours stand.",
    change="Give each document an outcome of its own, or reject the whole call with 422 and do nothing: it is then"
    " halved.",
)
def mixed_batch(trial: Trial) -> str:
    order, lines = trial.order(), []
    lines.append(order.line(10_000, 1_900))
    trial.stands(order.customer(), order.sales_order(lines))
    first, last = order.payment(100, "a"), order.payment(300, "c")
    bad = order.invoice("1", lines).changed(amount_minor=11_901, book_minor=11_901)
    before, outcome, after = trial.call([first, bad, last])
    said = refused(outcome, ["unbalanced"])
    if not (isinstance(before, Posted) and isinstance(after, Posted)):
        raise Broken(f"Its neighbours were {told(before)} {told(after)}")
    trial.stands_once(first, last)
    if trial.found([bad])[bad.key]:
        raise Broken("The one that was refused stands nevertheless.")
    return said


# Look-up


@check(
    FOUND,
    "by key, byte for byte",
    did="Posted payments whose keys differ by one character; looked up these keys and others that are like them.",
    expected="Each key finds its own document; another case, a space, a wildcard or a beginning of a key finds none.",
    change="Compare keys as bytes: no LIKE, no collation that ignores case or accents, no trimming.",
)
def byte_for_byte(trial: Trial) -> None:
    order = trial.order()
    papers = [order.payment(1_000 + place, natural) for place, natural in enumerate(["tr_1", "trx1", "TR_1", "tr_11"])]
    numbers = trial.stands(*papers)
    trial.stands_once(*papers)
    for paper, number in zip(papers, numbers, strict=True):
        (there,) = trial.found([paper])[paper.key]
        if there.number != number:
            raise Broken(f"{paper.key} was posted as {number} and found as {there.number}.")
    key = papers[0].key
    unlike = [key.upper(), f"{key} ", f" {key}", key.replace("_", "%"), key[:-1], f"{key}0", f"{key}/reversal", "'; --"]
    if strange := trial.find(unlike):
        raise Broken(f"{next(iter(strange))!r} was looked up and found, and no document bears that key.")


@check(
    FOUND,
    "number, hash and time",
    did="Posted a payment and looked it up.",
    expected="The number it was posted under, its content_hash, and when it was made, with the offset.",
    change="Keep the content_hash with the document and give it back; say times with their offset.",
)
def what_is_found(trial: Trial) -> str:
    _, payment = trial.paid_order()
    (number,) = trial.stands(payment)
    trial.stands_once(payment)
    (there,) = trial.found([payment])[payment.key]
    if there.number != number:
        raise Broken(f"It was posted as {number} and is found as {there.number}.")
    if there.posted_at.tzinfo is None:
        raise Broken(f"It says that it was made at {there.posted_at.isoformat()}, without the offset.")
    return f"{number}, made at {there.posted_at.isoformat(timespec='seconds')}."


@check(
    FOUND,
    "many keys, and none",
    did=f"Looked up {LONG_KEYS} keys, one of which stands; then no key at all.",
    expected="The one that stands, and nothing.",
    change="Take many keys in one look-up, or in as many calls as are needed.",
)
def many_keys(trial: Trial) -> None:
    order, payment = trial.paid_order()
    trial.stands(payment)
    absent = [f"{order.slot('payment', f'absent-{number}')}/r1" for number in range(LONG_KEYS - 1)]
    if set(there := trial.find([*absent, payment.key])) != {payment.key}:
        raise Broken(f"{len(there)} of {LONG_KEYS} keys were found, and one of them stands.")
    if trial.find([]):
        raise Broken("No key was looked up, and documents were found.")


@check(
    FOUND,
    "what was made since a moment",
    did="Posted three payments, and asked what was made since the first of them, and since an hour from now.",
    expected="All three with number and hash; then none of them.",
    change="List documents with a key by when they were committed, also those of other calls: after a restore of the"
    " engine nothing else tells it what it had posted.",
    promise=LIST_SINCE,
)
def since_a_moment(trial: Trial) -> None:
    order = trial.order()
    papers = [order.payment(700 + number, f"since-{number}") for number in range(3)]
    numbers = dict(zip((paper.key for paper in papers), trial.stands(*papers), strict=True))
    trial.stands_once(*papers)
    found = trial.found(papers)
    first = min(there[0].posted_at for there in found.values())
    listed = {one.key: one for one in trial.patiently(lambda: list(trial.erp.list_since(first)))}
    for paper in papers:
        one = listed.get(paper.key)
        if one is None or (one.number, one.content_hash) != (numbers[paper.key], paper.posting.content_hash):
            raise Broken(f"{paper.key} was made since {first.isoformat()} and is not listed as it was found.")
    later = max(there[0].posted_at for there in found.values()) + timedelta(hours=1)
    if any(one.key in numbers for one in trial.patiently(lambda: list(trial.erp.list_since(later)))):
        raise Broken(f"A document from {first.isoformat()} is listed as made since {later.isoformat()}.")


@check(
    FOUND,
    "doubles are shown",
    did="Where keys aren't unique: posted a payment twice without looking, and looked its key up.",
    expected="Both documents: a double that is not shown can't be reversed; or the first one's number both times, where"
    " the adapter itself looks first. Where keys are unique there is none.",
    change="Give back every document that bears a key, not the first.",
)
def doubles_are_shown(trial: Trial) -> str:
    if not trial.erp.commit_lag_s:
        return "Keys are unique there (commit_lag_s 0)."
    _, payment = trial.paid_order()
    said = {told(outcome) for _ in range(2) for outcome in trial.call([payment])}
    there = trial.found_at_last([payment])[payment.key]
    if len(there) == 1 and said == {told(Posted(payment.key, there[0].number))}:
        return f"Posted as {there[0].number} both times: the adapter looks first."
    if len({one.number for one in there}) != 2:
        raise Broken(f"It was posted twice, and {len(there)} is found.")
    return " and ".join(one.number for one in there)


def _needs_unique_keys(trial: Trial) -> None:
    lag_s = trial.erp.commit_lag_s
    if lag_s:
        raise NotPromised(
            f"Keys aren't unique there (commit_lag_s {lag_s:g}): the engine waits, looks, and posts what is absent."
        )


CHECKS: tuple[Check, ...] = (
    twice_in_a_row,
    ten_at_once,
    documents_of_one_order,
    lost_answer,
    killed_in_the_call,
    other_content,
    mixed_batch,
    byte_for_byte,
    what_is_found,
    many_keys,
    since_a_moment,
    doubles_are_shown,
)
