"""Which candidate is the answer: pure choosing, no stages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.choosing import (
    Group,
    Readings,
    Trial,
    accepted,
    distinct_texts,
    grouped,
    read,
    refusal_wins,
    told,
)
from serve_app.contracts import (
    CannotAnswer,
    GeneratedText,
    Interpretation,
    SqlCandidate,
    TrialFailed,
    TrialOutcome,
    Tried,
    ValidSql,
)

SLOW = TrialFailed(kind="timeout", message="m", detail="d")
FAILED = TrialFailed(kind="failed", message="m", detail="d")
OUT_OF_SCOPE = CannotAnswer(reason="out_of_scope", message="Not in the data.")


def text(said: str, probability: float | None = None) -> GeneratedText:
    """A text of two tokens with this probability."""
    mean = None if probability is None else math.log(probability) / 2
    return GeneratedText(text=said, token_count=2, mean_logprob=mean, finish_reason="stop")


def rows(digest: str, order: str | None = None) -> Tried:
    return Tried(digest=digest, order_digest=order, row_count=1, has_values=True, result=None)


def readings_of(*texts: GeneratedText, **meanings: Interpretation) -> Readings:
    """Texts are SQL, unless ``meanings`` says otherwise."""
    weighted = distinct_texts(texts)
    return read(weighted, [meanings.get(t.text, SqlCandidate(sql=t.text)) for t, _ in weighted])


def groups_of(readings: Readings, outcomes: dict[str, TrialOutcome]) -> tuple[Group, ...]:
    pairs = [
        (s, ValidSql(sql=s.candidate.sql, tables=(), row_cap=9, cap_applied=False))
        for s in readings.statements
    ]
    return grouped([Trial(t.statement, t.verdict, outcomes[t.verdict.sql]) for t in accepted(pairs)])


def sql_of(groups: tuple[Group, ...]) -> list[list[str]]:
    return [[trial.verdict.sql for trial in group.trials] for group in groups]


def test_the_rows_with_most_probability_win_over_the_likeliest_statement() -> None:
    readings = readings_of(text("a", 0.4), text("b", 0.3), text("c", 0.2))
    groups = groups_of(readings, {"a": rows("1"), "b": rows("2"), "c": rows("2")})
    assert sql_of(groups) == [["b", "c"], ["a"]]
    summary = told(readings, groups, 3)
    assert summary.agreement == pytest.approx(5 / 9, abs=1e-4)
    assert [(g.sql, g.statements) for g in summary.groups] == [("b", 2), ("a", 1)]


def test_two_unlikely_ones_do_not_outvote_a_likely_one() -> None:
    readings = readings_of(text("a", 0.9), text("b", 0.01), text("c", 0.01))
    groups = groups_of(readings, {"a": rows("1"), "b": rows("2"), "c": rows("2")})
    assert sql_of(groups)[0] == ["a"]


def test_without_probabilities_every_text_is_a_vote_and_ties_go_to_the_first() -> None:
    readings = readings_of(text("a"), text("b"), text("b"))
    assert [s.weight for s in readings.statements] == [1.0, 2.0]
    tie = readings_of(text("a"), text("b"))
    assert sql_of(groups_of(tie, {"a": rows("1"), "b": rows("2")}))[0] == ["a"]


def test_a_text_said_twice_has_its_probability_once() -> None:
    readings = readings_of(text("a", 0.2), text("a", 0.2), text("b", 0.3))
    assert [s.weight for s in readings.statements] == pytest.approx([2 / 3, 1.0])


def test_texts_that_compile_to_the_same_statement_are_one() -> None:
    same = SqlCandidate(sql="s")
    readings = readings_of(text("a", 0.3), text("b", 0.2), a=same, b=same)
    (statement,) = readings.statements
    assert statement.weight == pytest.approx(5 / 3)
    assert statement.text.text == "a"


def test_statements_whose_checked_text_is_the_same_are_one() -> None:
    readings = readings_of(text("a", 0.3), text("A", 0.2))
    checked = ValidSql(sql="a", tables=(), row_cap=9, cap_applied=False)
    (trial,) = accepted([(s, checked) for s in readings.statements])
    assert trial.statement.weight == pytest.approx(5 / 3)


def test_failed_statements_are_in_no_group_and_slow_ones_stand_alone() -> None:
    readings = readings_of(text("a", 0.4), text("b", 0.3), text("c", 0.2), text("d", 0.1))
    groups = groups_of(readings, {"a": FAILED, "b": SLOW, "c": SLOW, "d": rows("1")})
    assert sql_of(groups) == [["b"], ["c"], ["d"]]


def test_an_order_that_is_asked_for_must_agree_and_no_order_joins_the_heaviest() -> None:
    readings = readings_of(text("up", 0.3), text("down", 0.2), text("any", 0.25))
    groups = groups_of(readings, {"up": rows("1", "x"), "down": rows("1", "y"), "any": rows("1")})
    assert sql_of(groups) == [["up", "any"], ["down"]]


@pytest.mark.parametrize(
    ("cannot", "statements", "refuses"),
    [(0.5, (0.2, 0.1), True), (0.25, (0.2, 0.1), False), (0.1, (0.4, 0.1), False)],
)
def test_a_refusal_is_believed_if_no_statement_is_as_probable(
    cannot: float, statements: tuple[float, float], refuses: bool
) -> None:
    texts = [text("no", cannot), text("a", statements[0]), text("b", statements[1])]
    readings = readings_of(*sorted(texts, key=lambda t: -(t.logprob or 0)), no=OUT_OF_SCOPE)
    agreed = groups_of(readings, {"a": rows("1"), "b": rows("1")})
    assert (refusal_wins(readings, agreed) is OUT_OF_SCOPE) is refuses
    # Before the statements are tried, the refusal is only certain if they could not win together.
    assert (refusal_wins(readings) is OUT_OF_SCOPE) is refuses


def test_a_refusal_may_win_over_each_group_though_not_over_all_statements() -> None:
    readings = readings_of(text("no", 0.3), text("a", 0.2), text("b", 0.2), no=OUT_OF_SCOPE)
    assert refusal_wins(readings) is None
    assert refusal_wins(readings, groups_of(readings, {"a": rows("1"), "b": rows("2")})) is OUT_OF_SCOPE


def test_other_reasons_are_no_refusal() -> None:
    garbled = CannotAnswer(reason="uncompilable", message="m")
    readings = readings_of(text("x", 0.9), text("a", 0.1), x=garbled)
    assert refusal_wins(readings, groups_of(readings, {"a": rows("1")})) is None


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.floats(1e-9, 1.0), st.sampled_from(["1", "2", "3", None])),
        min_size=1,
        max_size=8,
    )
)
def test_no_weight_is_lost_and_no_group_is_heavier_than_the_first(
    drawn: list[tuple[str, float, str | None]],
) -> None:
    texts = sorted((text(name, p) for name, p, _ in drawn), key=lambda t: -(t.logprob or 0.0))
    outcomes: dict[str, TrialOutcome] = {
        name: FAILED if digest is None else rows(digest) for name, _, digest in drawn
    }
    readings = readings_of(*texts)
    groups = groups_of(readings, outcomes)
    lost = sum(s.weight for s in readings.statements if outcomes[s.candidate.sql] is FAILED)
    assert sum(g.weight for g in groups) + lost == pytest.approx(readings.total_weight)
    assert all(groups[0].weight >= g.weight for g in groups)
    assert told(readings, groups, len(texts)).agreement <= 1.0
