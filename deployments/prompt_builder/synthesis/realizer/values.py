"""Sentences that ask for one value or a few."""

import itertools

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Cond, Measure, Plan
from deployments.prompt_builder.synthesis.realizer.rows import RowSentences

_COUNTED = frozenset({"count"})


class ValueSentences(RowSentences):
    """Says counts, aggregates, shares and averages."""

    def say_count(self, plan: Plan) -> str | None:
        own = self.lexicon.table(plan.table).counts
        if own and self.chance(0.25) and (text := self.framed(own, plan.table, plan.conditions)):
            return text
        if plan.conditions and self.chance(0.25):
            cond = self.rng.choice(plan.conditions)
            clause = self.clause(cond) if cond.owner == plan.table else None
            if clause:
                rest = tuple(c for c in plan.conditions if c is not cond)
                return self.frame(
                    "count_clause", {"np": self.noun_phrase(plan.table, rest), "clause": clause}
                )
        return self._led("count", plan, {"np": plan.conditions})

    def say_count_distinct(self, plan: Plan) -> str | None:
        measure = plan.measures[0]
        own = self.own(measure)
        if own.asks and self.chance(0.5) and (text := self.framed(own.asks, plan.table, plan.conditions)):
            return text
        dims = self.group_nouns(measure.owner, measure.column, plan.table)
        return self.frame(
            "count_distinct", {"dims": dims, "post": self.with_rows(plan.table, plan.conditions)}
        )

    def say_agg(self, plan: Plan) -> str | None:
        measure = plan.measures[0]
        lead, led = self._lead(plan)
        rest = tuple(c for c in plan.conditions if c is not led)
        if self.chance(0.5) and (text := self.ask(measure, rest)):
            return lead + text
        return lead + self.frame("agg", {"m": self.measure_of(measure, rest)})

    def _measures(self, plan: Plan, conditions: tuple[Cond, ...]) -> str:
        """Several measures of the same rows: "count and total amount of …"."""
        if len(plan.measures) == 1:
            return self.measure_of(plan.measures[0], conditions)
        nouns = [self._bare(m) for m in plan.measures]
        joined = self.joined(nouns, self.rng.choice(("and", "and", "&", "plus", "as well as")))
        link = self.rng.choice(("of", "for", "of", "on"))
        return f"{joined} {link} {self.noun_phrase(plan.table, conditions)}"

    def _bare(self, measure: Measure) -> str:
        if measure.name == "count":
            return self.rng.choice(("count", "number", "how many", "the number"))
        own = self.own(measure)
        if own.nouns and (measure.formula is not None or self.chance(0.4)):
            return self.say(self.rng.choice(own.nouns), {})
        return self.words(measure.name, {"t": self.lexicon.term(self.rng, measure.table, measure.column)})

    def say_multi(self, plan: Plan) -> str | None:
        text = self._measures(plan, plan.conditions)
        if plan.dimensions:
            return self._grouped("group", plan, text)
        return self.frame("agg", {"m": text})

    def _grouped(self, key: str, plan: Plan, m: str) -> str:
        singular, plural = self.dimension(plan.dimensions[0], plan.table)
        front = (
            self.words("byfront", {"d": singular, "ds": plural})
            if not plan.dimensions[0].part
            else self.by(plan.dimensions, plan.table)
        )
        fillers = {
            "m": m,
            "by": self.by(plan.dimensions, plan.table),
            "byfront": front,
            "dim": singular,
            "dims": plural,
            "post": "",
        }
        if len(plan.dimensions) == 2:
            key, fillers["byfront"] = "series", fillers["by"]
        return self.frame(key, fillers)

    def say_percent(self, plan: Plan) -> str | None:
        part, measure = plan.pair[0], plan.measures[0]
        tail = f" {self.by(plan.dimensions, plan.table)}" if plan.dimensions else ""
        if plan.note == "sorted":
            tail += f", {self.one_of(english('words')['order_hi'], {'t': 'percentage'})}"
        elif plan.note == "above":
            above = self.words("more", {"n": self._mark(plan)})
            tail += self.rng.choice((f", only {above}", f", just those {above}", f" where it is {above}"))
        clause = self.clause(part)
        if measure.name == "count" and clause:
            rows = self.noun_phrase(plan.table, plan.conditions)
            return self.frame("percent_count", {"np": rows, "clause": clause}) + tail
        m = self.measure_of(measure, plan.conditions)
        if part.words:
            said = self.joined(self.value_words(part))
        elif part.kind == "predicate":
            said = self.term(part)
        else:
            said = self.posts(plan.table, (part,))
        return self.frame("percent", {"m": m, "part": said}) + tail

    def say_nested(self, plan: Plan) -> str | None:
        unit = plan.dimensions[0].part
        measure = plan.measures[0]
        adjective = english("words").get(f"adjective_{unit}", (unit,))
        m = self.measure_of(measure, plan.conditions)
        return self.frame(
            "nested", {"m": m, "unit": unit, "unit_adj": self.rng.choice(adjective), "t": "", "post": ""}
        )

    def say_bucket(self, plan: Plan) -> str | None:
        marks = [self.slots.mark(m) for m in plan.extra.values()]
        bands = [f"{self.rng.choice(('under', 'below', 'up to', '<'))} {marks[0]}"]
        joint = self.rng.choice((" to ", "-", " - "))
        bands += [f"{low}{joint}{high}" for low, high in itertools.pairwise(marks)]
        bands.append(
            self.rng.choice(
                (
                    f"over {marks[-1]}",
                    f"{marks[-1]} and up",
                    f"above {marks[-1]}",
                    f"{marks[-1]}+",
                    f"{marks[-1]} or more",
                )
            )
        )
        dimension = plan.dimensions[0]
        noun = self.lexicon.term(self.rng, dimension.owner, dimension.column)
        return self.frame(
            "bucket",
            {"np": self.noun_phrase(plan.table, plan.conditions), "t": noun, "bands": ", ".join(bands)},
        )
