"""Model tokens to specification. The output of a model is untrusted: everything unexpected is a SpecError."""

from typing import Final

from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AllOf,
    AnyOf,
    Arithmetic,
    Between,
    Bucket,
    Cannot,
    ColumnRef,
    Compare,
    Condition,
    DateBucket,
    Exists,
    Expr,
    Flag,
    Function,
    InDates,
    InList,
    IsNull,
    Negation,
    NumberLiteral,
    Placeholder,
    Predicate,
    QuerySpec,
    SortKey,
    Subquery,
    TextLiteral,
    TextMatch,
    Today,
    Window,
)
from deployments.prompt_builder.query_spec.token_words import COMPARISONS, NUMBERS, OPERATORS, PLACEHOLDERS
from deployments.prompt_builder.query_spec.words import AGGREGATES, DATE_PARTS, FUNCTIONS, WINDOWS

MAX_DEPTH: Final = 60  # nesting of the prefix form; real specifications stay under 15

_OPERATORS: Final = {word: sign for sign, word in OPERATORS.items()}
_COMPARISONS: Final = {word: sign for sign, word in COMPARISONS.items()}
_CONDITION_WORDS: Final = frozenset(
    (
        *_COMPARISONS,
        "in",
        "between",
        "null",
        "before",
        "after",
        "contains",
        "starts",
        "any",
        "no",
        "or",
        "and",
        "not",
    )
)


def read_tokens(
    words: list[str], names: dict[str, tuple[str, ...]], context: SpecContext
) -> QuerySpec | Cannot:
    """Read a whole output. ``names`` are the schema words (`token_words.schema_words`).

    Raises:
        SpecError: the sequence is no specification.
    """
    reader = _Reader(words, names, context)
    if reader.accept("cannot"):
        reader.expect_end()
        return Cannot()
    spec = reader.spec()
    reader.expect_end()
    return spec


