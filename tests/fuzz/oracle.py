"""PostgreSQL as the judge of what the validator accepted.

Each text is explained by a role with exactly the policy's grants, in a READ ONLY transaction, while the
server shows the tree that it made of it: the relations, columns, functions, operators and types really used,
also where nothing checks permissions (a CTE that is never referenced). They must lie inside the policy.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from deployments.sql_validator.policy import Rights

# Names and rights are the validator's promise; types and grouping are the server's to judge.
BROKEN_PROMISES = {
    "42501": "insufficient privilege",
    "25006": "a write in a read-only transaction",
    "42P01": "undefined table",
    "42703": "undefined column",
}
# Internal, system, connection and resource errors.
_SERVER_TROUBLE = ("XX", "58", "08", "53")

_COMMAND = re.compile(r"\{QUERY :commandType (\d+)")
_RELATION = re.compile(r":rtekind (\d+)")
_RELATION_ID = re.compile(r":relid (\d+)")
_PERMISSIONS = re.compile(
    r"\{RTEPERMISSIONINFO :relid (\d+) :inh \w+ :requiredPerms (\d+) :checkAsUser \d+ "
    r":selectedCols \(b([ \d]*)\) :insertedCols \(b([ \d]*)\) :updatedCols \(b([ \d]*)\)"
)
_FUNCTION = re.compile(r":(?:funcid|aggfnoid|winfnoid) (\d+)")
_OPERATOR = re.compile(r":opno (\d+)")
_VALUE_FUNCTION = re.compile(r"\{SQLVALUEFUNCTION :op (\d+)")
_NODE = re.compile(
    r"\{(XMLEXPR|TABLEFUNC|JSONEXPR|NEXTVALUEEXPR|CURRENTOFEXPR|ROWMARKCLAUSE|TABLESAMPLECLAUSE"
    r"|FIELDSELECT|FIELDSTORE|CONVERTROWTYPEEXPR|INTOCLAUSE|ONCONFLICTEXPR|MERGEACTION)\b"
)
_TYPE = re.compile(r":(?:consttype|resulttype|vartype|funcresulttype|opresulttype|aggtype|wintype) (\d+)")
# FirstLowInvalidHeapAttributeNumber: column numbers in bit sets are counted from the first system column.
_COLUMN_OFFSET = -7
# Relation, subquery, join, function, VALUES, CTE, none, GROUP BY: RTEKind of PostgreSQL's parsenodes.h.
_RTE_KINDS = {"0", "1", "2", "3", "5", "6", "8", "9"}
# CURRENT_DATE to LOCALTIMESTAMP(n); from 9 on names of users and schemas: SQLValueFunctionOp of primnodes.h.
_LAST_DATE_VALUE = 8
_SELECT, _UTILITY = "1", "6"
_ACL_SELECT = "2"
# What expressions over allowed types have themselves.
_INNER_TYPES = {"unknown", "record", "_record", "anyarray", "anyenum", "oid", '"char"', "char"}


@dataclass
class Catalog:
    """Names of everything that a tree refers to by number."""

    relations: dict[int, tuple[str, str]] = field(default_factory=dict)
    columns: dict[tuple[int, int], str] = field(default_factory=dict)
    functions: dict[int, tuple[str, str]] = field(default_factory=dict)
    operators: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    types: dict[int, tuple[str, str]] = field(default_factory=dict)
    casts: set[int] = field(default_factory=set)

    @classmethod
    async def read(cls, connection: "asyncpg.Connection[Any]") -> "Catalog":
        async def pairs(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.fetch(sql)]

        schema = "::regnamespace::text"
        relations = await pairs(f"SELECT oid::int8, relnamespace{schema}, relname::text FROM pg_class")
        columns = await pairs("SELECT attrelid::int8, attnum::int4, attname::text FROM pg_attribute")
        functions = await pairs(f"SELECT oid::int8, pronamespace{schema}, proname::text FROM pg_proc")
        operators = await pairs(
            f"SELECT oid::int8, oprnamespace{schema}, oprname::text, oprcode::oid::int8 FROM pg_operator"
        )
        types = await pairs(
            f"SELECT t.oid::int8, t.typnamespace{schema}, coalesce(e.typname, t.typname)::text "
            "FROM pg_type t LEFT JOIN pg_type e ON t.typelem = e.oid AND t.typcategory = 'A'"
        )
        casts = await pairs("SELECT castfunc::int8 FROM pg_cast WHERE castfunc <> 0")
        return cls(
            relations={oid: (space, name) for oid, space, name in relations},
            columns={(oid, number): name for oid, number, name in columns},
            functions={oid: (space, name) for oid, space, name in functions},
            operators={oid: (space, name, code) for oid, space, name, code in operators},
            types={oid: (space, name) for oid, space, name in types},
            casts={oid for (oid,) in casts},
        )


class TreeJudge:
    """Says which parts of an analyzed tree lie outside of a policy."""

    def __init__(self, catalog: Catalog, rights: Rights) -> None:
        self._catalog = catalog
        self._rights = rights
        listed = rights.functions | rights.set_returning_functions.keys()
        allowed_operators = {
            oid
            for oid, (space, name, _) in catalog.operators.items()
            if space == "pg_catalog" and name in rights.operators
        }
        self._operators = allowed_operators
        self._functions = catalog.casts | {catalog.operators[oid][2] for oid in allowed_operators}
        self._functions |= {
            oid
            for oid, (space, name) in catalog.functions.items()
            if space == "pg_catalog" and name in listed
        }
        self._types = {
            oid
            for oid, (space, name) in catalog.types.items()
            if (space == "pg_catalog" and (name in rights.types or name in _INNER_TYPES))
            or (space == rights.schema_name and name in rights.enum_types | rights.types)
        }

    def outside(self, tree: str) -> list[str]:
        """What the tree uses and the policy does not grant, in words."""
        found = [f"command {c}" for c in _COMMAND.findall(tree) if c not in (_SELECT, _UTILITY)]
        found += [f"range table kind {k}" for k in _RELATION.findall(tree) if k not in _RTE_KINDS]
        found += [f"node {node}" for node in set(_NODE.findall(tree))]
        found += [f"value {op}" for op in _VALUE_FUNCTION.findall(tree) if int(op) > _LAST_DATE_VALUE]
        # Zero stands for what is no relation: a subquery, a CTE.
        for oid in set(map(int, _RELATION_ID.findall(tree))) - {0}:
            space, name = self._catalog.relations.get(oid, ("?", str(oid)))
            if space != self._rights.schema_name or name not in self._rights.tables:
                found.append(f"relation {space}.{name}")
        for oid, permissions, selected, inserted, updated in set(_PERMISSIONS.findall(tree)):
            if permissions not in ("0", _ACL_SELECT) or inserted.strip() or updated.strip():
                found.append(f"permissions {permissions} on relation {oid}")
            found += self._columns(int(oid), [int(bit) + _COLUMN_OFFSET for bit in selected.split()])
        found += [
            f"function {self._catalog.functions.get(oid)}"
            for oid in set(map(int, _FUNCTION.findall(tree)))
            if oid not in self._functions
        ]
        found += [
            f"operator {self._catalog.operators.get(oid)}"
            for oid in set(map(int, _OPERATOR.findall(tree)))
            if oid not in self._operators
        ]
        found += [
            f"type {self._catalog.types.get(oid)}"
            for oid in set(map(int, _TYPE.findall(tree)))
            if oid not in self._types
        ]
        return found

    def _columns(self, relation: int, numbers: list[int]) -> list[str]:
        _, name = self._catalog.relations.get(relation, ("?", "?"))
        table = self._rights.tables.get(name)
        allowed = set(table.allowed) if table else set()
        names = [self._catalog.columns.get((relation, number), f"#{number}") for number in numbers]
        return [f"column {name}.{column}" for column in names if column not in allowed]


def _broken_promise(state: str, message: str) -> str | None:
    """What an error of the server says against the validator; None where it is the statement's own fault."""
    if message.startswith("syntax error"):
        return "text that the server's grammar refuses"
    if state.startswith(_SERVER_TROUBLE):
        return "trouble of the server"
    return BROKEN_PROMISES.get(state)


