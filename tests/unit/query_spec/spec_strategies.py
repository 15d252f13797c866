"""Random valid query specifications over the construction schema, and the context they are read in."""

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.query_spec.check import check_spec
from deployments.prompt_builder.query_spec.context import Kind, SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    AllOf,
    AnyOf,
    Arithmetic,
    Between,
    Bucket,
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
from deployments.prompt_builder.query_spec.words import DATE_PARTS, WINDOWS
from deployments.prompt_builder.synthesis.schema_file import load_schema
from serve_app.contracts import Candidate, DateRange, Link

DOMAIN = Path(__file__).parents[3] / "configs" / "domains" / "construction"


@cache
def sample_context() -> SpecContext:
    return SpecContext(load_schema(DOMAIN), load_domain(DOMAIN))


def all_links(context: SpecContext) -> tuple[Link, ...]:
    """Links that fill every placeholder: a V is a value of whatever text column it is compared with."""
    candidates = tuple(
        Candidate(
            table=table,
            column=column,
            value=next(iter((*found.enum_values, *found.sample_values)), "x"),
            score=1.0,
        )
        for (table, column), found in context.columns.items()
        if context.column_kind(table, column) == "text"
    )
    dates = DateRange(start_sql="DATE '2026-01-01'", end_sql="DATE '2026-07-01'", grain="range")
    return (
        *(Link(placeholder=f"V{i}", span=(0, 1), text="x", candidates=candidates) for i in range(8)),
        *(Link(placeholder=f"N{i}", span=(0, 1), text="3", number="3") for i in range(8)),
        *(Link(placeholder=f"D{i}", span=(0, 1), text="x", dates=dates) for i in range(6)),
    )


Method = Callable[..., st.SearchStrategy[Any]]


def made_once(method: Method) -> Method:
    """Keep the strategies that a method has made: building one costs more than drawing from it."""
    made: dict[tuple[object, ...], st.SearchStrategy[Any]] = {}

    @wraps(method)
    def remembered(self: object, *arguments: object) -> st.SearchStrategy[Any]:
        if arguments not in made:
            made[arguments] = method(self, *arguments)
        return made[arguments]

    return remembered


def placeholders(letter: str) -> st.SearchStrategy[Placeholder]:
    return st.integers(0, 2).map(lambda i: Placeholder(f"{letter}{i}"))


numbers = st.one_of(st.sampled_from(("0", "1", "5", "12", "100")).map(NumberLiteral), placeholders("N"))


