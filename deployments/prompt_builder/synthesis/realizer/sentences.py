"""Whole questions: one method per shape of plan."""

from collections.abc import Callable

from deployments.prompt_builder.query_spec.nodes import Placeholder
from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Cond, Measure, Plan
from deployments.prompt_builder.synthesis.realizer.lexicon import plural_of
from deployments.prompt_builder.synthesis.realizer.measures import MeasurePhraser

_COUNTED = frozenset({"count"})


class Realizer(MeasurePhraser):
    """Says a plan; the result carries slot marks."""

    def realize(self, plan: Plan) -> str | None:
        method: Callable[[Plan], str | None] = getattr(self, f"say_{plan.shape}")
        text = method(plan)
        return None if text is None else self._with_order(text, plan)

    def _with_order(self, text: str, plan: Plan) -> str:
        if plan.order is None or plan.limit is not None or plan.one or plan.shape == "which":
            return text
        return f"{text}{self.rng.choice((', ', ' ', ', ', ' - ', '. '))}{self.order_tail(plan.order)}"

    def frame(self, key: str, fillers: dict[str, str]) -> str:
        """One of the shape's frames."""
        return self.one_of(english("frames")[key], fillers)

    def say_list(self, plan: Plan) -> str | None:
        own = self.lexicon.table(plan.table)
        if own.lists and self.chance(0.3) and (text := self.framed(own.lists, plan.table, plan.conditions)):
            return text
        if own.who and self.chance(0.3):
            text = self._who(own.who, plan)
            if text:
                return text
        if plan.conditions and self.chance(0.3):
            cond = self.rng.choice(plan.conditions)
            clause = self.clause(cond) if cond.owner == plan.table else None
            if clause:
                rest = tuple(c for c in plan.conditions if c is not cond)
                return self.frame("list_clause", {"np": self.noun_phrase(plan.table, rest), "clause": clause})
        return self._led("list", plan, {"np": plan.conditions, "np1": plan.conditions})

    def _who(self, who: dict[str, tuple[str, ...]], plan: Plan) -> str | None:
        """Frames bound to one condition: vendor_type=equipment_rental -> "who do we rent equipment from"."""
        for need, sources in who.items():
            column, _, value = need.partition("=")
            for cond in plan.conditions:
                if cond.column == column and cond.words == (value,) and cond.kind == "word":
                    rest = tuple(c for c in plan.conditions if c is not cond)
                    return self.framed(sources, plan.table, rest)
        return None

    def _led(
        self, key: str, plan: Plan, parts: dict[str, tuple[Cond, ...]], fillers: dict[str, str] | None = None
    ) -> str:
        """A frame with noun phrases; sometimes one condition is said first: "For Riverside, …"."""
        lead, led = self._lead(plan)
        values = dict(fillers or {})
        for name, conditions in parts.items():
            rest = tuple(c for c in conditions if c is not led)
            values[name] = self.noun_phrase(plan.table, rest, plural=name != "np1")
        return lead + self.frame(key, values)

    def _lead(self, plan: Plan) -> tuple[str, Cond | None]:
        """A fronted condition and which one it is."""
        if not plan.conditions or not self.chance(0.13):
            return "", None
        cond = self.rng.choice(plan.conditions)
        info = self.lexicon.world.tables[cond.owner]
        if cond.owner != plan.table and cond.kind == "name" and cond.column == info.label:
            name = self.slots.mark(cond.marks[0])
            forms = (
                f"for {name}, ",
                f"{name}: ",
                f"{name} - ",
                f"on {name}, ",
                f"{name}, ",
                f"at {name}: ",
                f"{name} ",
            )
            return self.rng.choice(forms), cond
        if cond.kind == "date" and cond.column == info.date and cond.owner == plan.table:
            return f"{self.slots.mark(cond.marks[0])}{self.rng.choice((', ', ': ', ' '))}", cond
        if (
            cond.kind == "word"
            and self.lexicon.usage(cond.owner, cond.column) == "kind"
            and cond.owner == plan.table
        ):
            return f"{self.value_words(cond)[0]}{self.rng.choice((': ', ' - ', ', '))}", cond
        return "", None

    def _columns(self, plan: Plan) -> str:
        nouns = [self.column_noun(c, plan.table) for c in plan.columns]
        if self.chance(0.2):
            nouns = [plural_of(n) if " " not in n and n[-1] not in "s)" else n for n in nouns]
        return self.joined(
            nouns, self.rng.choice(("and", "and", "&", ",")) if len(nouns) > 1 else None
        ).replace(" , ", ", ")

    def say_columns(self, plan: Plan) -> str | None:
        return self._led("list_columns", plan, {"np": plan.conditions}, {"cols": self._columns(plan)})

    def say_attribute(self, plan: Plan) -> str | None:
        cond = plan.conditions[0]
        name = self.slots.mark(cond.marks[0])
        if len(plan.columns) == 1:
            column = plan.columns[0]
            own = self.lexicon.column(column.owner, column.column).ask
            if own and self.chance(0.6):
                return self.one_of(own, {"x": name})
        if self.chance(0.15):
            name = f"{self.rng.choice(('the ', ''))}{name} {self.lexicon.noun(self.rng, plan.table, plural=False)}"
        return self.frame("attribute", {"x": name, "cols": self._columns(plan)})

    def say_top(self, plan: Plan) -> str | None:
        assert plan.order is not None
        sup, noun = self.superlative(plan.order)
        if plan.one:
            return self._led("top_one", plan, {"np1": plan.conditions}, {"sup": sup, "t": noun})
        n = self._mark(plan)
        if not plan.order.descending:
            sources = tuple(s for s in english("frames")["top"] if "top {n}" not in s and "{sup}" in s)
            text = self.noun_phrase(plan.table, plan.conditions)
            return self.say(self.rng.choice(sources), {"n": n, "sup": sup, "t": noun, "np": text})
        return self._led("top", plan, {"np": plan.conditions}, {"n": n, "sup": sup, "t": noun})

    def _mark(self, plan: Plan) -> str:
        assert isinstance(plan.limit, Placeholder)
        return self.slots.mark(plan.limit)

    def say_latest(self, plan: Plan) -> str | None:
        return self._led(
            "latest",
            plan,
            {"np1": plan.conditions},
            {"dim": self.dimension(plan.dimensions[0], plan.table)[0]},
        )

    def say_top_per(self, plan: Plan) -> str | None:
        assert plan.order is not None
        sup, noun = self.superlative(plan.order)
        fillers = {"sup": sup, "t": noun, "dim": self.dimension(plan.dimensions[0], plan.table)[0]}
        if plan.one:
            return self._led("one_per", plan, {"np1": plan.conditions}, fillers)
        if not plan.order.descending:
            return f"{self._mark(plan)} {sup} {self.noun_phrase(plan.table, plan.conditions)} per {fillers['dim']}"
        return self._led("top_per", plan, {"np": plan.conditions}, {**fillers, "n": self._mark(plan)})

    def say_distinct(self, plan: Plan) -> str | None:
        dimension = plan.dimensions[0]
        own = self.lexicon.table(plan.table).distincts.get(f"{dimension.owner}.{dimension.column}", ())
        if own and self.chance(0.65) and (text := self.framed(own, plan.table, plan.conditions)):
            return text
        dims = self.dimension(dimension, plan.table)[1]
        return self.frame("distinct", {"dims": dims, "post": self.with_rows(plan)})

    def with_rows(self, plan: Plan) -> str:
        """What follows a noun that is not the table's own: "with pending expenses", "on permits at Riverside"."""
        if self.chance(0.6):
            link = self.rng.choice(("with", "for", "that have", "in", "on", "having", "appearing in"))
            return f"{link} {self.noun_phrase(plan.table, plan.conditions)}"
        return self.posts(plan.table, plan.conditions)

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
        return self.frame("count_distinct", {"dims": dims, "post": self.with_rows(plan)})

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
        return f"{joined} {self.rng.choice(('of', 'for', 'of', 'on'))} {self.noun_phrase(plan.table, conditions)}"

    def _bare(self, measure: Measure) -> str:
        if measure.name == "count":
            return self.rng.choice(("count", "number", "how many", "the number"))
        own = self.own(measure)
        if own.nouns and self.chance(0.4):
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
        counted = measure.name in _COUNTED
        cmp = self.words(plan.having.kind + ("_count" if counted else ""), {"n": mark})
        fillers = {"dim": singular, "dims": plural, "cmp": cmp, "by": self.by(plan.dimensions, plan.table)}
        if counted:
            return self.frame(
                "having_count", {**fillers, "np": self.noun_phrase(plan.table, plan.conditions)}
            )
        return self.frame("having", {**fillers, "m": self.measure_of(measure, plan.conditions)})

    def say_share(self, plan: Plan) -> str | None:
        return self._grouped("share", plan, self.measure_of(plan.measures[0], plan.conditions))

    def say_percent(self, plan: Plan) -> str | None:
        part, measure = plan.pair[0], plan.measures[0]
        tail = f" {self.by(plan.dimensions, plan.table)}" if plan.dimensions else ""
        clause = self.clause(part)
        if measure.name == "count" and clause:
            return (
                self.frame(
                    "percent_count", {"np": self.noun_phrase(plan.table, plan.conditions), "clause": clause}
                )
                + tail
            )
        said = (
            self.joined(self.value_words(part))
            if part.words
            else self.lexicon.term(self.rng, part.owner, part.column)
        )
        return self.frame("percent", {"m": self.measure_of(measure, plan.conditions), "part": said}) + tail

    def say_above_group(self, plan: Plan) -> str | None:
        _, plural = self.dimension(plan.dimensions[0], plan.table)
        return self.frame(
            plan.shape, {"dims": plural, "m": self.measure_of(plan.measures[0], plan.conditions)}
        )

    say_below_group = say_above_group

    def say_compare(self, plan: Plan) -> str | None:
        a, b = (
            self.joined(self.value_words(c)) if c.kind != "date" else self.slots.mark(c.marks[0])
            for c in plan.pair[1:]
        )
        measure = plan.measures[0]
        if self.chance(0.35) and (text := self.ask(measure, plan.conditions)):
            return self.frame("compare_ask", {"ask": text, "a": a, "b": b})
        return self.frame("compare", {"m": self.measure_of(measure, plan.conditions), "a": a, "b": b})

    def say_which(self, plan: Plan) -> str | None:
        assert plan.order is not None
        a, b = (self.joined(self.value_words(c)) for c in plan.pair[1:])
        key = "which_more" if plan.order.descending else "which_less"
        return self.frame(key, {"m": self.measure_of(plan.measures[0], plan.conditions), "a": a, "b": b})

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
        bands += [f"{low}{joint}{high}" for low, high in zip(marks, marks[1:], strict=False)]
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

    def say_child(self, plan: Plan) -> str | None:
        nouns = [self.column_noun(c, plan.table) for c in plan.columns] + [
            self.measure_noun(m) for m in plan.measures
        ]
        if not plan.order and self.chance(0.4):
            self.rng.shuffle(nouns)
        fillers = {"cols": self.joined(nouns, "and"), "np": self.noun_phrase(plan.table, plan.conditions)}
        fillers["np1"] = self.noun_phrase(plan.table, plan.conditions, plural=False)
        return self.frame("child", fillers)
