"""The validator's rules by phase, in the order in which they run. A later phase runs only if the earlier
ones passed.

Each rule is a pure function from what its phase knows to violations; a new one is added to its module's
tuple.
"""

from deployments.sql_validator.rules.allowed import ALLOWED_RULES
from deployments.sql_validator.rules.base import TextRule, TokenRule, TreeRule
from deployments.sql_validator.rules.names import NAME_RULES
from deployments.sql_validator.rules.overloads import OVERLOAD_RULES
from deployments.sql_validator.rules.second_reader import AGREEMENT_RULES
from deployments.sql_validator.rules.size import SIZE_RULES
from deployments.sql_validator.rules.text import TEXT_RULES
from deployments.sql_validator.rules.tokens import TOKEN_RULES
from deployments.sql_validator.rules.work import WORK_RULES

TREE_RULES: tuple[TreeRule, ...] = ALLOWED_RULES + OVERLOAD_RULES + SIZE_RULES
RULES: tuple[tuple[TextRule, ...] | tuple[TokenRule, ...] | tuple[TreeRule, ...], ...] = (
    TEXT_RULES,
    TOKEN_RULES,
    TREE_RULES,
    NAME_RULES,
    WORK_RULES,
    AGREEMENT_RULES,
)

__all__ = ["AGREEMENT_RULES", "NAME_RULES", "RULES", "TEXT_RULES", "TOKEN_RULES", "TREE_RULES", "WORK_RULES"]
