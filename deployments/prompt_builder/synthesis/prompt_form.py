"""The model's prompt for an example; the same text as at inference."""

from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.synthesis.synthesizer import Example


def prompt_text(example: Example, context: SpecContext) -> str:
    return example.linked.text
