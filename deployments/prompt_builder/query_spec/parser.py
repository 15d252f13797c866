"""Text form to specification. Names are resolved here; `check.py` judges whether the whole makes sense."""

from typing import Final, TypeVar, get_args

from deployments.prompt_builder.query_spec.check import check_condition, check_expression, check_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.name_reader import NameReader
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
    Comparison,
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
from deployments.prompt_builder.query_spec.words import (
    AGGREGATES,
    DATE_PARTS,
    FUNCTIONS,
    PLACEHOLDER,
    WINDOWS,
)

COMPARISONS: Final = get_args(Comparison)

T = TypeVar("T")


def parse(text: str, context: SpecContext) -> QuerySpec | Cannot:
    """Read one query specification.

    Raises:
        SpecError: the text is no specification, or names what the schema does not have.
    """
    parser = _Parser(text, context)
    if parser.accept("cannot"):
        parser.expect_end()
        return Cannot()
    spec = parser.spec()
    parser.expect_end()
    check_spec(spec, context)
    return spec


def parse_expression(text: str, table: str, context: SpecContext) -> Expr:
    """Read one expression over a table, e.g. of a derived value of the domain pack."""
    parser = _Parser(text, context, (table,))
    expression = parser.expression()
    parser.expect_end()
    check_expression(expression, table, context)
    return expression


def parse_conditions(text: str, table: str, context: SpecContext) -> tuple[Condition, ...]:
    """Read conditions joined by ``and`` over a table, e.g. a derived predicate of the domain pack."""
    parser = _Parser(text, context, (table,))
    conditions = parser.conditions()
    parser.expect_end()
    for condition in conditions:
        check_condition(condition, table, context)
    return conditions


