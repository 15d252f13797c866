"""Computed values and conditions that the columns of a schema suggest. Each is a proposal for a person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from deployments.prompt_builder.domain import Derived, TableTerms
from deployments.prompt_builder.drafting.hints import DraftingHints
from deployments.prompt_builder.drafting.names import row_noun, stem
from deployments.prompt_builder.drafting.roles import ColumnGuess, is_rate
from deployments.prompt_builder.query_spec.words import quote_name
from serve_app.contracts import SchemaSnapshot

Guesses = Mapping[str, Sequence[ColumnGuess]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A derived value with the reason why it may be one."""

    derived: Derived
    reason: str


def suggest(
    schema: SchemaSnapshot, guesses: Guesses, terms: Mapping[str, TableTerms], hints: DraftingHints
) -> tuple[Suggestion, ...]:
    """Everything that suggests itself, without names that a table has already."""
    taken = {(table, guess.name) for table, columns in guesses.items() for guess in columns}
    found: list[Suggestion] = []
    for table, columns in guesses.items():
        for suggestion in (*_products(table, columns, hints), *_dates(table, columns, hints)):
            found += _new(suggestion, taken)
    for suggestion in _totals(schema, guesses, terms, hints):
        found += _new(suggestion, taken)
    return tuple(found)


def _new(suggestion: Suggestion, taken: set[tuple[str, str]]) -> list[Suggestion]:
    place = (suggestion.derived.table, suggestion.derived.name)
    if place in taken:
        return []
    taken.add(place)
    return [suggestion]


def _products(table: str, columns: Sequence[ColumnGuess], hints: DraftingHints) -> Iterator[Suggestion]:
    """``quantity * unit_price`` and its like."""
    measures = [c for c in columns if c.role == "measure"]
    many = [c for c in measures if hints.quantity_words & set(c.words) and c.semantic != "currency"]
    prices = [c for c in measures if is_rate(c, hints)]
    for how_many, price in product(many, prices):
        rest = [word for word in price.words if word not in ("unit", "per", "hourly", "daily", "each")]
        what = "cost" if rest in (["rate"], []) else rest[-1]
        name = f"total_{what}"
        yield Suggestion(
            Derived(
                table=table,
                name=name,
                kind="value",
                expression=f"({quote_name(how_many.name)} * {quote_name(price.name)})",
                semantic="currency",
                terms=(f"total {what}", f"{row_noun(table, hints)} {what}"),
            ),
            f"{how_many.name} and {price.name} look like a number of things and the price of one",
        )


def _dates(table: str, columns: Sequence[ColumnGuess], hints: DraftingHints) -> Iterator[Suggestion]:
    """How long something took, and whether it is overdue. Days are differences of DATE columns alone."""
    dates = [c for c in columns if c.role == "date" and c.column.type == "date"]

    def of(words: frozenset[str]) -> list[ColumnGuess]:
        return [c for c in dates if words & set(c.words)]

    starts, dues, ends = of(hints.starting_dates), of(hints.due_dates), of(hints.closing_dates)
    ends = [c for c in ends if c not in dues]
    for start, end in product(starts[:1], ends[:1]):
        done = " ".join(stem(end.words))
        yield Suggestion(
            Derived(
                table=table,
                name="days_until_" + "_".join(stem(end.words)),
                kind="value",
                expression=f"({quote_name(end.name)} - {quote_name(start.name)})",
                semantic="count",
                terms=(f"days until {done}", "days it took"),
            ),
            f"{start.name} and {end.name} look like a beginning and an end",
        )
    for due, end in product(dues[:1], [c for c in ends if c.column.nullable][:1]):
        yield Suggestion(
            Derived(
                table=table,
                name="overdue",
                kind="predicate",
                expression=f"{quote_name(due.name)} < today and {quote_name(end.name)} is null",
                terms=("overdue", "past due"),
            ),
            f"{due.name} has passed while {end.name} is empty",
        )


def _totals(
    schema: SchemaSnapshot, guesses: Guesses, terms: Mapping[str, TableTerms], hints: DraftingHints
) -> Iterator[Suggestion]:
    """The sum of a child table's money for each row of its parent."""
    for child in schema.tables:
        if child.name not in terms:
            continue
        money = next((c for c in guesses[child.name] if c.name == terms[child.name].measure), None)
        if money is None or money.semantic != "currency" or is_rate(money, hints):
            continue
        parents = dict.fromkeys(k.referenced_table for k in child.foreign_keys)
        for parent in (p for p in parents if p in terms and p != child.name):
            spoken = " ".join(money.words)
            yield Suggestion(
                Derived(
                    table=parent,
                    name=f"total_{'_'.join(row_noun(child.name, hints).split())}_{'_'.join(money.words)}",
                    kind="value",
                    expression=f"sum({quote_name(child.name)}.{quote_name(money.name)})",
                    semantic="currency",
                    terms=(f"total {row_noun(child.name, hints)} {spoken}",),
                ),
                f"every row of {child.name} belongs to one of {parent}",
            )
