"""Samples plans: query specifications over any schema and pack, composed from its tables, measures and
conditions.
"""

from collections.abc import Callable

from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.shapes.special import SpecialShapes


class PlanSampler(SpecialShapes):
    """One method ``shape_…`` per shape; each returns None where the table drawn cannot carry the shape."""

    def sample(self, shape: str, tries: int = 20) -> Plan | None:
        method: Callable[[], Plan | None] = getattr(self, f"shape_{shape}")
        for _ in range(tries):
            self.slots.slots.clear()
            plan = method()
            if plan is not None:
                return plan
        return None
