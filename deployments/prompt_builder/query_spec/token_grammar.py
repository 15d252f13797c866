"""The grammar of the token form over one schema: what `token_reader` reads and `check_spec` lets pass.

A language model held to it writes no table or column that the schema lacks, no column out of reach of its
query, no operand of another kind, and no placeholder that its prompt does not hold. The text is in
llguidance's dialect of Lark; every literal is one token of the vocabulary.

Rule names end in the number of the table whose rows the rule speaks of. Two things in the token form depend
on what comes next and double the rules: an aggregate or EXISTS that may go on (``<count>``) reads a
following ``<if>`` or ``<per>`` as its own unless a ``<close>`` ends it, so where such a token follows only
closed forms may stand (``c`` beside open ``o``); and a ``<begin>`` after an open ``<count>`` would be read as
what it counts, so values that begin so are kept apart (``s``).
"""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from deployments.prompt_builder.query_spec.check import kind_of
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.grammar_rules import GrammarRules, choice
from deployments.prompt_builder.query_spec.nodes import ColumnRef
from deployments.prompt_builder.query_spec.token_words import (
    COMPARISONS,
    NUMBERS,
    OPERATORS,
    column_token,
    lookup_token,
    table_token,
    token,
)
from serve_app.contracts import Link

NUMBER, TEXT, DATE, BOOLEAN = "n", "x", "d", "b"
KINDS: Final = (NUMBER, TEXT, DATE, BOOLEAN)
OPEN, CLOSED = "o", "c"
ENDS: Final = (OPEN, CLOSED)
_KIND_NAMES: Final = {
    "number": NUMBER,
    "text": TEXT,
    "date": DATE,
    "timestamp": DATE,
    "boolean": BOOLEAN,
    "other": "z",
}
# Far below what the reader takes; real specifications stay under it.
MOST_NESTED: Final = 16
_NESTS: Final = re.compile(r"(own|agg)?[nxdb][oc]\d+|cond[oc]\d+")
# Or stands alone in its place, which llguidance treats alike.
_MAY_BE_EMPTY: Final = re.compile(r"(ifs|mods)\d+[oc]|tail\d+|agg[nxdb][oc]\d+")
_SUMS: Final = ("sum", "avg", "median", "stddev")
_DATE_BUCKETS: Final = ("quarter", "month", "week", "day")
_NUMBER_PARTS: Final = ("year", "weekday", "month_of_year")


# Rules of what a prompt's placeholders fill: numbers, dates, texts, and values of a table's columns.
_LINKED_NUMBER, _LINKED_DATE, _LINKED_TEXT, _LINKED_VALUE = "linked_n", "linked_d", "linked_v", "linked_v"


class TokenGrammar:
    """Grammars over one context; most rules are the same for all prompts with links of like kinds."""

    def __init__(self, context: SpecContext) -> None:
        self._context = context
        self._numbers = {table: index for index, table in enumerate(context.tables)}
        self._common: dict[frozenset[str], str] = {}
        self._lock = threading.Lock()

    def of(self, links: Sequence[Link]) -> str:
        """The Lark grammar of every specification that these links can fill, and of ``cannot``.

        Linear in the size of the schema: a millisecond once links of the same kinds have been seen, tens of
        milliseconds before. May be called from any thread.
        """
        rules = self._link_rules(links)
        key = frozenset(rules)
        with self._lock:
            if key not in self._common:
                self._common[key] = _Rules(self._context, key).text()
            common = self._common[key]
        return "\n".join([common, *(f"{rule}: {' | '.join(found)}" for rule, found in sorted(rules.items()))])

    def _link_rules(self, links: Sequence[Link]) -> dict[str, list[str]]:
        rules: dict[str, list[str]] = {}
        letters = {"N": _LINKED_NUMBER, "D": _LINKED_DATE, "V": _LINKED_TEXT}
        for letter, rule in letters.items():
            names = sorted({link.placeholder for link in links if link.placeholder[0] == letter})
            if names:
                rules[rule] = [_word(*names)]
        values: dict[tuple[str, str], set[str]] = defaultdict(set)
        for link in links:
            for candidate in link.candidates:
                values[candidate.table, candidate.column].add(link.placeholder)
        for (table, column), names_of_column in sorted(values.items()):
            if (table, column) in self._context.columns:
                filled = f"{_literal(column_token(table, column))} {_word(*sorted(names_of_column))}"
                rules.setdefault(f"{_LINKED_VALUE}{self._numbers[table]}", []).append(filled)
        return rules


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _word(*words: str) -> str:
    """Any one of these words of the vocabulary."""
    return choice(_literal(token(word)) for word in words)


