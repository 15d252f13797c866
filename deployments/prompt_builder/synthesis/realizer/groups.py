"""Sentences that ask for one row per group."""

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Cond, Plan
from deployments.prompt_builder.synthesis.realizer.values import ValueSentences

_COUNTED = frozenset({"count"})


class GroupSentences(ValueSentences):
    """Says groups, series, ranks and shares."""

    def say_group(self, plan: Plan) -> str | None:
        measure = plan.measures[0]
        lead, led = self._lead(plan)
        rest = tuple(c for c in plan.conditions if c is not led)
        if measure.name == "count" and len(plan.dimensions) == 1 and not plan.dimensions[0].part:
            return lead + self._grouped_count(plan, rest)
        if self.chance(0.3) and len(plan.dimensions) == 1 and (text := self.ask(measure, rest)):
            singular, plural = self.dimension(plan.dimensions[0], plan.table)
            front = self.words("byfront", {"d": singular, "ds": plural})
            return lead + self.frame(
                "group_ask",
                {"ask": text, "by": self.by(plan.dimensions, plan.table), "dim": singular, "byfront": front},
            )
        return lead + self._grouped("group", plan, self.measure_of(measure, rest))

    def _grouped_count(self, plan: Plan, conditions: tuple[Cond, ...]) -> str:
        singular, plural = self.dimension(plan.dimensions[0], plan.table)
        fillers = {
            "np": self.noun_phrase(plan.table, conditions),
            "by": self.by(plan.dimensions, plan.table),
            "dim": singular,
            "dims": plural,
        }
        fillers["byfront"] = self.words("byfront", {"d": singular, "ds": plural})
        return self.frame("group_count", fillers)

    def say_series(self, plan: Plan) -> str | None:
        measure = plan.measures[0]
        lead, led = self._lead(plan)
        rest = tuple(c for c in plan.conditions if c is not led)
        if self.chance(0.3) and (text := self.ask(measure, rest)):
            return f"{lead}{text} {self.by(plan.dimensions, plan.table)}"
        adjective = english("words").get(f"adjective_{plan.dimensions[0].part}")
        if adjective and self.chance(0.2):
            return f"{lead}{self.rng.choice(adjective)} {self.measure_of(measure, rest)}"
        return lead + self._grouped("series", plan, self.measure_of(measure, rest))

    def say_running(self, plan: Plan) -> str | None:
        return self._grouped("running", plan, self.measure_of(plan.measures[0], plan.conditions))

    def say_running_beside(self, plan: Plan) -> str | None:
        m = self.measure_of(plan.measures[0], plan.conditions)
        return f"{self._grouped('series', plan, m)}{self.one_of(english('words')['and_running'], {})}"

    def say_change(self, plan: Plan) -> str | None:
        return self._changed("change", plan)

    def say_growth(self, plan: Plan) -> str | None:
        return self._changed("growth", plan)

    def _changed(self, key: str, plan: Plan) -> str:
        unit = plan.dimensions[0].part
        versus = self.rng.choice(
            (
                f"{unit} over {unit}",
                f"from {unit} to {unit}",
                f"{unit} by {unit}",
                f"{unit} on {unit}",
                f"against the previous {unit}",
            )
        )
        fillers = {
            "m": self.measure_of(plan.measures[0], plan.conditions),
            "by": self.by(plan.dimensions, plan.table),
            "unit": unit,
            "versus": versus,
        }
        return self.frame(key, fillers)

    def say_rank(self, plan: Plan) -> str | None:
        assert plan.order is not None
        measure, dimension = plan.measures[0], plan.dimensions[0]
        side = "most" if plan.order.descending else "least"
        lead, led = self._lead(plan)
        rest = tuple(c for c in plan.conditions if c is not led)
        singular, plural = self.dimension(dimension, plan.table)
        fillers = {
            "n": "" if plan.one else self._mark(plan),
            "dim": singular,
            "dims": plural,
            "by": self.by((dimension,), plan.table),
        }
        own = self.lexicon.table(plan.table).ranks.get(f"{dimension.owner}.{dimension.column}", {})
        named = (
            own.get(f"{measure.name}.{measure.column}.{side}", ())
            if measure.column
            else own.get(f"count.{side}", ())
        )
        if (
            plan.one
            and named
            and self.chance(0.6)
            and (text := self.framed(named, plan.table, rest, fillers))
        ):
            return lead + text
        if measure.name == "count" and self.chance(0.75):
            fillers["np"] = self.noun_phrase(plan.table, rest)
            if plan.one:
                return lead + self.frame("rank_count" if plan.order.descending else "rank_count_low", fillers)
            if plan.order.descending:
                return lead + self.frame("rank_count_n", fillers)
        words = english("words")
        fillers["hi"] = self.rng.choice(words["hi"])
        fillers["lo"] = self.rng.choice(words["lo"])
        fillers["m"] = self.measure_of(measure, rest)
        key = "rank_one" if plan.one else "rank"
        return lead + self.frame(key if plan.order.descending else f"{key}_low", fillers)

    def say_peak(self, plan: Plan) -> str | None:
        assert plan.order is not None
        singular, _ = self.dimension(plan.dimensions[0], plan.table)
        words = english("words")
        fillers = {"dim": singular, "m": self.measure_of(plan.measures[0], plan.conditions)}
        fillers["hi"] = self.rng.choice(words["hi" if plan.order.descending else "lo"])
        return self.frame("peak", fillers)

    def say_having(self, plan: Plan) -> str | None:
        assert plan.having is not None
        measure = plan.measures[0]
        singular, plural = self.dimension(plan.dimensions[0], plan.table)
        mark = self.slots.mark(plan.having.marks[0])
        counted = measure.name in ("count", "countd")
        cmp = self.words(plan.having.kind + ("_count" if counted else ""), {"n": mark})
        fillers = {"dim": singular, "dims": plural, "cmp": cmp, "by": self.by(plan.dimensions, plan.table)}
        if measure.name == "countd":
            members = self.group_nouns(measure.owner, measure.column, plan.table)
            different = self.rng.choice(("different", "distinct", "", "different"))
            said = f"{different} {members} {self.posts(plan.table, plan.conditions)}".strip()
            return self.frame("having_count", {**fillers, "np": said})
        if counted:
            rows = self.noun_phrase(plan.table, plan.conditions)
            return self.frame("having_count", {**fillers, "np": rows})
        return self.frame("having", {**fillers, "m": self.measure_of(measure, plan.conditions)})

    def say_share(self, plan: Plan) -> str | None:
        return self._grouped("share", plan, self.measure_of(plan.measures[0], plan.conditions))

    def say_share_within(self, plan: Plan) -> str | None:
        outer, inner = (self.dimension(d, plan.table) for d in plan.dimensions)
        m = self.measure_of(plan.measures[0], plan.conditions)
        fillers = {"dim": outer[0], "dims": outer[1], "inner": inner[0], "inners": inner[1], "m": m}
        return self.frame("share_within", fillers)

    def say_above_group(self, plan: Plan) -> str | None:
        _, plural = self.dimension(plan.dimensions[0], plan.table)
        return self.frame(
            plan.shape, {"dims": plural, "m": self.measure_of(plan.measures[0], plan.conditions)}
        )

    say_below_group = say_above_group
