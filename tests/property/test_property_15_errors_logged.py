"""Property 15: every error is logged with stack trace, user, question, conversation, request id and time."""

import asyncio
import logging
import time

from fakes import FakeConversations, make_stages
from hypothesis import given, settings
from hypothesis import strategies as st
from test_property_14_understandable_errors import ERRORS, STAGES, failing

from serve_app.api_models import ChatRequest
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import PipelineLimits
from serve_app.service import ChatService, ServiceConfig

TEXT = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40)


class Kept(logging.Handler):
    """Keeps the records of one test example."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def ask(stage: str, error: Exception, request: ChatRequest, request_id: str) -> None:
    memory = FakeConversations()
    memory.exchanges[request.conversation_id or ""] = []
    stages = make_stages(**{"conversations": memory, stage: failing(stage, error)})
    config = ServiceConfig(pipeline=PipelineLimits(retry_delay_s=0, max_retries=1))
    await ChatService(stages, config, Figures(NullRecorder())).chat(request, request_id)


@settings(max_examples=150, deadline=None)
@given(
    stage=st.sampled_from(sorted(STAGES)),
    error=ERRORS,
    question=TEXT,
    user=TEXT,
    conversation=TEXT,
    request_id=st.uuids().map(str),
)
def test_property_15_every_error_is_logged_with_its_context(
    stage: str, error: Exception, question: str, user: str, conversation: str, request_id: str
) -> None:
    kept = Kept()
    logger = logging.getLogger("plumbline")
    logger.addHandler(kept)
    before = time.time()
    try:
        request = ChatRequest(query=question, user_id=user, conversation_id=conversation)
        asyncio.run(ask(stage, error, request, request_id))
    finally:
        logger.removeHandler(kept)
    (record,) = [r for r in kept.records if r.levelno == logging.ERROR]
    logged = vars(record)
    assert logged["question"] == question
    assert logged["user_id"] == user
    assert logged["conversation_id"] == conversation
    assert logged["request_id"] == request_id
    assert before <= record.created <= time.time()
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.exc_info[2] is not None
