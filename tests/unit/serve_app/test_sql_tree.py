"""Statements as trees, whatever the text is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from serve_app.sql_tree import sql_tree


def test_a_statement_is_a_tree() -> None:
    assert isinstance(sql_tree("SELECT name FROM projects"), exp.Select)


@pytest.mark.parametrize("text", ["", "SELECT (", "'open", "SELECT 1; SELECT 2", "1 ~", "- -", "a.b.", "("])
def test_what_cannot_be_read_is_none_or_a_tree_and_never_an_error(text: str) -> None:
    assert isinstance(sql_tree(text), exp.Expr | None)


@given(st.text(st.sampled_from("~+-*/()'\",.;:@#$ abe10\x00\n"), max_size=12))
def test_no_text_is_an_error(text: str) -> None:
    assert isinstance(sql_tree(text), exp.Expr | None)
