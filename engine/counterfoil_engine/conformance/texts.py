"""Checks: long texts and hostile ones go in as they are, and touch nothing beside them."""

from __future__ import annotations

from counterfoil_engine.conformance.check import Check, check
from counterfoil_engine.conformance.trial import Broken, Trial

TEXTS = "Texts"

HOSTILE: tuple[str, ...] = (
    "Robert'); drop table documents; --",
    "<script>alert(1)</script>&amp;<b>",
    '=HYPERLINK("http://example.com","x")',
    "${7*7} {{7*7}} %s %n %(name)s",
    "../../etc/passwd\\..\\x",
    "Zoë O’Hara-Łukasiewicz Ωμέγα 株式会社",
    "\u202egnp.exe \u200bpear\u0301 e\u0301",
    "👩‍👩‍👧‍👦 🧾",
    "a\tb\r\nc",
    "   ",
    "quote \" and ' and \\",
)


@check(
    TEXTS,
    "long ones",
    did="Posted a customer whose name has 400 characters and whose e-mail 320, a payment with a method of 200 and a"
    " transaction of 500, and a line whose name has 100.",
    expected="All stand, with exact amounts: what doesn't fit is shortened for showing, and never in key or amount.",
    change="Keep texts as long as the documents' contracts allow, or shorten them for showing; refuse none for its"
    " length.",
)
def long_texts(trial: Trial) -> None:
    order = trial.order()
    mail = f"{'m' * 308}@example.com"
    name = ("Łongname " * 50)[:400]
    lines = [order.line(10_000, 1_900, name=f"item:{'9' * 95}")]
    papers = [
        order.customer(name, personal={"name": name, "email": mail}),
        order.sales_order(lines),
        order.payment(11_900, method="m" * 200, transaction="t" * 500),
        order.invoice("1", lines),
    ]
    trial.stands(*papers)
    trial.stands_once(*papers)
    trial.is_exact(*papers[2:])


@check(
    TEXTS,
    "hostile ones",
    did=f"Posted {len(HOSTILE)} customers, payments and orders with quotes, markup, formulas, templates, paths,"
    " controls and scripts of every direction in their names, methods and references.",
    expected="All stand once with exact amounts, each under a number of its own among those of its kind, and what stood"
    " before is as it was.",
    change="Pass texts as parameters, never as parts of a statement, a template or a file name.",
)
def hostile_texts(trial: Trial) -> str:
    _, before = trial.paid_order()
    trial.stands(before)
    papers = []
    for text in HOSTILE:
        order = trial.order()
        lines = [order.line(10_000, 1_900)]
        papers += [
            order.customer(text, personal={"name": text, "email": "trial@example.com"}),
            order.sales_order(lines),
            order.payment(11_900, method=text, transaction=f"{order.id} {text}"),
            order.invoice("1", lines),
        ]
    trial.stands(*papers)
    trial.stands_once(*papers)
    trial.is_exact(before, *(paper for paper in papers if paper.kind in ("payment", "invoice")))
    numbers = {(paper.kind, number) for paper, number in zip(papers, trial.stands(*papers), strict=True)}
    if len(numbers) != len(papers):
        raise Broken("Two documents of one kind got one number.")
    return f"{len(papers)} documents, {len(HOSTILE)} texts."


CHECKS: tuple[Check, ...] = (long_texts, hostile_texts)
