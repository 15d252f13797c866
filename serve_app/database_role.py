"""What a policy means for the database's login role: the tables and columns it should be able to read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from deployments.executor.role.checks import Wanted
from deployments.sql_validator.policy import Policies
from serve_app.contracts import Column, SchemaSnapshot, Table


def readable_columns(
    policies: Policies, policy_name: str, live: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    """By table, the columns that the policy allows.

    Args:
        live: the tables of the database with their columns; None takes the policy's own lists.

    Raises:
        UnknownPolicy.
    """
    rights = policies.rights(policy_name, None if live is None else _snapshot(live))
    return {name: table.allowed for name, table in rights.tables.items() if table.allowed}


def missing_tables(policies: Policies, policy_name: str, live: Mapping[str, Sequence[str]]) -> list[str]:
    """Tables that the policy lists and the database does not have."""
    tables = policies.policy(policy_name).tables
    return sorted(set(tables) - set(live)) if isinstance(tables, dict) else []


def wanted(policies: Policies, policy_name: str, live: Mapping[str, Sequence[str]], schema: str) -> Wanted:
    """What the login role should be able to read under a policy.

    Raises:
        UnknownPolicy.
    """
    columns: dict[str, frozenset[str]] = dict.fromkeys(
        missing_tables(policies, policy_name, live), frozenset()
    )
    allowed = readable_columns(policies, policy_name, live)
    columns |= {table: frozenset(names) for table, names in allowed.items()}
    policy = policies.policy(policy_name)
    return Wanted(
        policy_name,
        schema,
        columns,
        all_granted=policy.tables == "*",
        functions=frozenset(policy.functions) | policy.set_returning_functions.keys(),
        operators=frozenset(policy.operators),
    )


def _snapshot(live: Mapping[str, Sequence[str]]) -> SchemaSnapshot:
    tables = tuple(
        Table(name=name, columns=tuple(Column(name=column, type="", nullable=True) for column in columns))
        for name, columns in live.items()
    )
    return SchemaSnapshot(
        tables=tables, fingerprint=str(hash(tuple(live.items()))), taken_at=datetime.now(UTC)
    )
