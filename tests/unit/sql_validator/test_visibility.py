"""What a policy leaves of a schema, against the validator's own judgement."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.sql_validator.policy import POLICIES_FOLDER, Policies, Policy
from deployments.sql_validator.validator import Validator
from deployments.sql_validator.visibility import visible_schema
from serve_app.contracts import Column, ForeignKey, SchemaSnapshot, Table, ValidSql

BASE = Policies.load(POLICIES_FOLDER).policy("base")
NAMES = ("alpha", "beta", "gamma", "delta")


def make_schema(tables: dict[str, tuple[str, ...]]) -> SchemaSnapshot:
    first = next(iter(tables), "alpha")
    made = tuple(
        Table(
            name=name,
            columns=tuple(Column(name=c, type="text", nullable=True) for c in columns),
            primary_key=columns[:1],
            foreign_keys=(
                ForeignKey(
                    columns=columns[-1:], referenced_table=first, referenced_columns=tables[first][:1]
                ),
            ),
        )
        for name, columns in tables.items()
    )
    return SchemaSnapshot(tables=made, fingerprint="f", taken_at=datetime(2026, 1, 1, tzinfo=UTC))


COLUMNS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map(tuple)
TABLES = st.dictionaries(st.sampled_from(NAMES), COLUMNS, max_size=4)
DENIED = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True).map(tuple))


@settings(max_examples=150, deadline=None)
@given(TABLES, DENIED)
def test_what_is_visible_is_what_may_be_asked(
    tables: dict[str, tuple[str, ...]], denied: dict[str, tuple[str, ...]]
) -> None:
    """A column is shown if and only if the validator accepts a statement that reads it."""
    policies = Policies({"base": BASE, "p": Policy(extends="base", tables="*", deny=denied)})
    schema = make_schema(tables)
    seen = visible_schema(schema, policies.rights("p", schema))
    shown = {(t.name, c.name) for t in seen.tables for c in t.columns}
    validator = Validator(policies)
    for table in schema.tables:
        for column in table.columns:
            verdict = validator.validate(f'SELECT "{column.name}" FROM "{table.name}"', "p", schema)
            assert ((table.name, column.name) in shown) == isinstance(verdict, ValidSql)
    for table in seen.tables:
        keys = [*((table.name, c) for c in table.primary_key)]
        for key in table.foreign_keys:
            keys += [(table.name, c) for c in key.columns]
            keys += [(key.referenced_table, c) for c in key.referenced_columns]
        assert set(keys) <= shown
    assert (seen.fingerprint == schema.fingerprint) == (seen.tables == schema.tables)


def test_equal_views_share_a_fingerprint_and_different_ones_do_not() -> None:
    schema = make_schema({"alpha": ("a", "b"), "beta": ("a", "c")})
    policies = Policies(
        {
            "base": BASE,
            "all": Policy(extends="base", tables="*"),
            "less": Policy(extends="base", tables="*", deny={"beta": ("c",)}),
            "same": Policy(extends="base", tables={"alpha": "*", "beta": ("a",)}),
            "none": Policy(extends="base"),
        }
    )
    found = {name: visible_schema(schema, policies.rights(name, schema)) for name in policies.names}
    assert found["all"] is schema
    assert found["less"].fingerprint == found["same"].fingerprint != schema.fingerprint
    assert found["none"].tables == ()
    assert len({view.fingerprint for view in found.values()}) == 3


def test_comments_that_name_what_is_hidden_go_with_it() -> None:
    schema = make_schema({"alpha": ("a", "secret_rate"), "beta": ("c",)})
    told = {"alpha": "costs a * SECRET_RATE", "beta": "not a secret_rate_card"}
    tables = tuple(t.model_copy(update={"comment": told[t.name]}) for t in schema.tables)
    schema = schema.model_copy(update={"tables": tables})
    denying = Policy(extends="base", tables="*", deny={"alpha": ("secret_rate",)})
    policies = Policies({"base": BASE, "p": denying})
    seen = visible_schema(schema, policies.rights("p", schema))
    assert [t.comment for t in seen.tables] == [None, "not a secret_rate_card"]
