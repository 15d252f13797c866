"""The grammar of the SQL that an instruction model may write over one schema; the language is `select.lark`.

Its tables and columns are those of the schema and no others. Names that a statement gives itself come from a
closed list of words (those of the domain pack's examples and some common ones): a common table expression can
be named in FROM only where it is defined, an output column in ORDER BY and GROUP BY only if the SELECT list
named it. Which columns a subquery has, and whether a column belongs to a table in FROM, stands behind it and
is the validator's to check.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Final

from sqlglot import exp

from deployments.prompt_builder.instruction.wording import CANNOT_ANSWER
from deployments.prompt_builder.query_spec.compiler.sql import identifier
from serve_app.contracts import SchemaSnapshot
from serve_app.sql_tree import sql_tree

_HEAD: Final = re.compile(r"^(\w+)::_:", re.MULTILINE)
_USE: Final = re.compile(r"\b[a-z]\w*(?=::)|\bcolumn\b")
_EITHER_CASE: Final = re.compile(r'"([^"\n]+)"i|/([^/\n]+)/i')


def _in_either_case(match: re.Match[str]) -> str:
    if match[1]:
        return f'("{match[1]}" | "{match[1].lower()}")'
    return f"/{match[2]}|{match[2].upper()}/"


def _read_language() -> str:
    """The text of `select.lark` in Lark proper, with the rules that stand twice."""
    text = Path(__file__).with_name("select.lark").read_text(encoding="utf-8")
    once, _, twice = _EITHER_CASE.sub(_in_either_case, text).partition("////")
    twice = twice.partition("\n")[2]
    doubled = {*_HEAD.findall(twice), "from", "column", "named"}
    over = _USE.sub(lambda match: f"{match[0]}_over" if match[0] in doubled else match[0], twice)
    return f"{once}\n{twice}\n{over}"


_LANGUAGE: Final = _read_language()
assert f'"{CANNOT_ANSWER} "' in _LANGUAGE, "prompt and grammar say the same"

# Places of the bits in select.lark.
FIRST_CTE, MOST_CTES = 3, 8
FIRST_OUTPUT, MOST_OUTPUTS = 11, 50
MOST_RELATIONS: Final = 24
_AS: Final = '("AS" | "as")'
COMMON_OUTPUTS: Final = (
    *("total", "count", "average", "minimum", "maximum", "value", "number", "share", "percent", "difference"),
    *("year", "quarter", "month", "week", "day", "previous", "change", "growth", "rank", "running_total"),
)
COMMON_RELATIONS: Final = ("t", "totals", "ranked", "base")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")


def sql_grammar(schema: SchemaSnapshot, statements: Iterable[str] = ()) -> str:
    """The Lark grammar over a schema; ``statements`` are examples whose names for things are allowed too.

    Linear in the size of the schema. Over a schema without columns nothing can be answered.
    """
    columns = dict.fromkeys(identifier(column.name) for table in schema.tables for column in table.columns)
    if not columns:
        return f"start: {_quoted(CANNOT_ANSWER + ' ')} /[A-Za-z][^\\n]{{3,200}}/"
    names = _Names(schema, statements)
    ctes = names.ctes
    return "\n".join(
        [
            _LANGUAGE,
            f"COLUMN: {_any(map(_quoted, columns))}",
            f"WORD: {_any(map(_quoted, names.outputs))}",
            f"RELATION: {_any(map(_quoted, names.relations))}",
            f"alias::_: {_any(_if_set(names.outputs, FIRST_OUTPUT))}",
            f"named::_: {_any(_setting(names.outputs, FIRST_OUTPUT, 'after_item'))}",
            f"named_over::_: {_any(_setting(names.outputs, FIRST_OUTPUT, 'after_item_over'))}",
            f"cte_name::_: {_any(_if_set(ctes, FIRST_CTE))}",
            f"cte::_: {_any(_defining(ctes))}",
            'after_cte::_: b "," b cte::_ | B select::_',
            *names.tables(),
        ]
    )


class _Names:
    """Names that statements may use: of outputs, of relations other than tables, and short ones of tables."""

    def __init__(self, schema: SchemaSnapshot, statements: Iterable[str]) -> None:
        self._tables = {table.name: table for table in schema.tables}
        outputs: Counter[str] = Counter()
        relations: Counter[str] = Counter()
        self._aliases: dict[str, str] = {}
        for statement in statements:
            tree = sql_tree(statement)
            if tree is None:
                continue
            outputs.update(alias.alias for alias in tree.find_all(exp.Alias))
            relations.update(part.alias for part in tree.find_all(exp.CTE, exp.Subquery) if part.alias)
            for table in tree.find_all(exp.Table):
                if table.alias and table.name in self._tables:
                    self._aliases.setdefault(table.alias, table.name)
                elif table.alias:
                    relations[table.alias] += 1
        self._add_short_names()
        self.outputs = self._words(outputs, COMMON_OUTPUTS, MOST_OUTPUTS, frozenset())
        self.relations = self._words(relations, COMMON_RELATIONS, MOST_RELATIONS, frozenset(self._tables))
        self.ctes = tuple(word for word in self.relations if word not in self._aliases)[:MOST_CTES]

    def _add_short_names(self) -> None:
        """For every table the shortest beginning that names nothing else, and one more for a second use."""
        for table in self._tables:
            known = [alias for alias, owner in self._aliases.items() if owner == table]
            plain = re.sub(r"[^a-z]", "", table.lower()) or "r"
            beginnings = (plain[:length] for length in range(1, len(plain) + 1))
            numbered = (f"{plain}{number}" for number in count(2))
            free = (w for w in chain(beginnings, numbered) if w not in self._aliases and self._is_free(w))
            short = known[0] if known else next(free)
            second = next(w for w in (f"{short}{n}" for n in count(2)) if w not in self._aliases)
            self._aliases |= {short: table, second: table}

    def _is_free(self, word: str) -> bool:
        return word not in self._tables and identifier(word) == word

    @staticmethod
    def _words(
        found: Counter[str], common: Iterable[str], most: int, taken: frozenset[str]
    ) -> tuple[str, ...]:
        ordered = dict.fromkeys((*(word for word, _ in found.most_common()), *common))
        fitting = (w for w in ordered if _WORD.fullmatch(w) and identifier(w) == w and w not in taken)
        return tuple(islice(fitting, most))

    def tables(self) -> Iterator[str]:
        """The rules of tables in FROM and of columns written with their table."""
        named, columns = [], []
        for number, (name, table) in enumerate(self._tables.items()):
            if not table.columns:
                continue
            shorts = [alias for alias, owner in self._aliases.items() if owner == name]
            yield f"SHORT_{number}: {_any(map(_quoted, shorts))}"
            own = _any(dict.fromkeys(_quoted(identifier(column.name)) for column in table.columns))
            yield f'OWN_{number}: ({_any(map(_quoted, [identifier(name), *shorts]))}) "." ({own})'
            named.append(f"{_quoted(identifier(name))} (B ({_AS} B)? SHORT_{number})?")
            columns.append(f"OWN_{number}")
        yield f"table: {' | '.join(named)}"
        yield f"own_column: {' | '.join(columns)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _if_set(words: Iterable[str], first_bit: int) -> Iterator[str]:
    return (f"{_quoted(w)} %if bit_set({bit})" for bit, w in enumerate(words, first_bit))


def _setting(words: Iterable[str], first_bit: int, then: str) -> Iterator[str]:
    return (f"{_quoted(w)} {then}::set_bit({bit})" for bit, w in enumerate(words, first_bit))


def _defining(words: Iterable[str]) -> Iterator[str]:
    for bit, word in enumerate(words, FIRST_CTE):
        body = f'{_quoted(word)} B {_AS} B "(" b select::_ b ")" after_cte::set_bit({bit})'
        yield f"{body} %if bit_clear({bit})"


def _any(alternatives: Iterable[str]) -> str:
    return " | ".join(alternatives)
