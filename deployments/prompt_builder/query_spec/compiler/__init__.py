"""Query specification to PostgreSQL."""

from collections.abc import Sequence

from deployments.prompt_builder.query_spec.compiler.statement import Statement
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import CompileError, SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from serve_app.contracts import Link


def compile_spec(spec: QuerySpec, links: Sequence[Link], context: SpecContext) -> str:
    """One SELECT that means what the specification says.

    Raises:
        CompileError: a placeholder without a fitting link, or a combination without an SQL meaning.
    """
    try:
        trial = Statement(context, links, qualified=True)
        text = trial.select(spec).text()
        if trial.aliases.total <= 1:
            text = Statement(context, links, qualified=False).select(spec).text()
        return text
    except SpecError as error:
        raise CompileError(str(error)) from error
    except RecursionError as error:
        raise CompileError("a window that is ordered by itself") from error


__all__ = ["compile_spec"]
