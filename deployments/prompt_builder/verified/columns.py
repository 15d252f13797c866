"""Which stored column each column reference of a statement is, through aliases, CTEs and subqueries."""

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.scope import Scope, traverse_scope

from serve_app.contracts import SchemaSnapshot

StoredColumn = tuple[str, str]


class StoredColumns:
    """The stored columns of one statement's column references, by node."""

    def __init__(self, tree: exp.Expr, schema: SchemaSnapshot) -> None:
        self._columns = {table.name: {column.name for column in table.columns} for table in schema.tables}
        self._found: dict[int, StoredColumn | None] = {}
        try:
            scopes = traverse_scope(tree)
        except OptimizeError:
            scopes = []
        # Inner scopes come first, and a name means what the innermost one makes of it.
        for scope in scopes:
            for column in scope.columns:
                if id(column) not in self._found:
                    self._found[id(column)] = self._resolve(column, scope)

    def of(self, node: exp.Expr | None) -> StoredColumn | None:
        """The (table, column) behind a node; None if it is no column, a computed one, or not clearly one."""
        return self._found.get(id(node)) if isinstance(node, exp.Column) else None

    def _resolve(self, column: exp.Column, scope: Scope | None) -> StoredColumn | None:
        while scope is not None:
            sources = {name: source for name, (_, source) in scope.selected_sources.items()}
            if column.table:
                fitting = [sources[column.table]] if column.table in sources else []
            else:
                fitting = [source for source in sources.values() if self._has(source, column.name)]
            if fitting:
                return self._through(fitting[0], column.name) if len(fitting) == 1 else None
            scope = scope.parent
        return None

    def _has(self, source: exp.Expr | Scope, name: str) -> bool:
        if isinstance(source, Scope):
            query = source.expression
            return isinstance(query, exp.Query) and name in query.named_selects
        return name in self._columns.get(source.name, ())

    def _through(self, source: exp.Expr | Scope, name: str) -> StoredColumn | None:
        """The stored column that a source shows under a name."""
        if not isinstance(source, Scope):
            return (source.name, name) if self._has(source, name) else None
        if not isinstance(source.expression, exp.Select):
            return None
        shown = next((item for item in source.expression.selects if item.alias_or_name == name), None)
        inner = shown.unalias() if shown is not None else None
        return self._resolve(inner, source) if isinstance(inner, exp.Column) else None
