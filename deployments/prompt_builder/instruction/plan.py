"""What stands in an instruction prompt, and the order in which parts leave it when the budget is short."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from deployments.prompt_builder.instruction.wording import heading
from deployments.prompt_builder.schema_text import names_text

TermScope = Literal["all", "needed", "none"]

# Named tables shown when even their names are too many.
FEWEST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each part is used. Tables count in order of usefulness, exchanges from the latest back."""

    examples: int
    exchanges: int
    sampled_tables: int
    full_tables: int
    named_tables: int
    terms: TermScope = "all"
    comments: bool = True
    rejected_sql: bool = True


@dataclass(frozen=True, slots=True)
class Materials:
    """Every piece of text that a prompt may hold, ready to be laid out."""

    instructions: str
    schema_order: tuple[str, ...]
    by_usefulness: tuple[str, ...]
    needed: int
    table_texts: dict[tuple[str, bool, bool], str]
    terms: dict[TermScope, tuple[str, ...]]
    examples: tuple[str, ...]
    exchanges: tuple[str, ...]
    question: str
    output_format: str
    rejected: str | None = None
    rejected_reason: str | None = None

    def fullest(self) -> Plan:
        tables = len(self.by_usefulness)
        return Plan(len(self.examples), len(self.exchanges), tables, tables, tables)

    def rungs(self) -> tuple[Plan, ...]:
        """Ever smaller plans: examples go first, then older exchanges, then samples, then tables."""
        return tuple(self._shrinking(self.fullest()))

    def _shrinking(self, plan: Plan) -> Iterator[Plan]:
        yield plan
        for examples in reversed(range(plan.examples)):
            yield (plan := replace(plan, examples=examples))
        for exchanges in reversed(range(1, plan.exchanges)):
            yield (plan := replace(plan, exchanges=exchanges))
        yield (plan := replace(plan, sampled_tables=min(self.needed, plan.sampled_tables)))
        yield (plan := replace(plan, terms="needed"))
        for tables in reversed(range(self.needed, plan.full_tables)):
            yield (plan := replace(plan, full_tables=tables))
        yield (plan := replace(plan, sampled_tables=0))
        yield (plan := replace(plan, comments=False))
        yield (plan := replace(plan, terms="none"))
        yield (plan := replace(plan, exchanges=0))
        yield (plan := replace(plan, named_tables=min(FEWEST_NAMES, plan.named_tables)))
        yield (plan := replace(plan, rejected_sql=False))
        # From here on even needed tables go; what is left can still answer about the most useful ones.
        for tables in reversed(range(1, plan.full_tables)):
            yield (plan := replace(plan, full_tables=tables))

    def layout(self, plan: Plan) -> tuple[list[str], list[str]]:
        """The texts of the fixed half (instructions to examples) and of the question's half, in order."""
        in_full = set(self.by_usefulness[: plan.full_tables])
        sampled = set(self.by_usefulness[: plan.sampled_tables])
        fixed = [self.instructions, heading("Schema")]
        fixed += [
            self.table_texts[name, name in sampled, plan.comments]
            for name in self.schema_order
            if name in in_full
        ]
        if named := self.by_usefulness[plan.full_tables :]:
            fixed.append(names_text(named, plan.named_tables))
        fixed += _part("Terminology", self.terms[plan.terms])
        fixed += _part("Examples", self.examples[: plan.examples])
        asked = _part("Conversation", self.exchanges[len(self.exchanges) - plan.exchanges :])
        asked.append(self.question)
        rejected = self.rejected if plan.rejected_sql else self.rejected_reason
        return fixed, [*asked, *([rejected] if rejected else []), self.output_format]

    def pieces(self) -> tuple[str, ...]:
        """Every text whose size decides between plans, except the list of named tables."""
        fullest = [text for half in self.layout(self.fullest()) for text in half]
        return (
            *fullest,
            *self.table_texts.values(),
            *self.terms["needed"],
            self.rejected_reason or "",
            "(none)",
        )

    def dropped(self, plan: Plan) -> tuple[str, ...]:
        """What a plan leaves out, in words."""
        full = self.fullest()
        missing = len(self.by_usefulness) - plan.full_tables
        lost = (
            _count(full.examples - plan.examples, "example"),
            _count(full.exchanges - plan.exchanges, "earlier exchange"),
            _count(self._without_samples(plan), "table", " without sample values"),
            ""
            if plan.terms == "all"
            else "terminology of other tables"
            if plan.terms == "needed"
            else "terminology",
            "" if plan.comments else "comments of tables and columns",
            _count(missing, "table", " only named"),
            "" if plan.rejected_sql or not self.rejected else "the rejected statement",
        )
        return tuple(words for words in lost if words)

    def _without_samples(self, plan: Plan) -> int:
        """Tables in full that have sample values and lost them."""
        lost = self.by_usefulness[plan.sampled_tables : plan.full_tables]
        return sum(self.table_texts[name, True, True] != self.table_texts[name, False, True] for name in lost)


def _part(name: str, lines: tuple[str, ...]) -> list[str]:
    """A part always stands in its place; an empty one says so."""
    return [heading(name), *(lines or ("(none)",))]


def _count(number: int, noun: str, suffix: str = "") -> str:
    if number <= 0:
        return ""
    return f"{number} {noun}{'' if number == 1 else 's'}{suffix}"
