"""Random SELECTs by a small grammar: typed expressions over allowed and forbidden objects.

Most are right by type, so that PostgreSQL plans what the validator lets through; a share of the leaves is
an object that nobody may reach, and a share of the names is one that shadows another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "organizations": {"number": ("id",), "text": ("name",), "date": ()},
    "projects": {
        "number": ("id", "organization_id", "budget", "completion_percentage"),
        "text": ("name", "client_name", "project_type", "city"),
        "date": ("start_date", "planned_end_date", "actual_end_date"),
    },
    "vendors": {
        "number": ("id", "organization_id", "rating"),
        "text": ("name", "vendor_type", "city"),
        "date": (),
    },
    "expenses": {
        "number": ("id", "project_id", "vendor_id", "amount"),
        "text": ("description", "invoice_number"),
        "date": ("date",),
    },
    "cashflow": {"number": ("id", "project_id", "amount"), "text": ("source",), "date": ("date",)},
    "materials": {
        "number": ("id", "project_id", "quantity", "unit_cost"),
        "text": ("name", "unit"),
        "date": ("delivered_on",),
    },
    "labor": {"number": ("id", "project_id", "hours"), "text": ("trade",), "date": ("work_date",)},
}
DENIED = {"number": "hourly_rate", "text": "worker_name", "date": "xmin"}
FORBIDDEN_TABLES = (
    *("app_users", "hr.salaries", "audit.events", "v_user_emails", "invoice_seq", "public.app_users"),
    *("pg_class", "pg_catalog.pg_authid", "pg_roles", "information_schema.tables", "pg_settings"),
    *("projects_pkey", "pg_stat_activity", "pg_toast.pg_toast_2619", "hr.projects", "pg_temp.projects"),
)
FORBIDDEN_VALUES: dict[str, tuple[str, ...]] = {
    "number": (
        *("(SELECT max(id) FROM app_users)", "1 OPERATOR(public.#+#) 2", "1 #+# 2", "bump_audit('x')"),
        *("nextval('invoice_seq')", "'app_users'::regclass::oid", "pg_backend_pid()", "lo_creat(-1)"),
        *("wage({alias})", "{alias}.wage", "count({alias})", "({alias}).hourly_rate", "{alias}.ctid"),
        *("{alias}.tableoid::int", "length({alias}::text)", "pg_column_size({alias})", "txid_current()"),
        *("pg_advisory_lock(1)", "hashtext({alias}::text)", "'1'::oid", "setval('invoice_seq', 1)"),
    ),
    "text": (
        *("secret_lookup(1)", "public.secret_lookup(1)", "current_user", "version()", "{alias}::text"),
        *(
            "current_setting('data_directory')",
            "set_config('role', 'none', true)",
            "row_to_json({alias})::text",
        ),
        *("'app_users'::regclass::text", "pg_read_file('/etc/passwd')", "lower({alias})", "session_user"),
        *("({alias})::text", "ROW({alias}.*)::text", "to_jsonb({alias})::text", "current_schema"),
        *("pg_get_functiondef('secret_lookup'::regproc)", "query_to_xml('SELECT 1', true, true, '')::text"),
        *("(SELECT password_hash FROM app_users LIMIT 1)", "string_agg({alias}::text, '')", "{alias}.name"),
        *("concat({alias})", "format('%s', {alias})", "concat_ws(',', {alias}.*)", "({alias}.*)::text"),
    ),
    "date": (
        *("pg_postmaster_start_time()", "pg_stat_get_snapshot_timestamp(NULL)", "pg_conf_load_time()"),
        "(SELECT max(at) FROM audit.events)",
    ),
}
_T = TypeVar("_T")

NUMBER = "number"
TEXT = "text"
DATE = "date"
KINDS = (NUMBER, TEXT, DATE)
Columns = dict[str, list[str]]


@dataclass
class Source:
    """A FROM item in scope: its alias and its columns by kind."""

    alias: str
    columns: Columns


@dataclass
class Grammar:
    """One writer of random statements; the same seed writes the same ones.

    ``danger`` is the chance that a leaf is a forbidden object.
    """

    random: Random
    danger: float = 0.04
    _names: int = field(default=0, init=False)

    def statement(self) -> str:
        self._names = 0
        depth = self.random.choice((0, 1, 1, 2))
        return self._query(depth, [], {}, self.random.randint(1, 4))[0]

    def _query(
        self, depth: int, outer: list[Source], ctes: dict[str, Columns], width: int
    ) -> tuple[str, Columns]:
        if depth and self._chance(0.25):
            name = self._one((self._name(), "projects", "labor", "app_users"))
            body, columns = self._query(depth - 1, outer, ctes, 3)
            recursive = self._either(0.1, "RECURSIVE ", "")
            rest, output = self._query(depth - 1, outer, {**ctes, name: columns}, width)
            return f"WITH {recursive}{name} AS ({body}) {rest}", output
        select, columns = self._select(depth, outer, ctes, width)
        if depth and self._chance(0.12):
            operation = self._one(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
            other = self._select_of(depth - 1, outer, ctes, columns)
            return f"({select}) {operation} ({other})", columns
        return select, columns

    def _select_of(self, depth: int, outer: list[Source], ctes: dict[str, Columns], wanted: Columns) -> str:
        """A SELECT whose columns have the kinds of another's."""
        source, scope = self._from(depth, outer, ctes)
        kinds = sorted((name, kind) for kind, names in wanted.items() for name in names)
        targets = ", ".join(self._value(kind, depth, scope, ctes) for _, kind in kinds)
        return f"SELECT {targets or '1'} FROM {source}"

    def _select(
        self, depth: int, outer: list[Source], ctes: dict[str, Columns], width: int
    ) -> tuple[str, Columns]:
        source, scope = self._from(depth, outer, ctes)
        output: Columns = {kind: [] for kind in KINDS}
        grouped = self._chance(0.3)
        key_kind = self._one(KINDS)
        key = self._value(key_kind, 0, scope, ctes)
        targets = []
        for place in range(width):
            kind = key_kind if grouped and not place else self._one(KINDS)
            name = self._either(0.9, f"c{place}", self._one(("hourly_rate", "name", "id", "labor")))
            value = key if grouped and not place else self._target(kind, grouped, depth, scope, ctes)
            targets.append(f"{value} AS {name}")
            output[kind].append(name)
        if not grouped and self._chance(0.05):
            targets.append(self._one(("*", f"{scope[-1].alias}.*", f"{scope[-1].alias}")))
        distinct = self._either(0.05, "DISTINCT ", "")
        parts = [f"SELECT {distinct}{', '.join(sorted(targets))} FROM {source}"]
        if self._chance(0.4):
            parts.append(f"WHERE {self._condition(depth, scope, ctes)}")
        if grouped:
            parts.append(f"GROUP BY {self._one((key, key, f'ROLLUP ({key})', f'CUBE ({key})'))}")
            if self._chance(0.3):
                parts.append(f"HAVING {self._aggregate(NUMBER, scope, ctes)} > {self._literal(NUMBER)}")
        parts += self._tail(grouped, key, scope)
        return " ".join(parts), output

    def _tail(self, grouped: bool, key: str, scope: list[Source]) -> list[str]:
        parts = []
        if self._chance(0.25):
            order = key if grouped else self._one(("1", "c0", self._column(self._one(KINDS), scope) or "1"))
            parts.append(f"ORDER BY {order}{self._one(('', ' DESC', ' NULLS LAST', ' USING <'))}")
        if self._chance(0.2):
            parts.append(self._one(("LIMIT 5", "LIMIT ALL", "OFFSET 2", "FETCH FIRST 3 ROWS WITH TIES")))
        elif self._chance(0.02):
            parts.append("FOR UPDATE")
        return parts

    def _target(
        self, kind: str, grouped: bool, depth: int, scope: list[Source], ctes: dict[str, Columns]
    ) -> str:
        if grouped:
            return self._aggregate(kind, scope, ctes)
        if kind == NUMBER and self._chance(0.1):
            order = self._column(self._one(KINDS), scope) or "1"
            call = self._one(("row_number()", "rank()", f"sum({self._value(NUMBER, 0, scope, ctes)})"))
            return f"{call} OVER (PARTITION BY {order} ORDER BY {order})"
        return self._value(kind, depth, scope, ctes)

    def _from(self, depth: int, outer: list[Source], ctes: dict[str, Columns]) -> tuple[str, list[Source]]:
        text, source = self._from_item(depth, outer, ctes)
        scope = [*outer, source]
        while self._chance(0.3) and len(scope) < 6:
            other, right = self._from_item(depth, scope, ctes)
            kind = self._one(("JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN", ",", "NATURAL JOIN"))
            joined = [*scope, right]
            if kind in ("JOIN", "LEFT JOIN", "FULL JOIN"):
                left = self._column(NUMBER, scope) or "1"
                on = f" ON {left} = {self._column(NUMBER, [right]) or '1'}"
                text = f"{text} {kind} {other}{self._either(0.85, on, ' USING (id)')}"
            else:
                text = f"{text}{' ' if kind != ',' else ''}{kind} {other}"
            scope = joined
        return text, scope

    def _from_item(self, depth: int, outer: list[Source], ctes: dict[str, Columns]) -> tuple[str, Source]:
        alias = self._name()
        if self._chance(self.danger):
            table = self._one(FORBIDDEN_TABLES)
            return f"{table} {alias}", Source(alias, {kind: ["id"] for kind in KINDS})
        if ctes and self._chance(0.5):
            name = self._one(tuple(ctes))
            return f"{name} {alias}", Source(alias, ctes[name])
        if depth and self._chance(0.25):
            lateral = self._either(0.3, "LATERAL ", "")
            body, columns = self._query(depth - 1, outer if lateral else [], ctes, 3)
            return f"{lateral}({body}) {alias}", Source(alias, columns)
        if self._chance(0.06):
            call = self._one(("generate_series(1, 5)", "unnest(ARRAY[1, 2])", "generate_series(1, 10, 3)"))
            return f"{call} AS {alias}({alias}_n)", Source(
                alias, {NUMBER: [f"{alias}_n"], TEXT: [], DATE: []}
            )
        table = self._one(tuple(COLUMNS))
        schema = self._either(0.05, "public.", "")
        columns = {kind: list(names) for kind, names in COLUMNS[table].items()}
        if self._chance(0.15):
            return schema + table, Source(table, columns)
        return f"{schema}{table} {self._either(0.5, 'AS ', '')}{alias}", Source(alias, columns)

    def _condition(self, depth: int, scope: list[Source], ctes: dict[str, Columns]) -> str:
        kind = self._one(KINDS)
        value = self._value(kind, depth, scope, ctes)
        simple = self._one(
            (
                f"{value} {self._one(('=', '<', '>=', '<>', 'IS DISTINCT FROM'))} {self._literal(kind)}",
                f"{value} IS NOT NULL",
                f"{value} IN ({self._literal(kind)}, {self._literal(kind)})",
                f"{value} BETWEEN {self._literal(kind)} AND {self._literal(kind)}",
            )
        )
        if depth and self._chance(0.2):
            body, _ = self._query(depth - 1, scope, ctes, 1)
            return f"{self._either(0.3, 'NOT ', '')}EXISTS ({body})"
        if self._chance(0.25):
            return f"({simple} {self._one(('AND', 'OR'))} {self._condition(0, scope, ctes)})"
        return simple

    def _value(self, kind: str, depth: int, scope: list[Source], ctes: dict[str, Columns]) -> str:
        if self._chance(self.danger):
            return self._one(FORBIDDEN_VALUES[kind]).format(alias=scope[-1].alias)
        if depth and self._chance(0.08):
            body, columns = self._query(depth - 1, scope, ctes, 3)
            names = columns[kind]
            if names:
                return f"(SELECT q.{names[0]} FROM ({body}) q LIMIT 1)"
        if self._chance(0.45):
            return self._column(kind, scope) or self._literal(kind)
        if self._chance(0.2):
            return self._literal(kind)

        def part(wanted: str) -> str:
            return self._value(wanted, 0, scope, ctes)

        return self._one(_FORMS[kind])(part, self)

    def _aggregate(self, kind: str, scope: list[Source], ctes: dict[str, Columns]) -> str:
        value = self._value(kind, 0, scope, ctes)
        if kind == NUMBER:
            name = self._one(("sum", "avg", "max", "count", "stddev", "var_pop"))
            call = self._either(0.8, f"{name}({value})", "count(*)")
        elif kind == TEXT:
            call = self._one((f"string_agg({value}, ',' ORDER BY {value})", f"max({value})", f"min({value})"))
        else:
            call = f"{self._one(('min', 'max'))}({value})"
        return call + self._either(0.1, f" FILTER (WHERE {self._condition(0, scope, ctes)})", "")

    def _column(self, kind: str, scope: list[Source]) -> str:
        """A column of a kind, qualified mostly; the empty string where no source has one."""
        source = self._one(scope)
        names = source.columns[kind]
        if self._chance(self.danger):
            return f"{source.alias}.{DENIED[kind]}"
        if not names:
            return ""
        name = self._one(names)
        return self._either(0.85, f"{source.alias}.{name}", name)

    def _literal(self, kind: str) -> str:
        if kind == NUMBER:
            return self._one(("0", "1", "42", "2.5", "1000000", "-3", "1e3"))
        if kind == TEXT:
            return self._one(("'x'", "'Austin'", "'it''s'", "''", "'%tower%'", "'a\\b'", "'é'"))
        return self._one(("DATE '2025-01-01'", "CURRENT_DATE", "'2024-06-30'::date", "CURRENT_DATE - 30"))

    def _name(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def _one(self, choices: "Sequence[_T]") -> "_T":
        return choices[int(self.random.random() * len(choices))]

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _either(self, share: float, then: str, otherwise: str) -> str:
        return then if self.random.random() < share else otherwise


_Part = Callable[[str], str]
_Form = Callable[[_Part, Grammar], str]
_FORMS: dict[str, tuple[_Form, ...]] = {
    NUMBER: (
        lambda part, g: f"{part(NUMBER)} {g._one(('+', '-', '*'))} {part(NUMBER)}",
        lambda part, g: f"({part(NUMBER)}) / NULLIF({part(NUMBER)}, 0)",
        lambda part, g: f"round(({part(NUMBER)})::numeric, {g._one(('0', '2'))})",
        lambda part, g: f"COALESCE({part(NUMBER)}, 0)",
        lambda part, g: f"extract({g._one(('year', 'month', 'dow'))} FROM {part(DATE)})",
        lambda part, g: f"{g._one(('length', 'ascii', 'char_length'))}({part(TEXT)})",
        lambda part, g: f"CASE WHEN {part(NUMBER)} > 1 THEN {part(NUMBER)} ELSE 0 END",
        lambda part, g: f"{g._one(('abs', 'floor', 'sign', 'ceil'))}({part(NUMBER)})",
        lambda part, g: f"GREATEST({part(NUMBER)}, {part(NUMBER)})",
        lambda part, g: (
            f"({part(NUMBER)})::{g._one(('numeric', 'float8', 'numeric(12, 2)', 'double precision'))}"
        ),
        lambda part, g: f"strpos({part(TEXT)}, {part(TEXT)})",
        lambda part, g: f"(ARRAY[{part(NUMBER)}, {part(NUMBER)}])[1]",
    ),
    TEXT: (
        lambda part, g: f"{g._one(('lower', 'upper', 'trim', 'initcap', 'reverse'))}({part(TEXT)})",
        lambda part, g: f"{part(TEXT)} || {part(TEXT)}",
        lambda part, g: f"COALESCE({part(TEXT)}, 'none')",
        lambda part, g: f"to_char({part(DATE)}, 'YYYY-MM')",
        lambda part, g: f"({part(NUMBER)})::{g._one(('text', 'varchar(20)'))}",
        lambda part, g: f"left({part(TEXT)}, 3)",
        lambda part, g: f"replace({part(TEXT)}, 'a', 'b')",
        lambda part, g: f"split_part({part(TEXT)}, ' ', 1)",
        lambda part, g: f"concat({part(TEXT)}, {part(NUMBER)})",
        lambda part, g: f"substring({part(TEXT)} FROM 1 FOR 4)",
        lambda part, g: f"CASE {part(TEXT)} WHEN 'x' THEN {part(TEXT)} END",
        lambda part, g: f"regexp_replace({part(TEXT)}, '[0-9]+', '')",
        lambda part, g: f'{part(TEXT)} COLLATE "C"',
        lambda part, g: f"jsonb_build_object('k', {part(NUMBER)}) ->> 'k'",
    ),
    DATE: (
        lambda part, g: f"date_trunc('{g._one(('month', 'year', 'week'))}', {part(DATE)})::date",
        lambda part, g: f"({part(DATE)} + INTERVAL '{g._one(('1 day', '3 months'))}')::date",
        lambda part, g: f"COALESCE({part(DATE)}, CURRENT_DATE)",
        lambda part, g: f"LEAST({part(DATE)}, {part(DATE)})",
        lambda part, g: f"({part(DATE)})::date",
        lambda part, g: "make_date(2025, 1, 1)",
    ),
}
