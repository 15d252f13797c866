import random

import pytest

from deployments.prompt_builder.synthesis.templates import TemplateError, split_requirements, template


def _wordings(source: str, **fillers: str) -> set[str]:
    return {template(source).render(random.Random(seed), fillers) for seed in range(200)}


def test_alternatives_and_options_give_all_their_wordings() -> None:
    assert _wordings("(show|give) me[ all] {x}", x="rows") == {
        "show me rows",
        "give me rows",
        "show me all rows",
        "give me all rows",
    }


def test_brackets_nest() -> None:
    assert _wordings("a(b[c]|d)") == {"ab", "abc", "ad"}


def test_holes_are_known_before_rendering() -> None:
    assert template("{a} [and {b}]").holes == {"a", "b"}


@pytest.mark.parametrize("source", ["(a|b", "a)", "[a", "a]", "{a", "(a]", "a|b"])
def test_unbalanced_phrases_are_refused(source: str) -> None:
    with pytest.raises(TemplateError, match="phrase"):
        template(source)


def test_requirements_are_split_off() -> None:
    assert split_requirements("what is open {post} ; unpaid, status=pending") == (
        "what is open {post}",
        ("unpaid", "status=pending"),
    )
