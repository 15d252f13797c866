"""Rules of an output grammar while they are collected, and their text in llguidance's dialect of Lark."""

import re
from collections.abc import Callable, Iterable
from typing import Final

_LITERAL: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_NAME: Final = re.compile(r'"(?:\\.|[^"\\])*"|(?P<rule>[a-z]\w*)')
_DEEPER: Final = "::incr(_)"
_AS_DEEP: Final = "::_"


class GrammarRules:
    """Named rules with alternatives: literals, names of rules, and the marks ``( | )``, ``*``, ``+``, ``?``.

    A rule without alternatives may be named: what needs it is left out with it. Rules that ``nests`` accepts
    count how deep they stand in each other, and end at ``most_nested``. The count goes as a parameter from
    rule to rule (llguidance's parametric rules); one that ``may_be_empty`` accepts takes it as it is, since
    llguidance requires that of rules that match the empty text.
    """

    def __init__(
        self,
        nests: Callable[[str], object],
        may_be_empty: Callable[[str], object],
        most_nested: int,
        elsewhere: Iterable[str] = (),
    ) -> None:
        """``elsewhere``: rules without parameters that will be added to the text."""
        self._elsewhere = frozenset(elsewhere)
        self._choices: dict[str, str] = {}
        self._nests = nests
        self._may_be_empty = may_be_empty
        self._most_nested = most_nested
        self._rules: dict[str, list[str]] = {}

    def add(self, rule: str, *alternatives: str) -> None:
        self._rules.setdefault(rule, []).extend(alternatives)

    def choice(self, literals: Iterable[str]) -> str:
        """The rule of any one of several literals."""
        return self._choices.setdefault(choice(literals), f"w{len(self._choices)}")

    def text(self) -> str:
        """The grammar; its first rule must be ``start``."""
        choices = {name: [text] for text, name in self._choices.items()}
        rules = _reachable(_productive(self._rules | choices, self._elsewhere))
        flat = _flat(rules, self._elsewhere)
        lines = []
        for rule, alternatives in rules.items():
            written = [self._written(rule, one, flat) for one in alternatives]
            head = rule if rule in flat or rule == "start" else rule + _AS_DEEP
            lines.append(f"{head}: {' | '.join(_tokens_together(written))}")
        return "\n".join(lines)

    def _written(self, rule: str, alternative: str, flat: set[str]) -> str:
        """The alternative with its rules' parameters."""
        deeper = False

        def name(match: re.Match[str]) -> str:
            nonlocal deeper
            used = match["rule"]
            if used is None or used in flat:
                return match[0]
            if rule == "start":
                return f"{used}::0"
            if not self._nests(rule) or self._may_be_empty(used):
                return used + _AS_DEEP
            deeper = True
            return used + _DEEPER

        text = _NAME.sub(name, alternative)
        return f"{text} %if lt(_, {self._most_nested})" if deeper else text


def choice(literals: Iterable[str]) -> str:
    """Any one of several literals; an engine can treat it as one symbol."""
    return f"({' | '.join(literals)})"


def _names(alternative: str) -> set[str]:
    return {match["rule"] for match in _NAME.finditer(alternative) if match["rule"] is not None}


def _productive(rules: dict[str, list[str]], elsewhere: frozenset[str]) -> dict[str, list[str]]:
    """Without alternatives that can never be completed."""
    needs = {rule: [_names(one) for one in alternatives] for rule, alternatives in rules.items()}
    ending = set(elsewhere)
    while new := {rule for rule in needs.keys() - ending if any(one <= ending for one in needs[rule])}:
        ending |= new
    return {
        rule: [one for one, needed in zip(alternatives, needs[rule], strict=True) if needed <= ending]
        for rule, alternatives in rules.items()
        if rule in ending
    }


def _reachable(rules: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without rules that the start does not lead to."""
    reached, ahead = {"start"}, ["start"]
    while ahead:
        new = {name for one in rules[ahead.pop()] for name in _names(one)} - reached
        reached |= new
        ahead += new & rules.keys()
    return {rule: alternatives for rule, alternatives in rules.items() if rule in reached}


def _flat(rules: dict[str, list[str]], elsewhere: frozenset[str]) -> set[str]:
    """Rules that lead to none that leads to itself: nothing can nest in them."""
    needs = {
        rule: {name for one in alternatives for name in _names(one)} for rule, alternatives in rules.items()
    }
    flat = set(elsewhere)
    while new := {rule for rule in needs.keys() - flat if needs[rule] <= flat}:
        flat |= new
    return flat


def _tokens_together(alternatives: list[str]) -> list[str]:
    literals = [one for one in alternatives if _LITERAL.fullmatch(one)]
    others = [one for one in alternatives if not _LITERAL.fullmatch(one)]
    return ([choice(literals)] if literals else []) + others
