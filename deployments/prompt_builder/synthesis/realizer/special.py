"""Sentences of the rarer shapes."""

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.realizer.sides import SideSentences

_CHANGES = {
    "none": ("",),
    "difference": english("words")["and_difference"],
    "percent": english("words")["and_percent"],
}


class SpecialSentences(SideSentences):
    """Says entities, dates of events, gaps, champions, yes or no, both and neither."""

    def say_entity(self, plan: Plan) -> str | None:
        cols = self._columns(plan)
        named = [c for c in plan.conditions if c.column == plan.dimensions[0].column]
        if named:
            name = self.slots.mark(named[0].marks[0])
            own = (
                self.lexicon.column(plan.table, plan.columns[0].column).ask if len(plan.columns) == 1 else ()
            )
            if own and self.chance(0.6):
                return self.one_of(own, {"x": name})
            return self.frame("attribute", {"x": name, "cols": cols})
        people, rest = self.members(plan)
        post = self.posts(plan.table, rest)
        return self.frame("list_columns", {"np": f"{people} {post}".strip(), "cols": cols})

    def say_when(self, plan: Plan) -> str | None:
        measure = plan.measures[0]
        side = "last" if measure.name == "max" else "first"
        main = self.lexicon.world.tables[plan.table].date == measure.column
        tail = f" {self.by(plan.dimensions, plan.table)}" if plan.dimensions else ""
        own = self.own(measure).asks
        if own and self.chance(0.5) and (text := self.framed(own, plan.table, plan.conditions)):
            return text + tail
        if not main:
            term = self.lexicon.term(self.rng, plan.table, measure.column)
            sup = self.rng.choice(english("words")["hi_date" if side == "last" else "lo_date"])
            return f"{sup} {term} of {self.noun_phrase(plan.table, plan.conditions)}{tail}"
        fillers = {
            "np": self.noun_phrase(plan.table, plan.conditions),
            "np1": self.noun_phrase(plan.table, plan.conditions, plural=False),
        }
        return self.frame(f"when_{side}", fillers) + tail

    def say_since(self, plan: Plan) -> str | None:
        tail = f" {self.by(plan.dimensions, plan.table)}" if plan.dimensions else ""
        rows = self.noun_phrase(plan.table, plan.conditions, plural=False)
        column = self.lexicon.column(plan.table, plan.measures[0].column)
        main = self.lexicon.world.tables[plan.table].date == plan.measures[0].column
        if not main and not column.within:
            return None
        said = "" if main else f" by {self.lexicon.term(self.rng, plan.table, plan.measures[0].column)}"
        return self.frame("since", {"np1": rows + said}) + tail

    def say_gap(self, plan: Plan) -> str | None:
        fillers = {
            "np": self.noun_phrase(plan.table, plan.conditions),
            "np1": self.noun_phrase(plan.table, plan.conditions, plural=False),
        }
        return self.frame("gap", fillers)

    def say_average_gap(self, plan: Plan) -> str | None:
        return self.frame("average_gap", {"np": self.noun_phrase(plan.table, plan.conditions)})

    def say_nth(self, plan: Plan) -> str | None:
        assert plan.order is not None
        sup, _ = self.superlative(plan.order)
        words = {"2": ("second", "2nd", "second"), "3": ("third", "3rd", "third")}[plan.note]
        rows = self.noun_phrase(plan.table, plan.conditions, plural=False)
        return self.frame("nth", {"nth": self.rng.choice(words), "sup": sup, "np1": rows})

    def say_derived(self, plan: Plan) -> str | None:
        kind, *more = plan.note.split()
        a, b = (self.column_noun(c, plan.table) for c in plan.columns)
        fillers = {
            "a": a,
            "b": b,
            "np": self.noun_phrase(plan.table, plan.conditions),
            "np1": self.noun_phrase(plan.table, plan.conditions, plural=False),
        }
        text = self.frame(f"derived_{kind}", fillers)
        if "both" in more:
            text = self.say("{a}, {b} and the (difference|gap) (for|per) {np}", fillers)
        if "sorted" in more:
            text += f", {self.one_of(english('words')['order_hi'], {'t': kind})}"
        return text

    def say_champion(self, plan: Plan) -> str | None:
        assert plan.order is not None
        outer, inner = (self.dimension(d, plan.table) for d in plan.dimensions)
        words = english("words")["hi" if plan.order.descending else "lo"]
        fillers = {
            "dim": outer[0],
            "inner": inner[0],
            "inners": inner[1],
            "hi": self.rng.choice(words),
            "m": self.measure_of(plan.measures[0], plan.conditions),
        }
        if plan.one:
            return self.frame("champion_one", fillers)
        if not plan.order.descending:
            most = f"{fillers['hi']} {fillers['m']}"
            return f"the {self._mark(plan)} {inner[1]} with the {most} for each {outer[0]}"
        return self.frame("champion", {**fillers, "n": self._mark(plan)})

    def say_duplicates(self, plan: Plan) -> str | None:
        column = plan.dimensions[0]
        singular = self.lexicon.term(self.rng, column.owner, column.column)
        fillers = {"t": singular, "ts": f"{singular}s", "np": self.noun_phrase(plan.table, plan.conditions)}
        return self.frame("duplicates", fillers)

    def say_yesno(self, plan: Plan) -> str | None:
        name = self.slots.mark(plan.conditions[0].marks[0])
        term = self.lexicon.term(self.rng, plan.pair[0].owner, plan.pair[0].column)
        own = self.lexicon.derived_phrases(plan.pair[0].owner, plan.pair[0].column)
        said = self.rng.choice(own.adjectives) if own.adjectives and self.chance(0.3) else term
        return self.frame("yesno", {"x": name, "p": said})

    def say_both(self, plan: Plan) -> str | None:
        people = self.dimension(plan.dimensions[0], plan.table)[1]
        a, b = (self.slots.mark(m) for m in plan.pair[0].marks)
        fillers = {"dims": people, "a": a, "b": b, "rows": self.lexicon.noun(self.rng, plan.table)}
        link = self.say(
            self.rng.choice(self.lexicon.table(plan.table).links.get(plan.pair[0].owner, ("for",))), {}
        )
        text = self.frame("both", {**fillers, "link": link})
        return f"{text} {self.posts(plan.table, plan.conditions)}".strip()

    def say_absent(self, plan: Plan) -> str | None:
        people = self.dimension(plan.dimensions[0], plan.table)[1]
        post = self.posts(plan.table, plan.conditions)
        return self.frame(
            "absent", {"dims": people, "post": post, "rows": self.lexicon.noun(self.rng, plan.table)}
        )

    def say_split(self, plan: Plan) -> str | None:
        parts = [self.value_words(p)[0] for p in plan.pair]
        fillers = {
            "parts": self.joined(parts, self.rng.choice(("and", "and", "&", "vs", "plus"))),
            "m": self.measure_of(plan.measures[0], plan.conditions),
        }
        if plan.dimensions:
            return self.frame("split_by", {**fillers, "by": self.by(plan.dimensions, plan.table)})
        return self.frame("split", fillers)

    def say_quotient(self, plan: Plan) -> str | None:
        a, b = (self.value_words(p)[0] for p in plan.pair)
        tail = f" {self.by(plan.dimensions, plan.table)}" if plan.dimensions else ""
        m = self.measure_of(plan.measures[0], plan.conditions)
        return self.frame("quotient", {"a": a, "b": b, "m": m}) + tail

    def say_rate(self, plan: Plan) -> str | None:
        singular, _ = self.dimension(plan.dimensions[0], plan.table)
        return self.frame("rate", {"m": self.measure_of(plan.measures[0], plan.conditions), "dim": singular})

    def say_yearly(self, plan: Plan) -> str | None:
        a, b = (self.slots.mark(c.marks[0]) for c in plan.pair)
        tail = f" {self.by(plan.dimensions, plan.table)}" if plan.dimensions else ""
        change = self.rng.choice(_CHANGES[plan.note])
        m = self.measure_of(plan.measures[0], plan.conditions)
        return self.frame("yearly", {"m": m, "a": a, "b": b}) + tail + self.say(change, {})

    def say_balance(self, plan: Plan) -> str | None:
        a, b = (self.measure_noun(m) for m in plan.measures)
        fillers = {
            "a": a,
            "b": b,
            "np": self.noun_phrase(plan.table, plan.conditions),
            "np1": self.noun_phrase(plan.table, plan.conditions, plural=False),
        }
        return self.frame("balance_gap" if plan.note == "gap" else "balance_exceeds", fillers)
