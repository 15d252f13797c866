"""Sentences that ask for rows."""

from deployments.prompt_builder.query_spec.nodes import Placeholder
from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Cond, Plan
from deployments.prompt_builder.synthesis.realizer.lexicon import plural_of
from deployments.prompt_builder.synthesis.realizer.measures import MeasurePhraser

_COUNTED = frozenset({"count"})


class RowSentences(MeasurePhraser):
    """Says lists, attributes, tops and distinct names."""

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
            noun = self.lexicon.noun(self.rng, plan.table, plural=False)
            name = f"{self.rng.choice(('the ', ''))}{name} {noun}"
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
            rows = self.noun_phrase(plan.table, plan.conditions)
            return f"{self._mark(plan)} {sup} {rows} per {fillers['dim']}"
        return self._led("top_per", plan, {"np": plan.conditions}, {**fillers, "n": self._mark(plan)})

    def members(self, plan: Plan) -> tuple[str, tuple[Cond, ...]]:
        """(plural of the plan's dimension, the conditions still to be said): "electricians" says a trade."""
        dimension = plan.dimensions[0]
        by = self.lexicon.table(plan.table).persons.get(f"{dimension.owner}.{dimension.column}")
        for cond in plan.conditions:
            if by == f"{cond.owner}.{cond.column}" and cond.kind in ("word", "words") and self.chance(0.8):
                rest = tuple(c for c in plan.conditions if c is not cond)
                return self.joined([plural_of(w) for w in self.value_words(cond)]), rest
        return self.dimension(dimension, plan.table)[1], plan.conditions

    def say_distinct(self, plan: Plan) -> str | None:
        dimension = plan.dimensions[0]
        own = self.lexicon.table(plan.table).distincts.get(f"{dimension.owner}.{dimension.column}", ())
        if own and self.chance(0.65) and (text := self.framed(own, plan.table, plan.conditions)):
            return text
        dims, rest = self.members(plan)
        return self.frame("distinct", {"dims": dims, "post": self.with_rows(plan.table, rest)})

    def with_rows(self, table: str, conditions: tuple[Cond, ...]) -> str:
        """What follows a noun that is not the table's own: "with pending expenses", "on permits at
        Riverside".
        """
        if not conditions:
            return ""
        if self.chance(0.5):
            link = self.rng.choice(("with", "for", "that have", "on", "having"))
            return f"{link} {self.noun_phrase(table, conditions)}"
        return self.posts(table, conditions)
