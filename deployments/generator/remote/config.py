"""The ``remote`` section of a model profile."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class RemoteModel(BaseModel):
    """Where a model is served, and what that server can do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="Of the OpenAI-compatible API, up to and with /v1")
    model: str = Field(min_length=1, description="The model's name at the endpoint")
    api_key_variable: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the API key, which stands in no file and no log",
    )
    connect_timeout_s: float = Field(default=5.0, gt=0, description="Time limit for opening a connection")
    idle_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest silence, the wait for the first token included"
    )
    candidates_in_one: bool | None = Field(
        default=None,
        description="Whether one request can give several candidates (n); null finds out",
    )
    logprobs: bool = Field(default=True, description="Ask for the tokens' log-probabilities")
    usage: bool = Field(default=True, description="Ask for token counts at the end (stream_options)")
    top_k: bool = Field(
        default=False, description="Send top_k, which OpenAI's own API refuses and vLLM and llama.cpp take"
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="How the endpoint calls the limit of new tokens"
    )
    tokenizer: Path | None = Field(
        default=None,
        description="tokenizer.json of the model for exact token counts; relative to the profile's file",
    )
    tokenize_url: str | None = Field(
        default=None,
        description="Where tokens are counted without it; null: /tokenize beside /v1, if it is there",
    )

    @field_validator("url", "tokenize_url")
    @classmethod
    def _is_plain(cls, url: str | None) -> str | None:
        """A user or a key in the address would end up in logs."""
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no credentials and no query; a key goes into api_key_variable")
        return url.rstrip("/")

    @property
    def counting_url(self) -> str:
        return self.tokenize_url or f"{self.url.removesuffix('/v1')}/tokenize"
