"""SQL for tests of the validator: the attack corpus, and random queries whose names collide on purpose."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from deployments.sql_validator.policy import Policies
from deployments.sql_validator.validator import POLICIES_FOLDER, Validator

ATTACKS = Path(__file__).parent / "data" / "sql_safety" / "attacks.jsonl"
# Of the same form, by other hands: more of every category, and what a construction controller asks.
FURTHER = ATTACKS.with_name("further.jsonl")


@cache
def validator() -> Validator:
    return Validator(Policies.load(POLICIES_FOLDER))


@cache
def attack_items(verdict: str) -> tuple[dict[str, Any], ...]:
    """Items of both corpora: ``must_reject`` or ``must_accept``."""
    lines = [line for path in (ATTACKS, FURTHER) for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(item for item in map(json.loads, lines) if item["verdict"] == verdict)


TABLES = {
    "labor": ("id", "project_id", "worker_name", "trade", "work_date", "hours", "hourly_rate"),
    "projects": ("id", "organization_id", "name", "city", "budget", "start_date"),
    "materials": ("id", "project_id", "name", "quantity", "unit_cost"),
}
_COLUMNS = ("id", "project_id", "hours", "hourly_rate", "worker_name", "name", "x", "trade", "ctid", "budget")
_COMMON = ("id", "id", "project_id")
_ALIASES = ("l", "p", "x", "labor", "projects", "hourly_rate", "name", "q")
_SOURCES = ("labor",) * 6 + ("projects", "projects", "materials", "c", "c", "app_users")
_CTES = ("c", "labor", "projects", "app_users")


@dataclass
class QueryMaker:
    """Writes random SELECTs over a small vocabulary, so that names shadow each other at every level.

    Many are wrong; those that a validator accepts must be harmless to run.
    """

    random: Random
    depth: int = 3

    def query(self, depth: int | None = None) -> str:
        depth = self.depth if depth is None else depth
        roll = self.random.random()
        if depth > 0 and roll < 0.15:
            return f"WITH {self._recursive()}{self._ctes(depth)} {self._body(depth)}"
        return self._body(depth)

    def _body(self, depth: int) -> str:
        if depth > 0 and self.random.random() < 0.12:
            operation = self._one(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
            arms = f"({self.query(depth - 1)}) {operation} {self._select(depth - 1)}"
            return arms + self._maybe(0.3, f" ORDER BY {self._name()}")
        return self._select(depth)

    def _select(self, depth: int) -> str:
        parts = ["SELECT"]
        parts.append(self._maybe(0.06, "DISTINCT ") + self._maybe(0.04, f"DISTINCT ON ({self._name()}) "))
        parts.append(", ".join(self._target(depth) for _ in range(self.random.randint(1, 3))))
        if self.random.random() < 0.92:
            parts.append(
                "FROM " + ", ".join(self._from(depth) for _ in range(self.random.choice((1, 1, 1, 2))))
            )
        parts.append(self._maybe(0.25, f"WHERE {self._condition(depth)}"))
        if self.random.random() < 0.2:
            parts.append(
                f"GROUP BY {self._one((self._name(), self._name(), '1', f'ROLLUP ({self._name()})'))}"
            )
            parts.append(self._maybe(0.4, f"HAVING max({self._name()}) IS NOT NULL"))
        parts.append(self._maybe(0.2, f"ORDER BY {self._one((self._name(), self._value(depth), '1'))}"))
        parts.append(self._maybe(0.15, "LIMIT 3"))
        return " ".join(part for part in parts if part)

    def _recursive(self) -> str:
        return self._maybe(0.2, "RECURSIVE ")

    def _ctes(self, depth: int) -> str:
        count = self.random.choice((1, 1, 2))
        return ", ".join(
            f"{self._one(_CTES)}{self._maybe(0.3, '(' + self._names() + ')')} AS ({self.query(depth - 1)})"
            for _ in range(count)
        )

    def _target(self, depth: int) -> str:
        roll = self.random.random()
        if roll < 0.12:
            return self._one(("*", f"{self._one(_ALIASES)}.*", "count(*)"))
        return self._value(depth) + self._maybe(0.4, f" AS {self._one(_COLUMNS)}")

    def _from(self, depth: int) -> str:
        item = self._from_item(depth)
        while self.random.random() < 0.3:
            other = self._from_item(depth)
            kind = self._one(
                ("JOIN", "LEFT JOIN", "CROSS JOIN", "JOIN", "FULL JOIN", "JOIN", "LEFT JOIN", "NATURAL JOIN")
            )
            if kind in ("CROSS JOIN", "NATURAL JOIN"):
                item = f"{item} {kind} {other}"
            elif self.random.random() < 0.4:
                item = f"{item} {kind} {other} USING ({self._names()})"
            else:
                item = f"{item} {kind} {other} ON {self._condition(depth - 1)}"
        return item

    def _from_item(self, depth: int) -> str:
        alias = self._maybe(0.7, f" AS {self._one(_ALIASES)}" + self._maybe(0.06, f"({self._names()})"))
        roll = self.random.random()
        if depth > 0 and roll < 0.3:
            lateral = self._maybe(0.4, "LATERAL ")
            return f"{lateral}({self.query(depth - 1)}){alias or ' AS ' + self._one(_ALIASES)}"
        if roll < 0.36:
            call = self._one(
                (
                    "generate_series(1, 3)",
                    f"unnest(ARRAY[{self._name()}])",
                    f"jsonb_each_text(to_jsonb({self._name()}))",
                    f"jsonb_array_elements(jsonb_build_array({self._name()}))",
                )
            )
            return call + alias
        if roll < 0.4:
            return f"(VALUES (1, {self._name()}), (2, 3)){alias or ' AS x'}"
        schema = self._maybe(0.1, "public.")
        return schema + self._one(_SOURCES) + alias

    def _condition(self, depth: int) -> str:
        if depth > 0 and self.random.random() < 0.25:
            return f"EXISTS ({self.query(depth - 1)})"
        return self._one(
            (
                f"{self._value(depth)} IS NOT NULL",
                "true",
                f"{self._name()} = {self._name()}",
                f"{self._name()} > 1",
            )
        )

    def _value(self, depth: int) -> str:
        if depth > 0 and self.random.random() < 0.2:
            return self._one((f"({self.query(depth - 1)})", f"ARRAY({self.query(depth - 1)})"))
        name = self._name()
        return self._one(
            (
                name,
                name,
                name,
                f"max({name})",
                f"{name}::text",
                f"COALESCE({name}, {self._name()})",
                f"row_number() OVER (PARTITION BY {name} ORDER BY {self._name()})",
                f"count({name}) FILTER (WHERE {self._name()} IS NOT NULL)",
                f"CASE WHEN {self._name()} IS NULL THEN 1 ELSE {name} END",
                f"jsonb_agg({name} ORDER BY {self._name()})",
                f"ROW({name}, 1)",
                f"({name}).hourly_rate" if self.random.random() < 0.1 else "1",
                "'a'",
            )
        )

    def _name(self) -> str:
        roll = self.random.random()
        if roll < 0.5:
            return self._one(_COMMON)
        if roll < 0.8:
            return self._one(_COLUMNS)
        if roll < 0.95:
            return f"{self._one(_ALIASES[:4])}.{self._one(_COMMON + _COLUMNS)}"
        return self._one(_ALIASES)

    def _names(self) -> str:
        return ", ".join(self.random.sample(_COLUMNS[:7], self.random.choice((1, 1, 2, 4))))

    def _one(self, choices: tuple[str, ...]) -> str:
        return self.random.choice(choices)

    def _maybe(self, chance: float, text: str) -> str:
        return text if self.random.random() < chance else ""
