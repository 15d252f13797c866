"""Every name means an allowed column of a table in sight."""

from deployments.sql_validator.resolver import Resolver, TooManyColumns
from deployments.sql_validator.rules.base import TOO_COMPLEX, ParsedStatement, TreeRule, violation
from serve_app.contracts import Violation


def known_names(statement: ParsedStatement) -> list[Violation]:
    resolver = Resolver(statement)
    try:
        resolver.run(statement.select)
    except TooManyColumns:
        return [violation("size", "the select list has more than 1,664 columns", TOO_COMPLEX)]
    return resolver.violations


NAME_RULES: tuple[TreeRule, ...] = (known_names,)
