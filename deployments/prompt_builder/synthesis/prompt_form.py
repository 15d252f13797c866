"""The model's prompt for an example: the very function of inference."""

from deployments.prompt_builder.house.form import prompt_form
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.synthesis.synthesizer import Example


def prompt_text(example: Example, context: SpecContext) -> str:
    return prompt_form(example.linked, example.previous, context).text