class _Reader:
    """Recursive descent over the words, one word of lookahead."""

    def __init__(self, words: list[str], names: dict[str, tuple[str, ...]], context: SpecContext) -> None:
        self.words = words
        self.names = names
        self.context = context
        self.at = 0
        self.depth = 0

    @property
    def here(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self) -> str:
        self.at += 1
        return self.words[self.at - 1] if self.at <= len(self.words) else ""

    def accept(self, *words: str) -> bool:
        if self.here not in words:
            return False
        self.at += 1
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(word)

    def expect_end(self) -> None:
        if self.at < len(self.words):
            raise self.error("the end")

    def error(self, allowed: str) -> SpecError:
        return SpecError(f"unexpected token {self.here or 'end'!r}", self.at, allowed)

    def named(self, parts: int) -> tuple[str, ...] | None:
        """What the word here names, if it is a schema word of so many parts."""
        found = self.names.get(self.here)
        return found if found is not None and len(found) == parts else None

    def table(self) -> str:
        found = self.named(1)
        if found is None:
            raise self.error("a table")
        self.at += 1
        return found[0]

    # query

    def spec(self) -> QuerySpec:
        table = self.table()
        distinct = self.accept("distinct")
        show: list[Expr] = []
        while self.here not in {"", "where", "asc", "desc", "limit", "offset", "end"}:
            show.append(self.expression())
        where: list[Condition] = []
        if self.accept("where"):
            where.append(self.condition())
            while self.here not in {"", "asc", "desc", "limit", "offset", "end"}:
                where.append(self.condition())
        sort: list[SortKey] = []
        while self.here in {"asc", "desc"}:
            descending = self.take() == "desc"
            sort.append(SortKey(self.expression(), descending))
        limit = self.count() if self.accept("limit") else None
        per = self.modifiers("per") if limit is not None else ()
        offset = self.count() if self.accept("offset") else None
        return QuerySpec(table, tuple(show), distinct, tuple(where), tuple(sort), limit, per, offset)

    def count(self) -> NumberLiteral | Placeholder:
        word = self.take()
        if word in NUMBERS:
            return NumberLiteral(word)
        if word in PLACEHOLDERS and word.startswith("N"):
            return Placeholder(word)
        self.at -= 1
        raise self.error("a number or an N placeholder")

    def modifiers(self, word: str) -> tuple[Expr, ...]:
        found: list[Expr] = []
        while self.accept(word):
            found.append(self.expression())
        return tuple(found)

    def ifs(self) -> tuple[Condition, ...]:
        found: list[Condition] = []
        while self.accept("if"):
            found.append(self.condition())
        return tuple(found)

    # expressions

    def expression(self) -> Expr:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SpecError("the specification is nested too deeply", self.at, f"at most {MAX_DEPTH} levels")
        found = self.leaf() or self.compound()
        self.depth -= 1
        return found

    def leaf(self) -> Expr | None:
        word = self.here
        column = self.named(2)
        found: Expr
        if column is not None:
            if self.context.is_predicate(*column):
                raise self.error("a value")
            found = ColumnRef(*column)
        elif word in NUMBERS:
            found = NumberLiteral(word)
        elif word in PLACEHOLDERS:
            found = Placeholder(word)
        elif word == "today":
            found = Today()
        else:
            return None
        self.at += 1
        return found

    def compound(self) -> Expr:
        word = self.take()
        if word in AGGREGATES:
            return self.aggregate(word)
        if word in _OPERATORS:
            return Arithmetic(_OPERATORS[word], self.expression(), self.expression())  # type: ignore[arg-type]  # a sign
        if word in WINDOWS:
            per = self.modifiers("per")
            return Window(word, self.expression(), per)  # type: ignore[arg-type]  # one of WINDOWS
        if word in DATE_PARTS:
            return DateBucket(word, self.expression())  # type: ignore[arg-type]  # one of DATE_PARTS
        if word == "bucket":
            argument = self.expression()
            bounds = [self.expression()]
            while not self.accept("end"):
                bounds.append(self.expression())
            return Bucket(argument, tuple(bounds))
        if word in FUNCTIONS:
            arguments = tuple(self.expression() for _ in range(FUNCTIONS[word]))
            return Function(word, arguments)  # type: ignore[arg-type]  # one of FUNCTIONS
        if word == "flag":
            return Flag(self.condition())
        if word == "begin":
            return self.subquery()
        self.at -= 1
        raise self.error("a value")

    def subquery(self) -> Subquery:
        spec = self.spec()
        self.expect("end")
        return Subquery(spec)

    def aggregate(self, name: str) -> Aggregate:
        distinct = self.accept("distinct")
        table = self.table() if self.named(1) else None
        conditions = self.ifs()
        by = self.modifiers("by")
        per = self.modifiers("per")
        scope = self.take() if self.here in {"overall", "all"} else "group"
        argument: Expr | None = None
        if name != "count" or distinct or self.accept("of"):
            if table is not None and name != "count":
                raise self.error("a value, not a table")
            argument = None if table is not None else self.expression()
        elif table is None and self.accept("begin"):
            argument = self.subquery()
        else:
            self.accept("close")
        return Aggregate(name, argument, table, distinct, conditions, by, per, scope)  # type: ignore[arg-type]  # words checked

    # conditions

    def condition(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SpecError("the specification is nested too deeply", self.at, f"at most {MAX_DEPTH} levels")
        found = self.short_condition() or self.long_condition()
        self.depth -= 1
        return found

    def short_condition(self) -> Condition | None:
        """A lookup value, a predicate, or a column followed by a placeholder."""
        lookup = self.named(3)
        if lookup is not None:
            self.at += 1
            return Compare("=", ColumnRef(lookup[0], lookup[1]), TextLiteral(lookup[2]))
        column = self.named(2)
        if column is None:
            return None
        self.at += 1
        if self.context.is_predicate(*column):
            return Predicate(*column)
        if self.here not in PLACEHOLDERS:
            raise self.error("a placeholder")
        placeholder = Placeholder(self.take())
        if placeholder.name.startswith("D"):
            return InDates(ColumnRef(*column), placeholder)
        return Compare("=", ColumnRef(*column), placeholder)

    def long_condition(self) -> Condition:
        word = self.take()
        if word not in _CONDITION_WORDS:
            self.at -= 1
            raise self.error("a condition")
        if word in _COMPARISONS:
            return Compare(_COMPARISONS[word], self.expression(), self.expression())  # type: ignore[arg-type]  # a sign
        match word:
            case "not":
                return Negation(self.condition())
            case "or" | "and":
                joined = (self.condition(), self.condition())
                return AnyOf(joined) if word == "or" else AllOf(joined)
            case "null":
                return IsNull(self.expression())
            case "between":
                return Between(self.expression(), self.expression(), self.expression())
            case "any" | "no":
                table, conditions = self.table(), self.ifs()
                self.accept("close")
                return Exists(table, conditions, word == "no")
            case "contains" | "starts":
                return TextMatch(
                    "contains" if word == "contains" else "starts", self.expression(), self.expression()
                )
        return self.membership(word)

    def membership(self, word: str) -> Condition:
        argument = self.expression()
        if word == "in" and self.accept("begin"):
            return InList(argument, (self.subquery(),))
        if self.here not in PLACEHOLDERS or not self.here.startswith("D"):
            raise self.error("a D placeholder")
        return InDates(argument, Placeholder(self.take()), word)  # type: ignore[arg-type]  # in, before or after
