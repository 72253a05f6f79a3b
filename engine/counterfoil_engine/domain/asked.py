"""Rules that note what they are asked, so that other rules can be asked the same.

Dues are a pure function of facts, rules and moment. Where other rules answer every question alike, they give the same
dues, which then need not be computed again.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.rules import Rules

MOST_REMEMBERED = 20_000


class Question(NamedTuple):
    """What was read of the rules: a method's name with its arguments, or an attribute's."""

    name: str
    arguments: tuple[Any, ...] = ()
    match: tuple[tuple[str, Any], ...] = ()


class Asked:
    """Answers as the rules do and notes each question, whatever it is of: a method that `Rules` gets later, too.

    Only the version is no question: it says who decided, and is no part of what is due. Answers are remembered."""

    def __init__(self, rules: Rules) -> None:
        self.version, self._rules = rules.version, rules
        self.questions: set[Question] = set()
        self._known: dict[Question, Any] = {}

    def as_rules(self) -> Rules:
        """These rules, to be given to whoever asks; from here on nothing has been asked."""
        self.questions = set()
        return cast(Rules, self)

    def __getattr__(self, name: str) -> Any:
        answers, known = getattr(self._rules, name), self._known
        if not callable(answers):
            self.questions.add(Question(name))
            return answers

        def ask(*arguments: Any, **match: Any) -> Any:
            question = Question(name, arguments, tuple(match.items()))
            self.questions.add(question)
            if question not in known:
                if len(known) >= MOST_REMEMBERED:
                    known.clear()
                known[question] = answers(*arguments, **match)  # a missing row parks, and is looked for anew
            answer = known[question]
            return dict(answer) if isinstance(answer, dict) else answer  # whoever asked may write into it

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
