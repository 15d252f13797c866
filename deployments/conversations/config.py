"""What an operator can set about the conversation store."""

from pydantic import BaseModel, ConfigDict, Field


class ConversationsConfig(BaseModel):
    """Limits of the store. Where it lies is its URL, which may hold a password and so is no part of this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_timeout_s: float = Field(
        default=5.0, gt=0.0, description="Time limit for reading or writing one conversation"
    )
    pool_size: int = Field(default=5, ge=1, le=100, description="Connections to a PostgreSQL store")
    title_characters: int = Field(
        default=80,
        ge=10,
        le=500,
        description="Length of a conversation's title, taken from its first question",
    )
