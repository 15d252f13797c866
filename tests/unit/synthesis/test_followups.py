import random
from datetime import date

import pytest

from deployments.prompt_builder.house.form import THEN, prompt_form
from deployments.prompt_builder.query_spec.nodes import Placeholder, QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.tokens import encode
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.followups import FollowUps
from deployments.prompt_builder.synthesis.slots import SlotTable
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer

TODAY = date(2026, 11, 20)


def _change(synthesizer: Synthesizer, spec: str, kind: str, seed: int = 0) -> QuerySpec | None:
    before = parse(spec, synthesizer.context)
    assert isinstance(before, QuerySpec)
    made = FollowUps(random.Random(seed), synthesizer.world, synthesizer.lexicon, SlotTable(), TODAY.year)
    found = made.change(before, kind)
    return found.spec if found else None


def test_counting_a_list(library: Synthesizer) -> None:
    assert _change(library, "loans where status = 'open'", "count") == parse(
        "loans show count() where status = 'open'", library.context
    )


def test_a_filter_keeps_what_was_asked(library: Synthesizer) -> None:
    before = parse("loans where status = 'open'", library.context)
    after = _change(library, "loans where status = 'open'", "filter")

    assert isinstance(before, QuerySpec)
    assert after is not None
    assert after.where[:1] == before.where
    assert len(after.where) == 2


def test_swapping_replaces_a_condition(library: Synthesizer) -> None:
    drawn = (
        _change(library, "books show sum(price) where genre = 'novel'", "swap", seed) for seed in range(9)
    )
    after = next(spec for spec in drawn if spec is not None)

    assert len(after.where) == 1
    assert after.show == parse("books show sum(price)", library.context).show  # type: ignore[union-attr]


def test_grouping_needs_a_total(library: Synthesizer) -> None:
    grouped = _change(library, "books show sum(price)", "group")

    assert grouped is not None
    assert len(grouped.show) == 2
    assert _change(library, "books where genre = 'novel'", "group") is None


def test_ungrouping_goes_back_to_the_total(library: Synthesizer) -> None:
    assert _change(library, "books show genre, sum(price)", "ungroup") == parse(
        "books show sum(price)", library.context
    )


@pytest.mark.parametrize("seed", range(150))
def test_prompts_and_targets_of_turns_fit_together(synthesizer: Synthesizer, seed: int) -> None:
    """The target's placeholders are those of the prompt: the turn's own and those of the meaning before."""
    example = synthesizer.follow_up(random.Random(seed))
    if example is None:
        return
    form = prompt_form(example.linked, example.previous, synthesizer.context)
    used = {node.name for node in walk(example.spec) if isinstance(node, Placeholder)}

    assert used <= {link.placeholder for link in form.links}
    assert THEN in form.text
    assert encode(example.spec, synthesizer.context)
