"""The base of all messages."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of every stage message: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
