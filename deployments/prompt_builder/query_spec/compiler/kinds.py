"""Which kind of query a specification needs."""

from typing import TYPE_CHECKING

from deployments.prompt_builder.query_spec.compiler.groups import GroupQuery
from deployments.prompt_builder.query_spec.compiler.rows import RowQuery
from deployments.prompt_builder.query_spec.compiler.sql import Select, nested
from deployments.prompt_builder.query_spec.compiler.two_levels import TwoLevelQuery, is_two_level
from deployments.prompt_builder.query_spec.nodes import Aggregate, QuerySpec, Subquery
from deployments.prompt_builder.query_spec.shape import is_grouped, reads_rows

if TYPE_CHECKING:
    from deployments.prompt_builder.query_spec.compiler.statement import Statement


def compile_query(statement: "Statement", spec: QuerySpec, one_value: bool = False) -> Select:
    """The SELECT of one specification; ``one_value`` if it may have no column but the item of ``show``."""
    context = statement.context
    if counted := counted_spec(spec):
        select = Select(source=f"{nested(statement.counted(counted).text())} AS counted")
        select.columns = ["COUNT(*) AS count"]
        return select
    if is_two_level(spec, context):
        return TwoLevelQuery(statement, spec).select()
    if is_grouped(spec, context):
        return GroupQuery(statement, spec, one_value=one_value).select()
    query = RowQuery(statement, spec, one_value)
    select = query.select()
    if not spec.where and not any(reads_rows(item, spec.table, context) for item in query.items):
        select.source, select.order = None, []
    return select


def counted_spec(spec: QuerySpec) -> QuerySpec | None:
    """The inner specification, if all that is asked is how many rows it has."""
    match spec:
        case QuerySpec(show=(Aggregate(argument=Subquery(spec=inner)),), where=(), sort=(), limit=None):
            return inner
    return None
