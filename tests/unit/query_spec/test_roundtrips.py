"""Every valid specification survives its text form, its canonical form and its token form."""

from contextlib import suppress

from hypothesis import HealthCheck, Phase, assume, given, settings

from deployments.prompt_builder.query_spec.canonical import canonical
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.printer import to_text
from deployments.prompt_builder.query_spec.tokens import decode, encode, encode_tokens, vocabulary
from tests.unit.query_spec.spec_strategies import sample_context, specs

CONTEXT = sample_context()
# Shrinking a specification takes minutes and the failing one is readable as it is.
thorough = settings(
    max_examples=300,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@thorough
@given(specs)
def test_text_is_read_back_to_the_same_specification(spec: QuerySpec) -> None:
    assert parse(to_text(spec), CONTEXT) == spec


@thorough
@given(specs)
def test_canonical_form_is_valid_and_stays_as_it_is(spec: QuerySpec) -> None:
    once = canonical(spec, CONTEXT)
    assert parse(to_text(once), CONTEXT) == once
    assert canonical(once, CONTEXT) == once


@thorough
@given(specs)
def test_tokens_are_read_back_to_the_canonical_specification(spec: QuerySpec) -> None:
    text = ""
    with suppress(SpecError):
        text = encode(spec, CONTEXT)
    assume(text)
    assert decode(text, CONTEXT) == canonical(spec, CONTEXT)
    assert set(encode_tokens(spec, CONTEXT)) <= set(vocabulary(CONTEXT))
