"""What is said is what is meant: words of the question against parts of the specification."""

import random
import re
from collections.abc import Iterator

from deployments.prompt_builder.query_spec.nodes import Aggregate, Cannot, Placeholder, TextLiteral
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.plan import Plan
from deployments.prompt_builder.synthesis.realizer.sentences import Realizer
from deployments.prompt_builder.synthesis.sampler import PlanSampler
from deployments.prompt_builder.synthesis.slots import SlotTable, extract
from deployments.prompt_builder.synthesis.synthesizer import Synthesizer


def _said(synthesizer: Synthesizer, shape: str, count: int) -> Iterator[tuple[Plan, str]]:
    """Plans and their sentences before anyone types them."""
    for i in range(count):
        rng, slots = random.Random(f"m{shape}{i}"), SlotTable()
        sampler = PlanSampler(rng, synthesizer.world, synthesizer.lexicon, slots, synthesizer.today.year)
        plan = sampler.sample(shape)
        text = Realizer(rng, synthesizer.lexicon, slots).realize(plan) if plan else None
        if plan and text:
            yield plan, extract(text).text


def test_every_placeholder_of_the_specification_is_linked_in_the_question(construction: Synthesizer) -> None:
    for i in range(300):
        example = construction.draw(random.Random(f"p{i}"))
        if example is None or isinstance(example.spec, Cannot) or example.previous is not None:
            continue
        linked = {link.placeholder for link in example.linked.links}
        used = {node.name for node in walk(example.spec) if isinstance(node, Placeholder)}
        assert used <= linked, example.question


def test_lookup_words_of_the_library_stand_in_the_question(library: Synthesizer) -> None:
    words = {"novel": "fiction|novel", "history": "histor", "poetry": "verse|poetr"}
    checked = 0
    for plan, text in _said(library, "list", 150):
        for node in walk(plan.spec):
            if isinstance(node, TextLiteral) and node.value in words:
                checked += 1
                assert re.search(words[node.value], text), text
    assert checked > 20


def test_more_and_less_are_not_mixed_up(library: Synthesizer) -> None:
    more = re.compile(
        r"over|above|more|exceed|greater|larger|bigger|higher|north|upwards|excess|top|>|longer|better"
    )
    checked = 0
    for plan, text in _said(library, "list", 900):
        conditions = plan.conditions
        if len(conditions) == 1 and conditions[0].kind in ("more", "less") and plan.order is None:
            checked += 1
            assert bool(more.search(text)) == (conditions[0].kind == "more"), text
    assert checked > 10


def test_counts_are_asked_for_as_counts(library: Synthesizer) -> None:
    for plan, text in _said(library, "count", 60):
        assert plan.spec.show == (Aggregate("count"),)
        assert re.search(r"how many|number|count|total|no\.? of|num of|#|how much", text), text


def test_polite_noise_with_numbers_stays_out_of_the_specification(construction: Synthesizer) -> None:
    found = 0
    for i in range(3000):
        if found == 5:
            break
        example = construction.shape(random.Random(f"n{i}"), "count")
        if example is not None and "The 3 of us" in example.question:
            found += 1
            three = next(k.placeholder for k in example.linked.links if k.number == "3")
            used = {n.name for n in walk(example.spec) if isinstance(n, Placeholder)}
            said_again = example.question.count("3") > 1
            assert three not in used or said_again, example.question
    assert found
