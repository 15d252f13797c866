"""Plans: a sampled meaning with the structure that its sentence needs.

The sampler writes the query specification and, beside it, the same meaning in the units people speak in:
conditions, measures, dimensions, order. The realizer reads only the plan.
"""

from dataclasses import dataclass, field
from typing import Literal

from deployments.prompt_builder.query_spec.nodes import Condition, Expr, Placeholder, QuerySpec
from deployments.prompt_builder.synthesis.phrases import FormulaPhrases

CondKind = Literal[
    "word", "words", "not_word", "name", "names", "not_name", "more", "less", "at_least", "at_most", "equal",
    "between", "date", "before", "after", "null", "not_null", "predicate", "not_predicate", "contains",
    "starts",
    "columns", "exists", "none", "child_more", "child_less", "above_average", "below_average",
    "weekday", "either",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cond:
    """One condition. ``owner`` is the table the column belongs to: the base table or one of its ancestors."""

    kind: CondKind
    owner: str
    column: str
    node: Condition
    marks: tuple[Placeholder, ...] = ()
    words: tuple[str, ...] = ()
    other: str = ""
    child: "tuple[Cond, ...]" = ()
    factor: Placeholder | None = None
    measure: "Measure | None" = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """A stored or derived column, own or of an ancestor."""

    owner: str
    column: str
    expression: Expr


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate: ``name`` over ``attribute`` of ``table`` (count has none). ``conditions`` are its own
    (FILTER).
    """

    name: str
    table: str
    expression: Expr
    column: str = ""
    owner: str = ""
    conditions: tuple[Cond, ...] = ()
    formula: FormulaPhrases | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """What a question groups by: a column, or a date bucket of one."""

    owner: str
    column: str
    expression: Expr
    part: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """``said``: the sentence must say it (else it is implied by the question's shape)."""

    key: Attribute | Measure | Dimension
    descending: bool


@dataclass(slots=True)
class Plan:
    """One sampled question's meaning."""

    shape: str
    table: str
    spec: QuerySpec
    conditions: tuple[Cond, ...] = ()
    measures: tuple[Measure, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    columns: tuple[Attribute, ...] = ()
    order: Order | None = None
    limit: Placeholder | None = None
    one: bool = False
    having: Cond | None = None
    pair: tuple[Cond, ...] = ()
    extra: dict[str, Placeholder] = field(default_factory=dict)
    note: str = ""
