"""Decides whether a statement may run, and rewrites it to the text that does.

PostgreSQL's own grammar reads the statement, the policy's lists and a resolver of every name judge the
tree, sqlglot must read the same names, and what is given back is regenerated from the checked tree: never
the bytes that came in.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.grammar import (
    GrammarError,
    Node,
    Source,
    parse,
    regenerate,
    same_tree,
    serialized,
)
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies, Rights, UnknownPolicy
from deployments.sql_validator.row_cap import apply_row_cap
from deployments.sql_validator.rules import (
    AGREEMENT_RULES,
    NAME_RULES,
    TEXT_RULES,
    TOKEN_RULES,
    TREE_RULES,
    WORK_RULES,
)
from deployments.sql_validator.rules.base import (
    TOO_COMPLEX,
    UNREADABLE,
    UNSAFE,
    ParsedStatement,
    TokenText,
    TreeRule,
    violation,
)
from deployments.sql_validator.rules.second_reader import same_names
from deployments.sql_validator.rules.tokens import token_text
from deployments.sql_validator.tree import index, names_in, single_select
from serve_app.contracts import Caller, RejectedSql, SchemaSnapshot, StageHealth, ValidSql, Violation
from serve_app.schema_cache import SchemaCache

_log = logging.getLogger("plumbline.sql_validator")

# How long a known schema is used before its source, which failed, is asked again.
RETRY_S = 5.0
# Sent back to the model; more would only dilute the prompt.
_MOST_VIOLATIONS = 8


class Rejection(Exception):
    """Ends the checks of one statement with its violations."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        super().__init__()
        self.violations = tuple(violations)


class Validator:
    """Checks statements against the policies of a folder. It keeps no state, so threads may share it."""

    def __init__(self, policies: Policies, config: ValidatorConfig | None = None) -> None:
        self.policies = policies
        self.config = config or ValidatorConfig()

    def validate(
        self, sql: str, policy_name: str, schema: SchemaSnapshot | None = None
    ) -> ValidSql | RejectedSql:
        """The verdict on one statement. Never raises: whatever goes wrong is a refusal.

        Without a schema the policy's own column lists are taken for the schema.
        """
        try:
            return self._validate(sql, self.policies.rights(policy_name, schema))
        except Rejection as rejection:
            return RejectedSql(violations=rejection.violations[:_MOST_VIOLATIONS])
        except GrammarError as fault:
            return _rejected(violation("syntax", fault.reason, UNREADABLE, fault.position))
        except UnknownPolicy as fault:
            return _rejected(
                violation("policy", str(fault), "Your access rights are not set up. Ask your administrator.")
            )
        except (RecursionError, MemoryError):
            return _rejected(violation("nesting", "the statement is too complex to check", TOO_COMPLEX))
        except Exception:
            _log.exception("a check failed; the statement is refused")
            return _rejected(violation("internal", "the statement could not be checked", UNSAFE))

    def _validate(self, sql: str, rights: Rights) -> ValidSql:
        for text_rule in TEXT_RULES:
            _stop_on(text_rule(sql, self.config))
        source = Source(sql)
        text = token_text(source, self.config)
        for token_rule in TOKEN_RULES:
            _stop_on(token_rule(text))
        tree, _ = parse(source)
        statement = self._read(source, tree, rights)
        for rules in (TREE_RULES, NAME_RULES, WORK_RULES):
            _stop_on(_apply(rules, statement))
        tables = _tables(statement)
        cap = min(rights.row_cap or self.config.row_cap, self.config.row_cap)
        applied = apply_row_cap(tree, cap)
        return ValidSql(
            sql=self._written(tree, text, statement),
            tables=tables,
            row_cap=cap,
            cap_applied=applied,
            # Of what runs: where the cap had to go around an ORDER BY, the order is no part of it any more.
            ordered=bool(tree.stmts[0].stmt.select_stmt.sort_clause),
        )

    def _read(self, source: Source, tree: Node, rights: Rights) -> ParsedStatement:
        select = single_select(tree)
        if isinstance(select, Violation):
            raise Rejection([select])
        kinds, violations = index(select)
        _stop_on(violations)
        return ParsedStatement(source, select, kinds, names_in(kinds), rights, self.config)

    def _written(self, tree: Node, given: TokenText, statement: ParsedStatement) -> str:
        """The text of a checked tree, proven to read as that tree again, and to both readers alike.

        The second reader is asked about the text that came in too, unless the words of the two are the same.

        Raises:
            GrammarError: it reads as another tree.
            Rejection: the second reader does not read the same names, or could not be given the text.
        """
        data = tree.SerializeToString()
        source = Source(regenerate(data))
        text = token_text(source, self.config)
        is_other = not _has_words_of(text, given)
        if is_other:
            _stop_on(_apply(AGREEMENT_RULES, statement))
            _stop_on([_of_the_written(found) for rule in TOKEN_RULES for found in rule(text)])
        if not same_tree(data, serialized(source)):
            raise GrammarError("the statement cannot be written down again exactly; write it more plainly")
        different = same_names(source.sql, statement.names)
        _stop_on([_of_the_written(found) for found in different] if is_other else different)
        return source.sql


