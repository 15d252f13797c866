"""Every shape gives checked specifications and linkable questions, with and without phrase data."""

import random

import pytest

from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.tokens import decode, encode
from deployments.prompt_builder.synthesis.synthesizer import MIXTURE_FILE, Synthesizer, read_mixture

SHAPES = sorted(read_mixture(MIXTURE_FILE)["shapes"])
# The library has no predicates on named things and no entities in its phrases.
WITHOUT_PHRASES = {"entity", "absent", "yesno"}


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_survives_its_token_form(synthesizer: Synthesizer, shape: str) -> None:
    examples = [synthesizer.shape(random.Random(f"{shape}{i}"), shape) for i in range(12)]
    kept = [e for e in examples if e is not None]

    if shape in WITHOUT_PHRASES and synthesizer.pack.name == "library":
        assert not kept
        return
    assert len(kept) >= 6
    for example in kept:
        assert isinstance(example.spec, QuerySpec)
        written = encode(example.spec, synthesizer.context)
        assert decode(written, synthesizer.context) == canonical(example.spec, synthesizer.context)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_phrase_leaves_a_mark_or_hole_in_the_question(construction: Synthesizer, shape: str) -> None:
    for i in range(25):
        example = construction.shape(random.Random(f"h{shape}{i}"), shape)
        if example is not None:
            assert not set(example.question) & set("{}|[]\ue000\ue001"), example.question
            assert "; " not in example.question, example.question


def test_few_questions_are_lost_to_the_linker(construction: Synthesizer) -> None:
    construction.tally.drawn.clear()
    construction.tally.dropped.clear()
    for i in range(400):
        construction.draw(random.Random(f"drop{i}"))

    assert sum(construction.tally.dropped.values()) < 0.1 * sum(construction.tally.drawn.values())
