"""Validator policies: what a role may name in SQL, as files under ``configs/policies/``.

A policy is data. It may extend another one: lists are joined, ``tables`` and ``row_cap`` replace the
parent's, and ``deny`` takes away from whatever the tables grant. `Rights` is a policy applied to a live
schema.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.contracts import SchemaSnapshot
from serve_app.errors import ConfigurationError
from serve_app.paths import PROJECT_ROOT

POLICIES_FOLDER = PROJECT_ROOT / "configs" / "policies"
POLICY_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")

# Columns that every table has beside its own; PostgreSQL resolves their names before looking outwards.
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

# Rights of this many (policy, schema) pairs are kept; a schema changes rarely and policies are few.
_RIGHTS_KEPT = 64


class UnknownPolicy(LookupError):
    """No policy file has that name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no policy is named {name!r}; there are: {', '.join(known) or 'none'}")


class CallSizes(BaseModel):
    """How long the values are that functions and operators make, and which of them work more than once
    through an argument. What is in no list makes a value as long as its arguments together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fixed: frozenset[str] = Field(
        default=frozenset(), description="Make short values of any arguments, such as dates and truth values"
    )
    numbers: frozenset[str] = Field(
        default=frozenset(), description="Make numbers with about as many digits as their arguments"
    )
    greatest: frozenset[str] = Field(
        default=frozenset(), description="Make values about as long as the longest argument at most"
    )
    products: frozenset[str] = Field(
        default=frozenset(), description="Make values as long as the product of their two longest arguments"
    )
    rows: frozenset[str] = Field(
        default=frozenset(), description="Put a value together from all rows, so that it has any length"
    )
    builders: frozenset[str] = Field(
        default=frozenset(), description="Take their arguments apart and build them anew, slowly"
    )
    characters_by_characters: frozenset[str] = Field(
        default=frozenset(), description="Compare each character of an argument with each of another"
    )
    elements_by_elements: frozenset[str] = Field(
        default=frozenset(), description="Compare each element of an argument with each of another"
    )
    digits_by_digits: frozenset[str] = Field(
        default=frozenset(), description="Calculate with each digit of an argument and each of another"
    )

    @cached_property
    def tame(self) -> frozenset[str]:
        """Names that make nothing longer than what is there already."""
        return self.fixed | self.greatest | (self.numbers - self.digits_by_digits)

    def over(self, parent: "CallSizes") -> "CallSizes":
        """These lists, each joined with the parent's."""
        return CallSizes(
            **{name: getattr(parent, name) | getattr(self, name) for name in CallSizes.model_fields}
        )