class Oracle:
    """One connection as the role of one policy."""

    def __init__(self, connection: "asyncpg.Connection[Any]", judge: TreeJudge) -> None:
        self._connection = connection
        self._judge = judge
        self._trees: list[str] = []
        connection.add_log_listener(lambda _, message: self._trees.append(message.detail or ""))

    @classmethod
    async def connect(cls, dsn: str, catalog: Catalog, rights: Rights) -> "Oracle":
        connection = await asyncpg.connect(dsn, statement_cache_size=0)
        return cls(connection, TreeJudge(catalog, rights))

    async def judge(self, sql: str) -> tuple[str, list[str]]:
        """The server's SQLSTATE (00000 if it planned the text) and the promises that the text breaks."""
        self._trees.clear()
        state, broken = "00000", []
        try:
            # The simple protocol needs one round trip; the role's transactions are READ ONLY by themselves.
            await self._connection.execute(f"EXPLAIN {sql}")
        except asyncpg.PostgresError as fault:
            state = fault.sqlstate or "XX000"
            promise = _broken_promise(state, str(fault))
            if promise:
                broken.append(f"{state} {promise}: {str(fault)[:200]}")
        # The server breaks the lines of what it shows at blanks.
        tree = " ".join(self._trees).replace("\n", " ")
        if "{QUERY" in tree:
            broken += self._judge.outside(tree)
        elif state == "00000":
            broken.append("the server showed no tree")
        return state, broken

    async def close(self) -> None:
        await self._connection.close()
