"""The messages that stages exchange. Frozen, typed, and only here.

Every message crosses a process border, so each holds plain data: no handles, no tensors, no database types.
Verdicts are values (``ValidSql | RejectedSql``); errors are for what the caller cannot act on
(`serve_app.errors`).
"""

from serve_app.contracts.callers import Caller, Question
from serve_app.contracts.candidates import CandidateGroup, CandidateGroups, Proposal
from serve_app.contracts.conversations import (
    ConversationContext,
    Exchange,
    Feedback,
    FeedbackStatus,
    NumberedExchange,
    VerifiedExample,
)
from serve_app.contracts.execution import (
    ColumnInfo,
    ExecutionRequest,
    ExecutionResult,
    SemanticType,
    TrialFailed,
    TrialOutcome,
    TrialRequest,
    Tried,
)
from serve_app.contracts.generation import (
    GeneratedText,
    Generation,
    GenerationRequest,
    MemoryUsage,
    SamplingParams,
    TokenChunk,
)
from serve_app.contracts.health import StageHealth
from serve_app.contracts.message import Message
from serve_app.contracts.prompts import (
    BuiltPrompt,
    Candidate,
    CannotAnswer,
    ChatTurn,
    Clarification,
    DateRange,
    Interpretation,
    Link,
    ProfileName,
    Prompt,
    SqlCandidate,
)
from serve_app.contracts.schema import Column, ColumnStatistics, ForeignKey, SchemaSnapshot, Table
from serve_app.contracts.validation import RejectedSql, ValidSql, Verdict, Violation

__all__ = [
    "BuiltPrompt",
    "Caller",
    "Candidate",
    "CandidateGroup",
    "CandidateGroups",
    "CannotAnswer",
    "ChatTurn",
    "Clarification",
    "Column",
    "ColumnInfo",
    "ColumnStatistics",
    "ConversationContext",
    "DateRange",
    "Exchange",
    "ExecutionRequest",
    "ExecutionResult",
    "Feedback",
    "FeedbackStatus",
    "ForeignKey",
    "GeneratedText",
    "Generation",
    "GenerationRequest",
    "Interpretation",
    "Link",
    "MemoryUsage",
    "Message",
    "NumberedExchange",
    "ProfileName",
    "Prompt",
    "Proposal",
    "Question",
    "RejectedSql",
    "SamplingParams",
    "SchemaSnapshot",
    "SemanticType",
    "SqlCandidate",
    "StageHealth",
    "Table",
    "TokenChunk",
    "TrialFailed",
    "TrialOutcome",
    "TrialRequest",
    "Tried",
    "ValidSql",
    "Verdict",
    "VerifiedExample",
    "Violation",
]