class Policy(BaseModel):
    """One policy file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(default="", description="What the policy is for, in a sentence")
    extends: str | None = Field(default=None, description="Name of the policy that this one starts from")
    schema_name: str | None = Field(
        default=None, description="Schema of the tables; public unless told otherwise"
    )
    tables: Literal["*"] | dict[str, tuple[str, ...] | Literal["*"]] | None = Field(
        default=None,
        description='Allowed columns by table; "*" for a list or for everything is all that the role sees',
    )
    deny: dict[str, tuple[str, ...]] = Field(
        default={}, description="Columns taken away by table; an empty list takes away the table"
    )
    functions: tuple[str, ...] = Field(
        default=(), description="Functions and aggregates of pg_catalog, by name"
    )
    function_hints: dict[str, str] = Field(
        default={}, description="What to write instead of a function that does not exist here"
    )
    set_returning_functions: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Functions for FROM; the names of their OUT columns, empty if the alias names it",
    )
    types: tuple[str, ...] = Field(
        default=(),
        description="Types of casts by their catalog name (int4, not integer); enum types come by themselves",
    )
    operators: tuple[str, ...] = ()
    collations: tuple[str, ...] = ()
    sizes: CallSizes = Field(
        default=CallSizes(), description="What functions and operators make of long values"
    )
    row_cap: int | None = Field(default=None, ge=1, description="Lower LIMIT than the validator's own")

    def over(self, parent: "Policy") -> "Policy":
        """This policy with all that it inherits from ``parent``."""
        deny = dict(parent.deny)
        for table, columns in self.deny.items():
            both = not columns or deny.get(table) == ()
            deny[table] = () if both else tuple(dict.fromkeys(deny.get(table, ()) + columns))
        return Policy(
            description=self.description or parent.description,
            schema_name=self.schema_name or parent.schema_name,
            tables=parent.tables if self.tables is None else self.tables,
            deny=deny,
            functions=parent.functions + self.functions,
            function_hints={**parent.function_hints, **self.function_hints},
            set_returning_functions={**parent.set_returning_functions, **self.set_returning_functions},
            types=parent.types + self.types,
            operators=parent.operators + self.operators,
            collations=parent.collations + self.collations,
            sizes=self.sizes.over(parent.sizes),
            row_cap=parent.row_cap if self.row_cap is None else self.row_cap,
        )


@dataclass(frozen=True, slots=True)
class TableRights:
    """A table as SQL may name it: every column it is known to have, and those that are denied."""

    name: str
    columns: tuple[str, ...]
    denied: frozenset[str]

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(c for c in self.columns if c not in self.denied)


@dataclass(frozen=True, slots=True)
class Rights:
    """A policy applied to a schema: everything that a statement may name.

    ``overloaded``: names of functions and operators that mean others of the database's own as well.
    """

    policy: str
    schema_name: str
    tables: Mapping[str, TableRights]
    functions: frozenset[str]
    function_hints: Mapping[str, str]
    set_returning_functions: Mapping[str, tuple[str, ...]]
    types: frozenset[str]
    enum_types: frozenset[str]
    operators: frozenset[str]
    collations: frozenset[str]
    sizes: CallSizes
    overloaded: frozenset[str]
    row_cap: int | None


class Policies:
    """All policies of a folder, resolved and checked when loaded."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        """Raises ConfigurationError naming every policy that is wrong."""
        faults: list[str] = []
        self._policies: dict[str, Policy] = {}
        for name in policies:
            try:
                self._policies[name] = _inherit(name, policies)
            except ValueError as fault:
                faults.append(f"policy {name!r}: {fault}")
        if faults:
            raise ConfigurationError("\n".join(faults))
        self._rights: dict[tuple[str, str | None], Rights] = {}

    @classmethod
    def load(cls, folder: Path) -> "Policies":
        """Read every .yaml and .json file of a folder; the file's name is the policy's.

        Raises:
            ConfigurationError: no policy there, or faults in some; all are named at once.
        """
        found: dict[str, Policy] = {}
        faults: list[str] = []
        for path in sorted(folder.glob("*")):
            if path.suffix not in (".yaml", ".json"):
                continue
            try:
                found[_checked_name(path.stem, found)] = _read(path)
            except (ValueError, OSError, yaml.YAMLError) as fault:
                faults.append(f"{path.name}: {fault}")
        if faults:
            raise ConfigurationError("\n".join(faults))
        if not found:
            raise ConfigurationError(f"no policy file (.yaml or .json) in {str(folder)!r}")
        return cls(found)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._policies))

    def policy(self, name: str) -> Policy:
        """Raises UnknownPolicy."""
        if not POLICY_NAME.match(name) or name not in self._policies:
            raise UnknownPolicy(name, self.names)
        return self._policies[name]

    def rights(self, name: str, schema: SchemaSnapshot | None) -> Rights:
        """What the policy allows of a schema; without a schema its own column lists are taken for the schema.

        Raises:
            UnknownPolicy: no such policy.
        """
        policy = self.policy(name)
        key = (name, schema.fingerprint if schema else None)
        rights = self._rights.get(key)
        if rights is None:
            if len(self._rights) >= _RIGHTS_KEPT:
                self._rights = {}
            rights = self._rights[key] = _apply(name, policy, schema)
        return rights


def _checked_name(stem: str, found: Mapping[str, Policy]) -> str:
    if not POLICY_NAME.match(stem):
        raise ValueError(f"policy names match [a-z0-9_-]+, got {stem!r}")
    if stem in found:
        raise ValueError(f"there are two files for the policy {stem!r}; remove one")
    return stem


def _read(path: Path) -> Policy:
    text = path.read_text(encoding="utf-8")
    data: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    try:
        return Policy.model_validate(data)
    except ValidationError as fault:
        lines = (f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in fault.errors())
        raise ValueError("; ".join(lines)) from fault


def _inherit(name: str, policies: Mapping[str, Policy]) -> Policy:
    chain = [name]
    while (parent := policies[chain[-1]].extends) is not None:
        if parent not in policies:
            raise ValueError(
                f"extends {parent!r}, which does not exist; there are: {', '.join(sorted(policies))}"
            )
        if parent in chain:
            raise ValueError(f"extends itself: {' -> '.join([*chain, parent])}")
        chain.append(parent)
    policy = policies[chain.pop()]
    while chain:
        policy = policies[chain.pop()].over(policy)
    return policy


def _apply(name: str, policy: Policy, schema: SchemaSnapshot | None) -> Rights:
    granted = policy.tables or {}
    listed = {t: c for t, c in granted.items() if c != "*"} if isinstance(granted, dict) else {}
    live = {t.name: tuple(c.name for c in t.columns) for t in schema.tables} if schema else listed
    if granted == "*":
        granted = dict.fromkeys(live, "*")
    tables: dict[str, TableRights] = {}
    for table, columns in granted.items():
        # pg_catalog is searched first, so an unqualified pg_ name would never mean the granted table.
        if table not in live or policy.deny.get(table) == () or table.startswith("pg_"):
            continue
        denied = set(policy.deny.get(table, ()))
        if columns != "*":
            denied.update(set(live[table]) - set(columns))
        tables[table] = TableRights(table, live[table], frozenset(denied) | SYSTEM_COLUMNS)
    return Rights(
        policy=name,
        schema_name=policy.schema_name or "public",
        tables=tables,
        functions=frozenset(policy.functions),
        function_hints=policy.function_hints,
        set_returning_functions=policy.set_returning_functions,
        types=frozenset(policy.types),
        enum_types=_enum_types(schema),
        operators=frozenset(policy.operators),
        collations=frozenset(policy.collations),
        sizes=policy.sizes,
        overloaded=frozenset(schema.overloaded if schema else ()),
        row_cap=policy.row_cap,
    )


def _enum_types(schema: SchemaSnapshot | None) -> frozenset[str]:
    """Names of the schema's enum types, as the parse tree spells them."""
    found = set()
    for table in schema.tables if schema else ():
        for column in table.columns:
            if column.enum_values:
                name = column.type.removesuffix("[]").rsplit(".", 1)[-1]
                found.add(name.strip('"').replace('""', '"'))
    return frozenset(found)
