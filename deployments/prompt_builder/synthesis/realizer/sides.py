"""Sentences that put things side by side."""

from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.realizer.groups import GroupSentences

_COUNTED = frozenset({"count"})


class SideSentences(GroupSentences):
    """Says comparisons, and parents with figures of their children."""

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

    def say_child(self, plan: Plan) -> str | None:
        nouns = [self.column_noun(c, plan.table) for c in plan.columns] + [
            self.measure_noun(m) for m in plan.measures
        ]
        if not plan.order and self.chance(0.4):
            self.rng.shuffle(nouns)
        fillers = {"cols": self.joined(nouns, "and"), "np": self.noun_phrase(plan.table, plan.conditions)}
        fillers["np1"] = self.noun_phrase(plan.table, plan.conditions, plural=False)
        return self.frame("child", fillers)
