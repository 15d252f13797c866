"""Token counts for a model that runs elsewhere: exact where possible, and never too low."""

import asyncio
import logging

import httpx
from pydantic import BaseModel, ValidationError
from tokenizers import Tokenizer

from deployments.generator.remote.config import RemoteModel
from serve_app.errors import ConfigurationError

logger = logging.getLogger("plumbline.generator")

CONCURRENT_COUNTS = 8
COUNT_TIMEOUT_S = 5.0


class _Counted(BaseModel):
    count: int | None = None
    tokens: list[object] | None = None


class RemoteCounter:
    """By the model's tokenizer.json, else by the endpoint, else by a bound.

    The bound is a token a byte, which byte-level vocabularies and those with byte fallback never exceed. It
    is some four times what English text takes, so prompts come out short.
    """

    def __init__(self, remote: RemoteModel, client: httpx.AsyncClient) -> None:
        """Raises ConfigurationError if the tokenizer cannot be read."""
        self._remote = remote
        self._client = client
        self._tokenizer = _tokenizer(remote)
        self._slots = asyncio.Semaphore(CONCURRENT_COUNTS)
        self._offered = True

    async def counts(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        if self._tokenizer is not None:
            tokenizer = self._tokenizer
            return tuple(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
        return tuple(await asyncio.gather(*(self._count(text) for text in texts)))

    async def _count(self, text: str) -> int:
        async with self._slots:
            counted = await self._asked(text) if self._offered and text else None
        return most_tokens(text) if counted is None else counted

    async def _asked(self, text: str) -> int | None:
        """The endpoint's count; None if it gives none. vLLM reads ``prompt``, llama.cpp ``content``."""
        body = {"model": self._remote.model, "prompt": text, "content": text, "add_special_tokens": False}
        try:
            response = await self._client.post(self._remote.counting_url, json=body, timeout=COUNT_TIMEOUT_S)
        except httpx.HTTPError:
            return None  # may be back for the next text
        if response.status_code != 200:
            if response.status_code in (404, 405, 501) and self._offered:
                self._offered = False
                logger.info("the endpoint counts no tokens; a token a byte is assumed")
            return None
        try:
            counted = _Counted.model_validate_json(response.content)
        except ValidationError:
            return None
        found = counted.count if counted.count is not None else len(counted.tokens or ())
        return found if found > 0 else None


def most_tokens(text: str) -> int:
    return len(text.encode("utf-8", errors="replace"))


def _tokenizer(remote: RemoteModel) -> Tokenizer | None:
    if remote.tokenizer is None:
        return None
    try:
        tokenizer = Tokenizer.from_file(str(remote.tokenizer))
    except Exception as error:  # the Rust library raises bare exceptions
        raise ConfigurationError(
            f"The tokenizer {remote.tokenizer} of the model profile cannot be read.", detail=str(error)
        ) from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
