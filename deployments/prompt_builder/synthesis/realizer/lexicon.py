"""Words for the things of a world: the pack's terms, the phrase files, and plain fallbacks."""

import random
from functools import cached_property

from deployments.prompt_builder.domain import Derived
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.nodes import Expr, QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.synthesis.phrases import (
    ColumnPhrases,
    DerivedPhrases,
    FormulaPhrases,
    TablePhrases,
)
from deployments.prompt_builder.synthesis.world import World

_NO_PHRASES = TablePhrases()
_NO_COLUMN = ColumnPhrases()
_NO_DERIVED = DerivedPhrases()
_STATE_WORDS = ("status", "state", "stage")


def plural_of(noun: str) -> str:
    """Regular English plural of a noun phrase's last word."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    return noun + "s"


class Lexicon:
    """Looks words up; commonest first, so `pick` draws earlier entries more often."""

    def __init__(self, world: World, phrases: dict[str, TablePhrases]) -> None:
        self.world = world
        self.phrases = phrases

    def table(self, table: str) -> TablePhrases:
        return self.phrases.get(table, _NO_PHRASES)

    def column(self, table: str, column: str) -> ColumnPhrases:
        return self.table(table).columns.get(column, _NO_COLUMN)

    def derived_phrases(self, table: str, name: str) -> DerivedPhrases:
        return self.table(table).derived.get(name, _NO_DERIVED)

    @cached_property
    def _derived(self) -> dict[tuple[str, str], Derived]:
        return {(d.table, d.name): d for d in self.world.pack.derived}

    def derived(self, table: str, name: str) -> Derived | None:
        return self._derived.get((table, name))

    @cached_property
    def _singulars(self) -> dict[str, tuple[str, ...]]:
        return {
            n: tuple(w for w in (*i.terms.terms, *self.table(n).singular) if w not in self.table(n).mass)
            for n, i in self.world.tables.items()
        }

    @cached_property
    def _plurals(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name, info in self.world.tables.items():
            given = info.terms.plurals or tuple(plural_of(t) for t in info.terms.terms)
            mass = self.table(name).mass
            found[name] = tuple(n for n in (*given, *self.table(name).plural) if n not in mass)
        return found

    def noun(self, rng: random.Random, table: str, plural: bool = True) -> str:
        return pick(rng, (self._plurals if plural else self._singulars)[table])

    @cached_property
    def _terms(self) -> dict[tuple[str, str], tuple[str, ...]]:
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for name, info in self.world.tables.items():
            for column, field in info.fields.items():
                given = info.terms.columns[column].terms or (field.name.replace("_", " "),)
                found[name, column] = (*given, *self.column(name, column).terms)
            for derived in (*info.values, *info.predicates):
                found[name, derived.name] = (*derived.terms, *self.derived_phrases(name, derived.name).terms)
        return found

    def terms(self, table: str, column: str) -> tuple[str, ...]:
        return self._terms[table, column]

    @cached_property
    def _measure_terms(self) -> dict[str, set[str]]:
        """Term of a measure -> tables that have one so called."""
        found: dict[str, set[str]] = {}
        for name, info in self.world.tables.items():
            columns = (*(f.name for f in info.of_role("measure")), *(d.name for d in info.values))
            for column in columns:
                for term in self._terms[name, column]:
                    found.setdefault(term, set()).add(name)
        return found

    def is_shared(self, term: str) -> bool:
        """Whether a measure's term does not tell which table is meant."""
        return len(self._measure_terms.get(term, ())) > 1

    def term(self, rng: random.Random, table: str, column: str) -> str:
        return pick(rng, self._terms[table, column])

    def qualified(self, rng: random.Random, base: str, table: str, column: str) -> str:
        """A term not taken for a nearer table's column: "vendor city" where projects have cities too."""
        term = self.term(rng, table, column)
        if table != base and self._nearer(base, table, column, term):
            return f"{pick(rng, self._singulars[table])} {term}"
        return term

    def _nearer(self, base: str, table: str, column: str, term: str) -> bool:
        for kin in self.world.kin(base):
            if kin == table:
                return False
            info = self.world.tables[kin]
            names = (*info.fields, *(d.name for d in info.values))
            if any(term in self._terms[kin, name] for name in names):
                return True
        return False

    @cached_property
    def _formulas(self) -> dict[str, tuple[tuple[Expr, FormulaPhrases], ...]]:
        context = SpecContext(self.world.schema, self.world.pack)
        found: dict[str, tuple[tuple[Expr, FormulaPhrases], ...]] = {}
        for table in self.world.tables:
            parsed: list[tuple[Expr, FormulaPhrases]] = []
            for formula in self.table(table).formulas:
                spec = parse(f"{table} show {formula.expression}", context)
                if isinstance(spec, QuerySpec):
                    parsed.append((spec.show[0], formula))
            found[table] = tuple(parsed)
        return found

    def formulas(self, table: str) -> tuple[tuple[Expr, FormulaPhrases], ...]:
        """Measures of a table that its phrases spell out as formulas."""
        return self._formulas[table]

    def semantic(self, table: str, column: str) -> tuple[str, str | None]:
        """(semantic type, unit) of a stored or derived column."""
        info = self.world.tables[table]
        if column in info.terms.columns:
            terms = info.terms.columns[column]
            return info.fields[column].semantic, terms.unit
        derived = self.derived(table, column)
        return (derived.semantic or "number") if derived else "number", None

    def usage(self, table: str, column: str) -> str:
        given = self.column(table, column).usage
        if given:
            return given
        return "state" if any(w in t for t in self.terms(table, column) for w in _STATE_WORDS) else "kind"

    @cached_property
    def _words(self) -> dict[tuple[str, str, str], tuple[str, ...]]:
        found: dict[tuple[str, str, str], tuple[str, ...]] = {}
        for name, info in self.world.tables.items():
            for field in info.of_role("lookup"):
                given = info.terms.columns[field.name].values
                more = self.column(name, field.name).words
                for value in field.values:
                    plain = value.replace("_", " ")
                    words = (*given.get(value, ()), *more.get(value, ()))
                    found[name, field.name, value] = words if plain in words else (plain, *words)
        return found

    def word(self, rng: random.Random, table: str, column: str, value: str) -> str:
        return pick(rng, self._words[table, column, value])

    def words(self, table: str, column: str, value: str) -> tuple[str, ...]:
        return self._words[table, column, value]


def pick(rng: random.Random, options: tuple[str, ...]) -> str:
    """Draw with a lean towards the earlier options, none rarer than a third of the first."""
    count = len(options)
    if count == 1:
        return options[0]
    return options[min(int(rng.random() * count), int(rng.random() * count * 1.6))]
