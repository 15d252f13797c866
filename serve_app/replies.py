"""What callers read: answers and events of the pipeline in the shape of the API."""

from typing import Any

from pydantic import BaseModel

from serve_app.api_models import ChatResponse, ResultData, column_metadata, unique_names
from serve_app.contracts import ExecutionResult
from serve_app.events import Answer, DoneEvent, Event, RowsEvent, SqlEvent, StageEvent, TokenEvent
from serve_app.trace import Trace


def result_data(result: ExecutionResult) -> ResultData:
    names = unique_names(result.columns)
    return ResultData(
        rows=[dict(zip(names, row, strict=True)) for row in result.rows],
        row_count=result.row_count,
        columns=names,
        total_count=result.total_count,
        truncated=result.truncated,
    )


def result_metadata(result: ExecutionResult) -> dict[str, Any]:
    return {"columns": column_metadata(result.columns), "truncated_by": result.truncated_by}


def answered(finished: Answer, trace: Trace) -> ChatResponse:
    """The response of an answer, a clarification or a refusal."""
    metadata = trace.metadata()
    if finished.result is not None:
        metadata |= result_metadata(finished.result)
    if finished.clarification is not None:
        metadata["clarification"] = finished.clarification.model_dump()
    if finished.refusal is not None:
        metadata["refusal_reason"] = finished.refusal.reason
    metadata["caveat"] = finished.caveat
    return ChatResponse(
        success=True,
        data=result_data(finished.result) if finished.result else None,
        answer=finished.sentence if finished.clarification is None else None,
        clarification=finished.clarification.question if finished.clarification else None,
        sql=finished.sql,
        execution_time_ms=finished.result.execution_ms if finished.result else 0.0,
        conversation_id=finished.conversation_id,
        metadata=metadata,
    )


class _RowsBody(BaseModel):
    """The body of a `rows` event."""

    data: ResultData
    metadata: dict[str, Any]


def event_pair(event: Event, trace: Trace) -> tuple[str, str]:
    """An event's name and JSON as the stream tells it."""
    match event:
        case StageEvent():
            return "stage", event.model_dump_json()
        case TokenEvent():
            return "token", event.model_dump_json()
        case SqlEvent():
            return "sql", event.model_dump_json()
        case RowsEvent(result=result):
            body = _RowsBody(data=result_data(result), metadata=result_metadata(result))
            return "rows", body.model_dump_json()
        case DoneEvent(answer=finished):
            return "done", answered(finished, trace).model_dump_json()
