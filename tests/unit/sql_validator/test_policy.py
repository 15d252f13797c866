"""Policies: files, inheritance, and what they come to on a live schema."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.sql_validator.policy import SYSTEM_COLUMNS, Policies, Policy, UnknownPolicy
from deployments.sql_validator.validator import POLICIES_FOLDER
from serve_app.contracts import Column, SchemaSnapshot, Table
from serve_app.errors import ConfigurationError


def make_schema(tables: dict[str, tuple[str, ...]], enums: tuple[str, ...] = ()) -> SchemaSnapshot:
    columns = {
        name: tuple(Column(name=c, type="text", nullable=True) for c in names)
        for name, names in tables.items()
    }
    if enums:
        first = next(iter(columns))
        columns[first] += tuple(
            Column(name=f"e{i}", type=enum, nullable=True, enum_values=("a",)) for i, enum in enumerate(enums)
        )
    return SchemaSnapshot(
        tables=tuple(Table(name=name, columns=c) for name, c in columns.items()),
        fingerprint=repr(sorted(tables)),
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_the_shipped_policies() -> None:
    policies = Policies.load(POLICIES_FOLDER)
    assert policies.names == ("base", "database", "default", "restricted")
    assert len(policies.rights("default", None).tables) == 8
    assert policies.rights("base", None).tables == {}
    assert policies.rights("database", None).tables == {}
    labor = policies.rights("restricted", None).tables["labor"]
    assert labor.allowed == ("id", "project_id", "trade", "work_date", "hours")
    assert labor.denied == {"worker_name", "hourly_rate"} | SYSTEM_COLUMNS


@pytest.mark.parametrize(
    "name", ["", "nosuch", "../default", "default.yaml", "DEFAULT", "a" * 65, "x\n", "default\n"]
)
def test_only_names_of_files_are_policies(name: str) -> None:
    with pytest.raises(UnknownPolicy):
        Policies.load(POLICIES_FOLDER).rights(name, None)


def test_a_policy_adds_to_its_parent_and_takes_away() -> None:
    policies = Policies(
        {
            "a": Policy(
                tables={"t": ("x", "y", "z"), "u": "*"}, functions=("f",), deny={"t": ("x",)}, row_cap=5
            ),
            "b": Policy(extends="a", functions=("g",), deny={"t": ("y",), "u": ()}),
        }
    )
    rights = policies.rights("b", make_schema({"t": ("x", "y", "z", "new"), "u": ("x",), "other": ("x",)}))
    assert rights.functions == {"f", "g"}
    assert rights.row_cap == 5
    assert {name: t.allowed for name, t in rights.tables.items()} == {"t": ("z",)}


def test_a_star_takes_every_table_of_the_schema_but_those_named_like_catalogs() -> None:
    policies = Policies({"p": Policy(tables="*", deny={"t": ("secret",)})})
    rights = policies.rights("p", make_schema({"t": ("id", "secret"), "pg_class": ("x",)}))
    assert {name: t.allowed for name, t in rights.tables.items()} == {"t": ("id",)}


def test_a_listed_column_that_the_schema_lost_is_not_allowed() -> None:
    policies = Policies({"p": Policy(tables={"t": ("id", "gone"), "lost": ("id",)})})
    rights = policies.rights("p", make_schema({"t": ("id", "fresh")}))
    assert {name: t.allowed for name, t in rights.tables.items()} == {"t": ("id",)}


def test_enum_types_of_the_schema_may_be_cast_to() -> None:
    policies = Policies({"p": Policy(tables="*")})
    schema = make_schema({"t": ("id",)}, enums=("color", 'public."Odd Name"', "shape[]"))
    assert policies.rights("p", schema).enum_types == {"color", "Odd Name", "shape"}


def test_rights_follow_the_schema_not_the_first_one_seen() -> None:
    policies = Policies({"p": Policy(tables="*")})
    for round_ in range(200):
        name = f"t{round_}"
        assert set(policies.rights("p", make_schema({name: ("id",)})).tables) == {name}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no policy file"),
        ({"a.yaml": "tabels: {}"}, "tabels"),
        ({"a.yaml": "tables: [1"}, "a.yaml"),
        ({"a.json": "{"}, "a.json"),
        ({"A b.yaml": "{}"}, "A b"),
        ({"a.yaml": "{}", "a.json": "{}"}, "two files"),
        ({"a.yaml": "extends: b"}, "'b'"),
        ({"a.yaml": "extends: b", "b.yaml": "extends: a"}, "a -> b -> a"),
        ({"a.yaml": "row_cap: 0"}, "row_cap"),
    ],
)
def test_wrong_policy_files_are_named(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        Policies.load(tmp_path)
    assert words in caught.value.message


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("y: 1", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        Policies.load(tmp_path)
    assert "a.yaml" in caught.value.message
    assert "b.yaml" in caught.value.message
