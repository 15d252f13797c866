"""Turns that change what is computed."""

from dataclasses import replace

from deployments.prompt_builder.query_spec.nodes import (
    Aggregate,
    ColumnRef,
    DateBucket,
    QuerySpec,
    SortKey,
)
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.plan import Dimension
from deployments.prompt_builder.synthesis.turns.base import dimensions_of, is_aggregated
from deployments.prompt_builder.synthesis.turns.filters import FilterTurns


class GroupTurns(FilterTurns):
    """Groups, counts, totals and other measures."""

    def change_group(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """A grouping where there was a total."""
        if not spec.show or dimensions_of(spec) or not self._grouped(spec) or spec.sort:
            return None
        dimension = self._dimension(spec)
        if dimension is None:
            return None
        return self._with_dimension(spec, dimension), self._by("group", spec, dimension)

    def _with_dimension(self, spec: QuerySpec, dimension: Dimension) -> QuerySpec:
        measures = tuple(e for e in spec.show if not isinstance(e, (ColumnRef, DateBucket)))
        sort: tuple[SortKey, ...] = (SortKey(dimension.expression),) if dimension.part else ()
        keys = self.world.tables[spec.table].optional_keys
        touched = {n.table for c in spec.where for n in walk(c) if isinstance(n, ColumnRef)}
        kept = (
            self.pieces.kept(spec.table, (dimension,), ())
            if dimension.owner in keys and dimension.owner not in touched
            else ()
        )
        kept = tuple(k for k in kept if k not in spec.where)
        return QuerySpec(spec.table, (dimension.expression, *measures), where=(*spec.where, *kept), sort=sort)

    def change_regroup(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if len(dimensions_of(spec)) != 1 or not self._grouped(spec) or spec.limit_per or spec.limit:
            return None
        dimension = self._dimension(spec)
        return (
            (self._with_dimension(spec, dimension), self._by("regroup", spec, dimension))
            if dimension
            else None
        )

    def change_ungroup(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if (
            len(dimensions_of(spec)) != 1
            or not self._grouped(spec)
            or spec.limit
            or any(is_aggregated(c) for c in spec.where)
        ):
            return None
        measures = tuple(e for e in spec.show if isinstance(e, Aggregate))
        if len(measures) != len(spec.show) - 1:
            return None
        return QuerySpec(spec.table, measures, where=spec.where), self.say("ungroup")

    def change_count(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if self._grouped(spec) or spec.limit or spec.distinct:
            return None
        return QuerySpec(spec.table, (Aggregate("count"),), where=spec.where), self.say("count")

    def change_count_by(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Rows, or names without repetition, to counts per group."""
        if self._grouped(spec) or spec.limit:
            return None
        if spec.distinct and len(spec.show) == 1:
            shown = (*spec.show, Aggregate("count"))
            return QuerySpec(spec.table, shown, where=spec.where), self.rng.choice(
                ("how many each", "how many for each", "with counts", "and how many each")
            )
        dimension = self._dimension(spec)
        if dimension is None:
            return None
        base = QuerySpec(spec.table, (Aggregate("count"),), where=spec.where)
        return self._with_dimension(base, dimension), self._by("count_by", spec, dimension)

    def change_total(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        if self._grouped(spec) or spec.limit or spec.distinct:
            return None
        main = self.world.tables[spec.table].terms.measure
        measure = self.pieces.measure(spec.table, ("sum",), main or "")
        if measure is None or measure.name != "sum":
            return None
        both = self.rng.random() < 0.2
        shown = (Aggregate("count"), measure.expression) if both else (measure.expression,)
        return QuerySpec(spec.table, shown, where=spec.where), self.say("count_total" if both else "total")

    def change_measure(self, spec: QuerySpec) -> tuple[QuerySpec, str] | None:
        """Another measure in place of, or beside, the aggregate."""
        if not self._grouped(spec):
            return None
        places = [
            i
            for i, e in enumerate(spec.show)
            if isinstance(e, Aggregate) and not e.conditions and not e.table
        ]
        if len(places) != 1 or any(is_aggregated(c) for c in spec.where) or spec.limit:
            return None
        measure = (
            self.pieces.count(spec.table) if self.rng.random() < 0.25 else self.pieces.measure(spec.table)
        )
        if measure is None or measure.expression in spec.show:
            return None
        noun = self.voice.measure_of(measure, ()) if measure.name == "count" else self.voice._bare(measure)
        index = places[0]
        if self.rng.random() < 0.3:
            return replace(spec, show=(*spec.show, measure.expression)), self.say("also_measure", m=noun)
        shown = (*spec.show[:index], measure.expression, *spec.show[index + 1 :])
        sort = tuple(
            SortKey(measure.expression, k.descending) if isinstance(k.expression, Aggregate) else k
            for k in spec.sort
        )
        return replace(spec, show=shown, sort=sort), self.say("other_measure", m=noun)
