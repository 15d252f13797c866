"""What each stage offers the others: protocols of Serve handles, plain cores and test fakes alike."""

from collections.abc import AsyncIterator
from typing import Protocol

from serve_app.contracts import (
    BuiltPrompt,
    Caller,
    ConversationContext,
    Exchange,
    ExecutionRequest,
    ExecutionResult,
    Feedback,
    Generation,
    GenerationRequest,
    Interpretation,
    NumberedExchange,
    Prompt,
    Proposal,
    Question,
    RejectedSql,
    SchemaSnapshot,
    StageHealth,
    TokenChunk,
    TrialOutcome,
    TrialRequest,
    ValidSql,
    VerifiedExample,
)


class Conversations(Protocol):
    """History of questions, in its own store. Knows nothing of the target database."""

    async def context(self, question: Question, limit: int) -> ConversationContext:
        """The last ``limit`` exchanges; a new id if the question has none.

        Raises:
            ConversationNotFound: the id is not one of this caller's conversations.
        """
        ...

    async def remember(self, conversation_id: str, caller: Caller, exchange: Exchange) -> int:
        """Store an exchange at the end; its position from 0."""
        ...

    async def clear(self, conversation_id: str, caller: Caller) -> None: ...

    async def exchange(
        self, conversation_id: str, caller: Caller, position: int | None
    ) -> NumberedExchange | None:
        """One exchange, the last if ``position`` is None; None if there is none there.

        Raises:
            ConversationNotFound: the id is not one of this caller's conversations.
        """
        ...

    async def give_feedback(self, feedback: Feedback) -> None:
        """Store feedback in place of an undecided one on the same exchange."""
        ...

    async def verified(self) -> tuple[VerifiedExample, ...]:
        """The accepted pairs, newest first."""
        ...

    async def health(self) -> StageHealth: ...


class PromptBuilder(Protocol):
    """Both directions of a model profile: question to prompt, and output to SQL."""

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        repair: tuple[str, str] | None = None,
        engine: str = "",
    ) -> BuiltPrompt:
        """Build an engine's prompt. ``repair`` is (rejected SQL, reason) of the attempt before."""
        ...

    async def interpret(self, prompt: Prompt, outputs: tuple[str, ...]) -> tuple[Interpretation, ...]:
        """What each of an engine's outputs means."""
        ...

    async def forget_schema(self) -> None:
        """Ask for the schema again at the next question."""
        ...

    async def health(self) -> StageHealth: ...


class Generator(Protocol):
    """Prompts in, tokens out."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Raises GenerationTimeout, GenerationFailed, ModelUnavailable or Overloaded."""
        ...

    def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        """Chunks of the best candidate as they come, then the Generation."""
        ...

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]: ...

    async def cancel(self, request_id: str) -> None: ...

    async def health(self) -> StageHealth: ...


class DirectEngine(Protocol):
    """An engine that answers some questions without generating, such as a template of a verified pair."""

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        """A statement and how sure it is, or None for a question that only a model can answer.

        The statement is checked and run as any other.
        """
        ...

    async def health(self) -> StageHealth: ...


class SqlValidator(Protocol):
    """Accepts only what the caller's policy allows, and rewrites it to what may run."""

    async def validate(self, sql: str, caller: Caller) -> ValidSql | RejectedSql: ...

    async def validate_all(
        self, statements: tuple[str, ...], caller: Caller
    ) -> tuple[ValidSql | RejectedSql, ...]: ...

    async def forget_schema(self) -> None:
        """Ask for the schema again at the next statement."""
        ...

    async def health(self) -> StageHealth: ...


class Executor(Protocol):
    """The only holder of the target database's credentials."""

    async def run(self, request: ExecutionRequest) -> ExecutionResult:
        """Raises ExecutionFailed, ExecutionTimeout, PermissionDenied, DatabaseUnavailable or Overloaded.

        SchemaChanged: the statement names what is no longer there.
        """
        ...

    async def trial(self, request: TrialRequest) -> tuple[TrialOutcome, ...]:
        """Run statements under small limits, to compare what they give; an outcome for each.

        Raises DatabaseUnavailable, Overloaded or ExecutionTimeout.
        """
        ...

    async def schema(self, refresh: bool = False, caller: Caller | None = None) -> SchemaSnapshot:
        """What the caller may see; the login role's whole view without one."""
        ...

    async def forget_schema(self) -> None:
        """Read the schema again for the next who asks."""
        ...

    async def health(self) -> StageHealth: ...