def _has_words_of(written: TokenText, given: TokenText) -> bool:
    """Whether a text has the words of another, which has no comments, and at most a row cap after them.

    Then whatever holds for the words of the one holds for those of the other.
    """
    words = [token.word for token in given.tokens]
    if words[-1] == ";":
        words.pop()
    rest = [token.word for token in written.code[len(words) :]]
    return (not rest or (rest[0] == "limit" and len(rest) == 2)) and [
        token.word for token in written.code[: len(words)]
    ] == words


def _apply(rules: tuple[TreeRule, ...], statement: ParsedStatement) -> list[Violation]:
    return [found for rule in rules for found in rule(statement)]


def _stop_on(violations: list[Violation]) -> None:
    if violations:
        raise Rejection(violations)


def _rejected(found: Violation) -> RejectedSql:
    return RejectedSql(violations=(found,))


def _of_the_written(found: Violation) -> Violation:
    """A violation of the text that would run; its place is none in the text that came in."""
    reason = f"written down again for the database, {found.reason}"
    return found.model_copy(update={"reason": reason, "position": None})


def _tables(statement: ParsedStatement) -> tuple[str, ...]:
    """Allowed tables that the statement names; a CTE of the same name counts, to be on the safe side."""
    return tuple(
        sorted({t.relname for t in statement.of("RangeVar") if t.relname in statement.rights.tables})
    )


class SqlValidatorCore:
    """The SqlValidator stage: a `Validator` over the live schema, which is asked for again after its time.

    Satisfies `serve_app.stages.SqlValidator`.
    """

    def __init__(
        self,
        schema_source: Callable[[], Awaitable[SchemaSnapshot]],
        config: ValidatorConfig | None = None,
        policies: Policies | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigurationError if a policy file is wrong."""
        self._validator = Validator(policies or Policies.load(POLICIES_FOLDER), config)
        self._schema = SchemaCache(schema_source, self._validator.config.schema_ttl_s, clock)
        self._clock = clock
        self._asked_again_at = float("-inf")
        self._verdicts: Counter[str] = Counter()

    async def validate(self, sql: str, caller: Caller) -> ValidSql | RejectedSql:
        """The verdict under the caller's policy.

        Raises:
            PlumblineError: the schema is not known yet and its source cannot give it.
        """
        schema = await self._current_schema()
        verdict = self._validator.validate(sql, caller.policy, schema)
        self._verdicts["accepted" if isinstance(verdict, ValidSql) else verdict.first.rule] += 1
        return verdict

    async def validate_all(
        self, statements: tuple[str, ...], caller: Caller
    ) -> tuple[ValidSql | RejectedSql, ...]:
        """The verdicts on several statements, in one call; errors as in `validate`."""
        return tuple([await self.validate(sql, caller) for sql in statements])

    async def forget_schema(self) -> None:
        """Ask for the schema again at the next statement: it has changed."""
        self._schema.expire()
        self._asked_again_at = float("-inf")

    async def health(self) -> StageHealth:
        figures: dict[str, float | int | str | bool | None] = {
            "policies": ", ".join(self._validator.policies.names),
            "schema": self._schema.last.fingerprint if self._schema.last else None,
            **{f"verdicts_{name}": count for name, count in sorted(self._verdicts.items())},
        }
        return StageHealth(
            stage="sql_validator", ok=True, detail="Ready to check statements.", figures=figures
        )

    async def _current_schema(self) -> SchemaSnapshot:
        known = self._schema.last
        if known is not None and self._clock() < self._asked_again_at:
            return known
        try:
            return await self._schema.get()
        except Exception:
            # A known schema stays good while its source restarts: policies do not depend on it, and the
            # database refuses what has gone.
            if known is None:
                raise
            _log.warning("the schema could not be read again; the known one is kept", exc_info=True)
            self._asked_again_at = self._clock() + RETRY_S
            return known