class SpecStrategies:
    """Strategies for the parts of a specification, by the table whose rows are read."""

    def __init__(self, context: SpecContext) -> None:
        self.context = context

    @made_once
    def columns(self, table: str, kind: Kind) -> st.SearchStrategy[Expr]:
        found = [
            ColumnRef(t, c)
            for t, c in (*self.context.columns, *self.context.derived)
            if self.context.reaches(table, t) and self.column_kind(t, c) == kind
        ]
        fallback: dict[Kind, Expr] = {"number": NumberLiteral("1"), "date": Today()}
        return st.sampled_from(found or [fallback.get(kind, ColumnRef(table, "name"))])

    def column_kind(self, table: str, column: str) -> str:
        if (table, column) in self.context.columns:
            return self.context.column_kind(table, column)
        return "number" if self.context.derived[table, column].kind == "value" else "predicate"

    @made_once
    def row_number(self, table: str, depth: int) -> st.SearchStrategy[Expr]:
        leaf = self.columns(table, "number")
        if depth == 0:
            return leaf
        inner = self.row_number(table, depth - 1)
        dates = st.one_of(self.columns(table, "date"), st.just(Today()))
        return st.one_of(
            leaf,
            st.builds(Arithmetic, st.sampled_from("+-*/"), inner, st.one_of(inner, numbers)),
            st.builds(Arithmetic, st.just("-"), dates, self.columns(table, "date")),
            st.builds(lambda e: Function("abs", (e,)), inner),
            self.child_aggregates(table, depth - 1),
        )

    def descendants(self, table: str) -> list[str]:
        return [t for t in self.context.tables if self.context.is_descendant(t, table)]

    @made_once
    def child_aggregates(self, table: str, depth: int) -> st.SearchStrategy[Expr]:
        if not self.descendants(table):
            return self.columns(table, "number")

        @cache
        def over(child: str) -> st.SearchStrategy[Expr]:
            conditions = st.lists(self.conditions(child, depth), max_size=2).map(tuple)
            measures = [
                c for t, c in self.context.columns if t == child and self.column_kind(t, c) == "number"
            ]
            return st.one_of(
                st.builds(lambda c: Aggregate("count", None, child, conditions=c), conditions),
                st.builds(
                    lambda n, m, c: Aggregate(n, ColumnRef(child, m), conditions=c),
                    st.sampled_from(("sum", "avg", "min", "max", "median")),
                    st.sampled_from(measures),
                    conditions,
                ),
            )

        return st.sampled_from(self.descendants(table)).flatmap(over)

    @made_once
    def group_number(self, table: str, depth: int) -> st.SearchStrategy[Expr]:
        conditions = st.lists(self.conditions(table, 0), max_size=1).map(tuple)
        simple = st.one_of(
            st.builds(lambda c: Aggregate("count", conditions=c), conditions),
            st.builds(
                lambda n, a, c, s: Aggregate(n, a, conditions=c, scope=s),
                st.sampled_from(("sum", "avg", "min", "max", "median")),
                self.row_number(table, 0),
                conditions,
                st.sampled_from(("group", "group", "group", "overall", "all")),
            ),
            st.builds(lambda a: Aggregate("count", a, distinct=True), self.columns(table, "text")),
        )
        if depth == 0:
            return simple
        return st.one_of(
            simple,
            st.builds(Arithmetic, st.sampled_from("+-*/"), simple, simple),
            st.builds(Window, st.sampled_from(WINDOWS), simple),
            st.builds(lambda a: Aggregate("avg", a), simple.filter(lambda a: a.scope == "group")),
        )

    @made_once
    def keys(self, table: str) -> st.SearchStrategy[Expr]:
        return st.one_of(
            self.columns(table, "text"),
            self.columns(table, "text"),
            st.builds(DateBucket, st.sampled_from(DATE_PARTS), self.columns(table, "date")),
            st.builds(
                lambda e: Bucket(e, (NumberLiteral("10"), NumberLiteral("100"))), self.row_number(table, 0)
            ),
            st.builds(Flag, self.conditions(table, 0)),
        )

    @made_once
    def conditions(self, table: str, depth: int) -> st.SearchStrategy[Condition]:
        comparisons = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))
        texts = self.columns(table, "text")
        dates = self.columns(table, "date")
        measure = self.row_number(table, min(depth, 1))
        predicates = [
            Predicate(t, c)
            for t, c in self.context.derived
            if self.context.reaches(table, t) and self.context.is_predicate(t, c)
        ]
        lookups = [
            Compare("=", ColumnRef(t, c), TextLiteral(v))
            for t, c in self.context.columns
            if self.context.reaches(table, t)
            for v in self.context.lookup_values(t, c)
        ]
        simple: list[st.SearchStrategy[Condition]] = [
            st.builds(Compare, comparisons, measure, numbers),
            st.builds(Compare, st.sampled_from(("=", "!=")), texts, placeholders("V")),
            st.builds(
                lambda t, v, n: InList(t, tuple(v), n),
                texts,
                st.lists(placeholders("V"), min_size=1, max_size=3),
                st.booleans(),
            ),
            st.builds(Between, measure, numbers, numbers),
            st.builds(IsNull, texts, st.booleans()),
            st.builds(TextMatch, st.sampled_from(("contains", "starts")), texts, placeholders("V")),
            *([st.sampled_from(predicates)] if predicates else []),
            *([st.sampled_from(lookups)] if lookups else []),
        ]
        if any(
            self.column_kind(t, c) == "date"
            for t, c in self.context.columns
            if self.context.reaches(table, t)
        ):
            simple.append(st.builds(InDates, dates, placeholders("D"), st.just("in"), st.booleans()))
            simple.append(st.builds(InDates, dates, placeholders("D"), st.sampled_from(("before", "after"))))
            simple.append(st.builds(Compare, comparisons, dates, st.just(Today())))
        if depth == 0:
            return st.one_of(simple)
        inner = self.conditions(table, depth - 1)
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        compound = [
            *simple,
            st.builds(AnyOf, several),
            st.builds(Negation, inner),
            st.builds(Negation, st.builds(AllOf, several)),
        ]
        for child in self.descendants(table):
            conditions = st.lists(self.conditions(child, 0), max_size=2).map(tuple)
            compound.append(st.builds(Exists, st.just(child), conditions, st.booleans()))
        return st.one_of(compound)

    def sort_keys(self, expressions: st.SearchStrategy[Expr]) -> st.SearchStrategy[tuple[SortKey, ...]]:
        return st.lists(st.builds(SortKey, expressions, st.booleans()), max_size=2).map(tuple)

    @made_once
    def row_specs(self, table: str) -> st.SearchStrategy[QuerySpec]:
        items = st.one_of(self.columns(table, "text"), self.row_number(table, 1), self.columns(table, "date"))
        limits = st.one_of(st.none(), numbers.filter(lambda n: n != NumberLiteral("0")))
        return st.builds(
            QuerySpec,
            st.just(table),
            st.lists(items, max_size=3).map(tuple),
            where=st.lists(self.conditions(table, 1), max_size=3).map(tuple),
            sort=self.sort_keys(self.row_number(table, 0)),
            limit=limits,
            offset=st.one_of(st.none(), numbers),
        )

    @made_once
    def group_specs(self, table: str) -> st.SearchStrategy[QuerySpec]:
        return st.builds(
            lambda keys, values, where, having, sort, limit, per: QuerySpec(
                table, (*keys, *values), where=(*where, *having), sort=sort, limit=limit,
                limit_per=keys[:1] if limit is not None and per else (),
            ),
            st.lists(self.keys(table), max_size=2).map(tuple),
            st.lists(self.group_number(table, 1), min_size=1, max_size=2).map(tuple),
            st.lists(self.conditions(table, 1), max_size=2).map(tuple),
            st.lists(
                st.builds(Compare, st.just(">"), self.group_number(table, 0), numbers), max_size=1
            ).map(tuple),
            self.sort_keys(self.group_number(table, 0)),
            st.one_of(st.none(), st.just(NumberLiteral("5"))),
            st.booleans(),
        )  # fmt: skip

    def specs(self) -> st.SearchStrategy[QuerySpec]:
        """Specifications that pass the checks."""

        @cache
        def of_table(table: str) -> st.SearchStrategy[QuerySpec]:
            counted = self.group_specs(table).map(
                lambda s: QuerySpec(table, (Aggregate("count", Subquery(s)),))
            )
            return st.one_of(self.row_specs(table), self.group_specs(table), counted)

        return st.sampled_from(sorted(self.context.tables)).flatmap(of_table).filter(self.is_valid)

    def is_valid(self, spec: QuerySpec) -> bool:
        try:
            check_spec(spec, self.context)
        except SpecError:
            return False
        return True


specs = SpecStrategies(sample_context()).specs()
