"""Rules that note what they are asked, so that other rules can be asked the same.

Dues are a pure function of facts, rules and moment. Where other rules answer every question alike, they give the same
dues, which then need not be computed again.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.rules import Rules

MOST_REMEMBERED = 100_000


class Question(NamedTuple):
    """What was read of the rules: a method's name with its arguments, or an attribute's."""

    name: str
    arguments: tuple[Any, ...] = ()
    match: tuple[tuple[str, Any], ...] = ()


class Asked:
    """Answers as the rules do and notes each question, whatever it is of: a method that `Rules` gets later, too.

    Only the version is no question: it says who decided, and is no part of what is due."""

    def __init__(self, rules: Rules) -> None:
        self.version, self._rules = rules.version, rules
        self.questions: set[Question] = set()

    def as_rules(self) -> Rules:
        """These rules, to be given to whoever asks."""
        return cast(Rules, self)

    def __getattr__(self, name: str) -> Any:
        answers = getattr(self._rules, name)
        if not callable(answers):
            self.questions.add(Question(name))
            return answers

        def ask(*arguments: Any, **match: Any) -> Any:
            self.questions.add(Question(name, arguments, tuple(match.items())))
            return answers(*arguments, **match)

        self.__dict__[name] = ask  # found at once the next time
        return ask


class Likeness:
    """Whether two versions of the rules answer a question alike; answers are remembered."""

    def __init__(self, one: Rules, other: Rules) -> None:
        self._one, self._other = one, other
        self._known: dict[Question, bool] = {}

    def holds(self, question: Question) -> bool:
        if question not in self._known:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[question] = _answer(self._one, question) == _answer(self._other, question)
        return self._known[question]


def _answer(rules: Rules, question: Question) -> Any:
    """What the rules say; a missing row is an answer, too."""
    answers = getattr(rules, question.name)
    if not callable(answers):
        return answers
    try:
        return answers(*question.arguments, **dict(question.match))
    except Parked as parked:
        return parked.case
