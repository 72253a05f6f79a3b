"""Tryton's refusals in our words: what it was, and what ends it. Its texts are those of its English messages."""

from __future__ import annotations

import re

from counterfoil_engine.adapters.erp.tryton.books import Refusal
from counterfoil_engine.adapters.erp.tryton.rpc import Said
from counterfoil_engine.adapters.erp.tryton.vouchers import Voucher
from counterfoil_engine.domain.errors import Category

_TOLD = 300

# The first that fits: how Tryton says it, the category, our cause, the remedy.
_KNOWN: tuple[tuple[str, Category, str, str], ...] = (
    (
        r"closed period|closed fiscal year|reopen the period|period.*(closed|locked)",
        "closed_period",
        "The period of {day} was closed in Tryton.",
        "It is posted on the first open day by itself; or open the period there.",
    ),
    (
        r"no period|find a period|no fiscal year|fiscal year",
        "closed_period",
        "Tryton has no open period for {day}.",
        "Make the fiscal year with its periods and number sequences in Tryton.",
    ),
    (
        r"not allowed to access|access rights|You are not allowed|access denied|not allowed to",
        "contract",
        "The user may not make this {kind} in Tryton.",
        "Give the user the groups that `counterfoil erp setup tryton` lists, then retry.",
    ),
    (
        r"must balance|unbalanced|not balanced",
        "unbalanced",
        "Tryton finds that the {kind} doesn't balance.",
        "Report it as a defect, with the document; nothing was booked.",
    ),
    (
        r"after_invoice|invoice date after|must set an invoice date",
        "conflict",
        "Tryton's number sequence has an invoice of a later day already.",
        "Invoices are numbered on the day of posting: check the clock of Tryton's machine.",
    ),
    (
        r"deactivated|archived|replaced|not active",
        "data",
        "A record that the {kind} names was deactivated or merged in Tryton.",
        "Look at what Tryton says, activate it there or map another one, then retry.",
    ),
    (
        r"[Cc]annot find|has no exchange|currency.*rate|rate.*currency|No rate",
        "missing_mapping",
        "Tryton has no rate of {currency} for {day}.",
        "Add the rate in Tryton (Currencies), then retry.",
    ),
    (
        r"\"Account\"|account.*(closed|not valid)|domain.*account",
        "missing_mapping",
        "Tryton doesn't let an account be used for this {kind}.",
        "Check the account's type and that it is open, or map another one; `counterfoil erp setup tryton` checks all.",
    ),
)


def refusal_of(said: Said, voucher: Voucher, map_path: str) -> Refusal:
    """What a person reads of Tryton's no to one document; Tryton's own words stand at the end."""
    words = {"day": voucher.day, "kind": voucher.kind.replace("_", " "), "currency": voucher.currency}
    text = _short(said.text)
    for pattern, category, cause, remedy in _KNOWN:
        if re.search(pattern, said.text):
            return Refusal(category, f"{cause.format(**words)} It says: {text}", remedy.format(**words))
    if said.kind == "Error":
        return Refusal(
            "contract",
            f"Tryton failed on the {words['kind']}: {text}",
            "See Tryton's log for this moment; check that all its modules are of series 8.2.",
        )
    return Refusal(
        "data",
        f"Tryton refuses the {words['kind']}. It says: {text}",
        f"Mend it in Tryton, or in {map_path}, then retry.",
    )


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _TOLD else plain[:_TOLD] + "…"
