"""Verified examples as an evaluation: each must go on giving the rows of its own statement."""

from collections.abc import Iterable

from deployments.prompt_builder.retrieval import Example
from serve_app.evaluation.items import SingleItem
from serve_app.evaluation.scoring import without_display_cap


def verified_items(examples: Iterable[Example]) -> tuple[SingleItem, ...]:
    """One question an example, for those that belong to everyone; the kind of an example is its tag."""
    return tuple(
        SingleItem(
            id=example.id,
            question=example.question,
            gold=(without_display_cap(example.sql),),
            tags=(example.kind,),
        )
        for example in examples
        if example.visible_to(None)
    )