class _Rules:
    """Collects the rules, table by table; those of the links stand ``elsewhere``."""

    def __init__(self, context: SpecContext, elsewhere: frozenset[str]) -> None:
        self.context = context
        self.number = {table: index for index, table in enumerate(context.tables)}
        self.rules = GrammarRules(_NESTS.fullmatch, _MAY_BE_EMPTY.fullmatch, MOST_NESTED, elsewhere)
        self.add = self.rules.add

    def text(self) -> str:
        self.add("start", self.word("cannot"), *(f"spec{n}" for n in self.number.values()))
        for table in self.context.tables:
            self.names_of(table)
        for kind in KINDS:
            self.subquery(kind)
        self.add("number", self.word(*NUMBERS), _LINKED_NUMBER)
        self.add("sv", *(f"s{kind}" for kind in KINDS))
        for table in self.context.tables:
            self.scope(table)
        return self.rules.text()

    def word(self, *words: str) -> str:
        """The rule of any one of these words of the vocabulary."""
        return self.rules.choice(_literal(token(word)) for word in words)

    # ------------------------------------------------------------ names

    def names_of(self, table: str) -> None:
        """What a table itself offers: columns by kind, timestamps, short conditions."""
        n, context = self.number[table], self.context
        for owner, name in dict.fromkeys((*context.columns, *context.derived)):
            if owner != table:
                continue
            column = _literal(column_token(table, name))
            if context.is_predicate(table, name):
                self.add(f"short{n}", column)
            if not context.is_value(table, name):
                continue
            kind = kind_of(ColumnRef(table, name), (table,), context)
            self.add(f"own_{_KIND_NAMES[kind]}{n}", column)
            if kind == "timestamp":
                self.add(f"stamp{n}", column)
        for owner, name in context.columns:
            values = context.lookup_values(owner, name) if owner == table else ()
            self.add(f"short{n}", *(_literal(lookup_token(owner, name, value)) for value in values))
        self.add(f"short{n}", f"own_n{n} {_LINKED_NUMBER}", f"own_d{n} {_LINKED_DATE}", f"{_LINKED_VALUE}{n}")

    # ------------------------------------------------------------ queries

    def subquery(self, kind: str) -> None:
        """A query of one value, whatever surrounds it."""
        self.add(f"s{kind}", f"{self.word('begin')} one{kind} {self.word('end')}")
        for table, n in self.number.items():
            name = _literal(table_token(table))
            self.add(f"one{kind}", f"{name} {self.word('distinct')}? any{kind}{OPEN}{n} tail{n}")

    def scope(self, table: str) -> None:
        """All rules over the rows of a table."""
        n = self.number[table]
        reached = [m for other, m in self.number.items() if self.context.reaches(table, other)]
        below = [m for other, m in self.number.items() if self.context.is_descendant(other, table)]
        self.query(table, n)
        self.values(n, reached)
        for end in ENDS:
            self.numbers(n, end)
            self.dates(n, end, reached)
            self.add(f"{TEXT}{end}{n}", f"leaf_x{n}", *self.bucketing(n))
            self.add(f"{BOOLEAN}{end}{n}", f"leaf_b{n}", f"{self.word('flag')} cond{end}{n}")
            for kind in KINDS:
                self.add(f"{kind}{end}{n}", *self.pair(self.word("coalesce"), n, end, kind, kind))
            self.aggregates(n, end, n, f"mods{n}", "")
            for m in below:
                self.aggregates(n, end, m, f"ifs{m}", "own")
            self.windows(n, end)
            self.conditions(n, end, reached, below)
            self.own_values(n, end)
        self.modifiers(n)

    def query(self, table: str, n: int) -> None:
        name, distinct = _literal(table_token(table)), self.word("distinct")
        self.add(f"spec{n}", f"{name} tail{n}", f"{name} {distinct}? list{n} tail{n}")
        # Every item but the last is followed by another; see the module's text.
        plain, sub = f"list_p{n}", f"list_s{n}"
        self.add(plain, f"vo{n}", f"vo{n} {plain}", f"vc{n} {sub}")
        self.add(sub, "sv", f"sv {plain}", f"sv {sub}")
        self.add(f"list{n}", plain, sub)
        count = "number"
        self.add(
            f"tail{n}",
            f"({self.word('where')} condo{n}+)? ({self.word('asc', 'desc')} anyvo{n})* "
            f"({self.word('limit')} {count} (pers{n})?)? ({self.word('offset')} {count})?",
        )
        self.add(f"pers{n}", f"({self.word('per')} anyvc{n})* {self.word('per')} anyvo{n}")

    # ------------------------------------------------------------ values

    def values(self, n: int, reached: list[int]) -> None:
        """What needs no operands, and values of any kind."""
        for kind in KINDS:
            self.add(f"leaf_{kind}{n}", *(f"own_{kind}{m}" for m in reached))
            if kind != BOOLEAN:
                self.add(f"leaf_{kind}{n}", *(f"own_z{m}" for m in reached))
        self.add(f"leaf_n{n}", "number")
        self.add(f"leaf_d{n}", self.word("today"), _LINKED_DATE)
        for end in ENDS:
            self.add(f"v{end}{n}", *(f"{kind}{end}{n}" for kind in KINDS))
            for kind in ("v", *KINDS):
                self.add(f"any{kind}{end}{n}", f"{kind}{end}{n}", f"s{kind}")

    def numbers(self, n: int, end: str) -> None:
        rule = f"{NUMBER}{end}{n}"
        self.add(rule, f"leaf_n{n}", f"{self.word('abs')} anyn{end}{n}")
        self.add(rule, *self.pair(self.word(*OPERATORS.values()), n, end, NUMBER, NUMBER))
        self.add(rule, *self.pair(self.word("sub"), n, end, DATE, DATE))
        self.add(rule, f"{self.word(*_NUMBER_PARTS)} anyd{end}{n}")

    def bucketing(self, n: int) -> Iterator[str]:
        yield f"{self.word('bucket')} anyno{n} number+ {self.word('end')}"

    def dates(self, n: int, end: str, reached: list[int]) -> None:
        rule = f"{DATE}{end}{n}"
        self.add(rule, f"leaf_d{n}", f"{self.word(*_DATE_BUCKETS)} anyd{end}{n}")
        self.add(rule, *self.pair(self.word("add", "sub"), n, end, DATE, NUMBER))
        self.add(rule, *self.pair(self.word("add"), n, end, NUMBER, DATE))
        self.add(f"{NUMBER}{end}{n}", *(f"{self.word('hour')} stamp{m}" for m in reached))

    def pair(self, first: str, n: int, end: str, *kinds: str) -> Iterator[str]:
        """``first`` and operands of these kinds: before a subquery only closed ones may stand."""
        for subqueries in product((False, True), repeat=len(kinds) - 1):
            follows = [*subqueries, None]
            operands = [f"any{kinds[0]}{CLOSED if follows[0] else OPEN}{n}"]
            for kind, here, following in zip(kinds[1:], subqueries, follows[1:], strict=True):
                ending = end if following is None else CLOSED if following else OPEN
                operands.append(f"s{kind}" if here else f"{kind}{ending}{n}")
            yield " ".join((first, *operands))

    def windows(self, n: int, end: str) -> None:
        within = f"(pers{n})?"
        self.add(
            f"{NUMBER}{end}{n}",
            f"{self.word('running', 'growth', 'share', 'change', 'rank')} {within} n{end}{n}",
        )
        self.add(f"{NUMBER}{end}{n}", f"{self.word('change', 'rank')} {within} d{end}{n}")
        for kind in (NUMBER, TEXT, DATE):
            self.add(f"{kind}{end}{n}", f"{self.word('previous')} {within} {kind}{end}{n}")

    # ------------------------------------------------------------ aggregates

    def aggregates(self, n: int, end: str, m: int, mods: str, own: str) -> None:
        """Aggregates for rows of table ``n`` over rows of ``m``: the same table or one below it.

        An argument over a table below must read a column of it (``own``), which is what makes it run there.
        """
        numbers, distinct = f"agg{NUMBER}{end}{n}", f"{self.word('distinct')}?"
        self.add(numbers, f"{self.word(*_SUMS)} {distinct} {mods}o {own}n{end}{m}")
        for kind in (NUMBER, TEXT, DATE):
            rule = f"agg{kind}{end}{n}"
            self.add(rule, f"{self.word('min', 'max')} {distinct} {mods}o {own}{kind}{end}{m}")
            if n == m:
                self.add(f"{kind}{end}{n}", rule)
        if n == m:
            self.add(numbers, f"{self.word(*_SUMS, 'min', 'max')} {distinct} grouped{n}o groups{end}{n}")
            self.groups(n, end)
        count = self.word("count")
        self.add(numbers, f"{count} {self.word('distinct')} {mods}o {own}v{end}{m}")
        self.add(numbers, f"{count} {mods}c {self.word('of')} {own}v{end}{m}")
        counted = count if n == m else f"{count} {_literal(table_token(list(self.number)[m]))}"
        self.add(numbers, f"{counted} {mods}c {self.word('close')}")
        if end == OPEN:
            self.add(numbers, f"{counted} {mods}o")
        if n == m:
            self.add(
                numbers,
                *(f"{count} {self.word('begin')} spec{k} {self.word('end')}" for k in self.number.values()),
            )

    def groups(self, n: int, end: str) -> None:
        """Numbers that hold an aggregate, for one over groups of its own (``by``)."""
        rule, operators = f"groups{end}{n}", self.word(*OPERATORS.values())
        self.add(rule, f"aggn{end}{n}", f"{operators} anyno{n} aggn{end}{n}")
        self.add(rule, f"{operators} aggno{n} n{end}{n}", f"{operators} aggnc{n} sn")

    def modifiers(self, n: int) -> None:
        """``mods``: of an aggregate over the query's own rows; ``ifs``: over those of a table below."""
        one, by, per = self.word("if"), self.word("by"), self.word("per")
        ifs, bys, pers = f"ifs{n}c", f"({by} anyvc{n})+", f"({per} anyvc{n})*"
        scope = f"{self.word('overall', 'all')}?"
        self.add(ifs, f"({one} condc{n})*")
        self.add(f"ifs{n}o", ifs, f"{ifs} {one} condo{n}")
        self.add(f"mods{n}c", f"{ifs} {pers} {scope}")
        self.add(f"mods{n}o", f"mods{n}c", f"ifs{n}o", f"{ifs} {pers} {per} anyvo{n}")
        self.add(f"grouped{n}o", f"{ifs} {bys} {pers} {scope}", f"{ifs} ({by} anyvc{n})* {by} anyvo{n}")
        self.add(f"grouped{n}o", f"{ifs} {bys} {pers} {per} anyvo{n}")

    def own_values(self, n: int, end: str) -> None:
        """Values that read a column of this very table."""
        for kind in KINDS:
            self.add(f"own{kind}{end}{n}", f"own_{kind}{n}")
        numbers, dates = f"ownn{end}{n}", f"ownd{end}{n}"
        for word, kinds, rule in (
            (self.word(*OPERATORS.values()), (NUMBER, NUMBER), numbers),
            (self.word("coalesce"), (NUMBER, NUMBER), numbers),
            (self.word("sub"), (DATE, DATE), numbers),
            (self.word("add", "sub"), (DATE, NUMBER), dates),
            (self.word("add"), (NUMBER, DATE), dates),
            (self.word("coalesce"), (DATE, DATE), dates),
        ):
            left, right = kinds
            self.add(
                rule, f"{word} own{left}o{n} {right}{end}{n}", f"{word} any{left}o{n} own{right}{end}{n}"
            )
            self.add(rule, f"{word} own{left}c{n} s{right}")
        self.add(numbers, f"{self.word('abs')} {numbers}", f"{self.word(*_NUMBER_PARTS)} {dates}")
        self.add(dates, f"{self.word(*_DATE_BUCKETS)} {dates}")
        self.add(f"ownv{end}{n}", *(f"own{kind}{end}{n}" for kind in KINDS), f"own_z{n}")

    # ------------------------------------------------------------ conditions

    def conditions(self, n: int, end: str, reached: list[int], below: list[int]) -> None:
        rule = f"cond{end}{n}"
        self.add(rule, *(f"short{m}" for m in reached))
        for kind in KINDS:
            self.add(rule, *self.pair(self.word(*COMPARISONS.values()), n, end, kind, kind))
            self.add(rule, f"{self.word('in')} any{kind}c{n} s{kind}")
        for kind in (NUMBER, DATE):
            self.add(rule, *self.pair(self.word("between"), n, end, kind, kind, kind))
        self.add(rule, f"{self.word('null')} anyv{end}{n}", f"{self.word('not')} cond{end}{n}")
        self.add(rule, f"{self.word('or', 'and')} condo{n} cond{end}{n}")
        self.add(rule, f"{self.word('in', 'before', 'after')} anydo{n} {_LINKED_DATE}")
        self.add(rule, f"{self.word('contains', 'starts')} anyxo{n} {_LINKED_TEXT}")
        tables = list(self.number)
        for m in below:
            exists = f"{self.word('any', 'no')} {_literal(table_token(tables[m]))}"
            self.add(rule, f"{exists} ifs{m}c {self.word('close')}")
            if end == OPEN:
                self.add(rule, f"{exists} ifs{m}o")
