"""Whole questions from plans."""

from collections.abc import Callable

from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.realizer.special import SpecialSentences


class Realizer(SpecialSentences):
    """One method ``say_…`` per shape of plan; the result carries slot marks."""

    def realize(self, plan: Plan) -> str | None:
        self.root = plan.table
        method: Callable[[Plan], str | None] = getattr(self, f"say_{plan.shape}")
        text = method(plan)
        return None if text is None else self._with_order(text, plan)

    def _with_order(self, text: str, plan: Plan) -> str:
        if plan.order is None or plan.limit is not None or plan.one or plan.shape == "which":
            return text
        return f"{text}{self.rng.choice((', ', ' ', ', ', ' - ', '. '))}{self.order_tail(plan.order)}"
