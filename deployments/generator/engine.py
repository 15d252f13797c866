"""What an engine offers. `TransformersEngine` computes here, `RemoteEngine` asks an endpoint elsewhere.

An engine knows nothing of what its texts mean: prompts in, tokens out, within the limits of the request.
"""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from pydantic import Field

from serve_app.contracts import Generation, GenerationRequest, MemoryUsage, Message, StageHealth, TokenChunk


class EngineInfo(Message):
    """What stands behind an engine; fixed while it runs."""

    engine: str
    model: str
    device: str
    quantization: str
    dtype: str
    context_tokens: int
    parameters: int
    weights_bytes: int = Field(description="Device memory that the weights take")
    load_s: float
    supports_grammar: bool


class Engine(Protocol):
    """Texts from a language model."""

    @property
    def info(self) -> EngineInfo: ...

    async def submit(self, request: GenerationRequest) -> Generation:
        """Generate; concurrent requests share batches.

        A request ended by `cancel` gives what it had, with finish_reason ``cancelled``. Cancelling the
        awaiting task ends the generation too.

        Raises:
            InvalidRequest: empty or over-long prompt, or parameters that this engine does not support.
            Overloaded: too many requests wait; ``retry_after_s`` says when to come back.
            GenerationTimeout: ``timeout_s`` passed, waiting included.
            GenerationFailed: the model failed, or the grammar did.
            OutputTooLong: no output of the grammar ended within ``max_new_tokens``.
            ModelUnavailable: the engine is closed.
        """
        ...

    def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        """Pieces of the best text as they are final, then the Generation; errors as in `submit`.

        Closing the iterator ends the generation.
        """
        ...

    async def cancel(self, request_id: str) -> bool:
        """End a request; False if there is none of that id."""
        ...

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        """Tokens of each text without what a template adds around it; never fewer than there are."""
        ...

    def memory(self) -> MemoryUsage: ...

    async def health(self) -> StageHealth:
        """Whether it can generate now."""
        ...

    def is_alive(self) -> bool:
        """False when nothing but a new process can help."""
        ...

    def reconfigure(self, **changes: Any) -> None:
        """Change fields of the engine's config while it runs.

        Raises:
            ConfigurationError: a field is unknown, or its value is out of bounds.
        """
        ...

    async def close(self) -> None:
        """End what runs, free the model's memory."""
        ...