class _Parser(NameReader):
    """Recursive descent over the lexemes."""

    # ------------------------------------------------------------ query

    def spec(self) -> QuerySpec:
        table = self.table()
        outer, self.scopes = self.scopes, (table,)
        distinct = False
        show: tuple[Expr, ...] = ()
        where: tuple[Condition, ...] = ()
        sort: tuple[SortKey, ...] = ()
        per: tuple[Expr, ...] = ()
        limit = offset = None
        if self.accept("show"):
            distinct = self.accept("distinct") is not None
            show = self.listed(self.expression)
        if self.accept("where"):
            where = self.conditions()
        if self.accept("sort"):
            sort = self.listed(self.sort_key)
        if self.accept("limit"):
            limit = self.count()
            per = self.listed(self.expression) if self.accept("per") else ()
        if self.accept("offset"):
            offset = self.count()
        self.scopes = outer
        return QuerySpec(table, show, distinct, where, sort, limit, per, offset)

    def sort_key(self) -> SortKey:
        return SortKey(self.expression(), self.accept("desc") is not None)

    def count(self) -> NumberLiteral | Placeholder:
        start = self.here
        value = self.primary()
        whole = isinstance(value, NumberLiteral) and value.text.isdigit()
        if whole or (isinstance(value, Placeholder) and value.name.startswith("N")):
            return value  # type: ignore[return-value]  # narrowed by the line above
        raise SpecError("a limit must be a whole number", start.start, "a number or an N placeholder")

    # ------------------------------------------------------------ conditions

    def conditions(self) -> tuple[Condition, ...]:
        found = [self.condition()]
        while self.accept("and"):
            found.append(self.condition())
        return tuple(found)

    def condition(self) -> Condition:
        with self.nested():
            if self.accept("not"):
                return Negation(self.condition())
            if self.is_at("any", "no") and self.ahead(1).value == "(":
                return self.exists()
            if self.is_predicate():
                return Predicate(*self.qualified())
            if self.is_at("("):
                return self.group_or_comparison()
            return self.comparison(self.expression())

    def group_or_comparison(self) -> Condition:
        """A parenthesis opens a group of conditions or an arithmetic expression; try the group first."""
        start, depth = self.at, self.depth
        scopes = self.scopes
        try:
            self.accept("(")
            return self.group()
        except SpecError as failed_group:
            self.at, self.depth, self.scopes = start, depth, scopes
            try:
                return self.comparison(self.expression())
            except SpecError as failed_expression:
                raise max(failed_group, failed_expression, key=lambda e: e.where or 0) from None

    def group(self) -> Condition:
        """Conditions up to the closing parenthesis, joined by ``and`` or by ``or`` but not both."""
        first = self.condition()
        joint = self.accept("and", "or")
        if joint is None:
            self.expect(")")
            return first
        found = [first, self.condition()]
        while self.accept(joint):
            found.append(self.condition())
        self.expect(")")
        return AnyOf(tuple(found)) if joint == "or" else AllOf(tuple(found))

    def exists(self) -> Exists:
        negated = self.expect("any", "no") == "no"
        self.expect("(")
        table = self.table()
        with self.scope(table):
            conditions = self.conditions() if self.accept("if") else ()
        self.expect(")")
        return Exists(table, conditions, negated)

    def comparison(self, left: Expr) -> Condition:
        operator = self.accept(*COMPARISONS)
        if operator is not None:
            return Compare(operator, left, self.expression())  # type: ignore[arg-type]  # one of COMPARISONS
        negated = self.accept("not") is not None
        if self.accept("in"):
            return self.membership(left, negated)
        if negated:
            raise self.error(f"unexpected {self.here.value or 'end'!r}", "in")
        if self.accept("between"):
            low = self.expression()
            self.expect("and")
            return Between(left, low, self.expression())
        if self.accept("is"):
            negated = self.accept("not") is not None
            self.expect("null")
            return IsNull(left, negated)
        if relation := self.accept("before", "after"):
            return InDates(left, self.dates(), relation)  # type: ignore[arg-type]  # one of the relations
        if kind := self.accept("contains", "starts"):
            return TextMatch(kind, left, self.primary())  # type: ignore[arg-type]  # one of the kinds
        raise self.error(
            f"unexpected {self.here.value or 'end'!r}",
            "a comparison, in, not in, between, is null, is not null, before, after, contains or starts",
        )

    def membership(self, left: Expr, negated: bool) -> Condition:
        if self.accept("("):
            values = self.listed(self.primary)
            self.expect(")")
            return InList(left, values, negated)
        if self.is_at("["):
            return InList(left, (self.primary(),), negated)
        return InDates(left, self.dates(), "in", negated)

    def dates(self) -> Placeholder:
        if self.here.kind == "name" and PLACEHOLDER.fullmatch(self.here.value) and self.here.value[0] == "D":
            self.at += 1
            return Placeholder(self.lexemes[self.at - 1].value)
        raise self.error(f"unexpected {self.here.value or 'end'!r}", "a D placeholder")

    # ------------------------------------------------------------ expressions

    def expression(self) -> Expr:
        left = self.term()
        while operator := self.accept("+", "-"):
            left = Arithmetic(operator, left, self.term())  # type: ignore[arg-type]  # + or -
        return left

    def term(self) -> Expr:
        left = self.primary()
        while operator := self.accept("*", "/"):
            left = Arithmetic(operator, left, self.primary())  # type: ignore[arg-type]  # * or /
        return left

    def primary(self) -> Expr:
        with self.nested():
            here = self.here
            if here.kind in {"number", "text"}:
                self.at += 1
                return NumberLiteral(here.value) if here.kind == "number" else TextLiteral(here.value)
            if self.is_at("-") and self.ahead(1).kind == "number":
                self.at += 2
                return NumberLiteral("-" + self.lexemes[self.at - 1].value)
            if self.accept("("):
                inner = self.expression()
                self.expect(")")
                return inner
            if self.accept("["):
                spec = self.spec()
                self.expect("]")
                return Subquery(spec)
            if self.accept("today"):
                return Today()
            if here.kind == "name" and PLACEHOLDER.fullmatch(here.value):
                self.at += 1
                return Placeholder(here.value)
            if here.kind == "name" and self.ahead(1).kind == "symbol" and self.ahead(1).value == "(":
                return self.call()
            return self.column()

    def column(self) -> ColumnRef:
        start = self.here
        table, name = self.qualified()
        if self.context.is_predicate(table, name):
            raise SpecError(f"{name!r} is a condition, not a value", start.start, f"flag({name})")
        return ColumnRef(table, name)

    def call(self) -> Expr:
        start = self.here
        name = start.value
        self.at += 2
        if name in AGGREGATES:
            return self.aggregate(name)
        if name == "flag":
            inner = self.conditions()
            self.expect(")")
            return Flag(inner[0] if len(inner) == 1 else AllOf(inner))
        found: Expr
        if name in WINDOWS:
            argument = self.expression()
            per = self.listed(self.expression) if self.accept("per") else ()
            found = Window(name, argument, per)  # type: ignore[arg-type]  # one of WINDOWS
        elif name in DATE_PARTS:
            found = DateBucket(name, self.expression())  # type: ignore[arg-type]  # one of DATE_PARTS
        elif name == "bucket":
            argument = self.expression()
            self.expect(",")
            found = Bucket(argument, self.listed(self.primary))
        elif name in FUNCTIONS:
            arguments = self.listed(self.expression)
            if len(arguments) != FUNCTIONS[name]:
                raise SpecError(f"{name} with {len(arguments)} arguments", start.start, str(FUNCTIONS[name]))
            found = Function(name, arguments)  # type: ignore[arg-type]  # one of FUNCTIONS
        else:
            known = (*AGGREGATES, *WINDOWS, *DATE_PARTS, "bucket", *FUNCTIONS, "flag")
            raise SpecError(f"no function {name!r}", start.start, ", ".join(known))
        self.expect(")")
        return found

    def aggregate(self, name: str) -> Aggregate:
        """The rest of an aggregate after its opening parenthesis."""
        distinct = self.accept("distinct") is not None
        argument: Expr | None = None
        table = self.whole_table()
        with self.scope(*self.argument_tables() if table is None else (table,)):
            if table is None and not self.is_at("if", "by", "per", "overall", "all", ")"):
                argument = self.expression()
            conditions = self.conditions() if self.accept("if") else ()
            by = self.listed(self.expression) if self.accept("by") else ()
            per = self.listed(self.expression) if self.accept("per") else ()
        scope = self.accept("overall", "all") or "group"
        self.expect(")")
        return Aggregate(name, argument, table, distinct, conditions, by, per, scope)  # type: ignore[arg-type]  # names checked by the caller

    def whole_table(self) -> str | None:
        """The table of count(TABLE …), unless the word is a column here."""
        if not self.is_name() or self.ahead(1).value in {".", "("}:
            return None
        name = self.here.value
        if name not in self.context.tables or any(self._has(table, name) for table in self.scopes):
            return None
        self.at += 1
        return name

    def argument_tables(self) -> tuple[str, ...]:
        """Descendant tables named in the argument that starts here: their columns may stand unqualified."""
        base = self.scopes[-1]
        found: list[str] = []
        depth = 0
        for lexeme, following in zip(self.lexemes[self.at :], self.lexemes[self.at + 1 :], strict=False):
            depth += (
                (lexeme.value in {"(", "["}) - (lexeme.value in {")", "]"}) if lexeme.kind == "symbol" else 0
            )
            if depth < 0 or (depth == 0 and lexeme.kind == "name" and lexeme.value in {"if", "by", "per"}):
                break
            names_table = following.value == "." and lexeme.value in self.context.tables
            if names_table and self.context.is_descendant(lexeme.value, base):
                found.append(lexeme.value)
        return tuple(dict.fromkeys(found))
