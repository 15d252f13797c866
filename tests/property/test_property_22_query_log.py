"""Property 22: every question leaves one line: question, SQL, times, tokens, verdict and rows."""

import asyncio
import contextlib
import logging
from typing import Any

from fakes import (
    FakeExecutor,
    FakeGenerator,
    FakePromptBuilder,
    FakeValidator,
    make_generation,
    make_question,
    make_result,
    make_stages,
    rejected,
    valid,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.contracts import CannotAnswer, Clarification, SqlCandidate
from serve_app.errors import ExecutionFailed, PlumblineError
from serve_app.pipeline import PipelineLimits, answer
from serve_app.trace import Trace

STEPS = ("ok", "rejected", "fails", "unreadable")


class Kept(logging.Handler):
    """Keeps the query log of one example."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "query":
            self.queries.append(vars(record))


async def ask(text: str, steps: list[str], rows: int, tokens: int, ambiguous: bool) -> Trace:
    """One question whose attempts go as the steps say."""
    generations = [make_generation(f"{step} {n}", tokens=tokens) for n, step in enumerate(steps)]
    clarification = Clarification(question="Which one?", kind="term")
    stages = make_stages(
        prompt_builder=FakePromptBuilder(
            (lambda q, r: clarification) if ambiguous else None,
            lambda output: (
                CannotAnswer(reason="uncompilable", message="No.")
                if output.startswith("unreadable")
                else SqlCandidate(sql=output)
            ),
        ),
        generator=FakeGenerator(*generations),
        validator=FakeValidator(lambda sql: rejected("r") if sql.startswith("rejected") else valid(sql)),
        executor=FakeExecutor(
            lambda sql: (
                ExecutionFailed(detail="d")
                if sql.startswith("fails")
                else make_result([(n,) for n in range(rows)])
            )
        ),
    )
    trace = Trace(make_question(text))
    limits = PipelineLimits(max_retries=len(steps) - 1, retry_delay_s=0)
    with contextlib.suppress(PlumblineError):
        await answer(trace.question, stages, limits, trace)
    return trace


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.characters(categories=["Ll"]), min_size=1, max_size=30),
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4),
    rows=st.integers(0, 30),
    tokens=st.integers(1, 500),
    ambiguous=st.booleans(),
)
def test_property_22_every_question_leaves_one_complete_line(
    text: str, steps: list[str], rows: int, tokens: int, ambiguous: bool
) -> None:
    kept = Kept()
    logger = logging.getLogger("plumbline.pipeline")
    before = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    try:
        asyncio.run(ask(text, steps, rows, tokens, ambiguous))
    finally:
        logger.removeHandler(kept)
        logger.setLevel(before)
    (line,) = kept.queries
    ended = 0 if ambiguous else steps.index("ok") + 1 if "ok" in steps else len(steps)
    assert (line["question"], line["request_id"], line["user_id"]) == (text, "r-1", "ann")
    assert line["conversation_id"]
    assert line["output_tokens"] == ended * tokens
    assert line["prompt_tokens"] == ended * 11
    assert line["inference_ms"] == ended * 2.5
    if not ambiguous and "ok" in steps:
        assert line["sql"] == f"ok {ended - 1}"
        assert (line["verdict"], line["row_count"], line["execution_ms"]) == ("accepted", rows, 1.5)
        assert line["outcome"] == "answer"
    else:
        assert line["row_count"] is None
        assert line["execution_ms"] is None
        assert line["outcome"] == (
            "clarification"
            if ambiguous
            else {"rejected": "validation_failed", "fails": "execution_failed", "unreadable": "refusal"}[
                steps[-1]
            ]
        )
