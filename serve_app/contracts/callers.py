"""Who asks what."""

from datetime import datetime

from pydantic import Field

from serve_app.contracts.message import Message


class Caller(Message):
    """Who asks. Stages enforce by it; nothing in the question's text can change it."""

    user_id: str = Field(min_length=1, max_length=200)
    organization_id: str | None = Field(default=None, max_length=200)
    policy: str = Field(default="default", description="Name of the validator policy under configs/policies/")
    credential_id: str | None = Field(
        default=None, description="Id of the API key that was shown, for the audit log; no secret"
    )


class Question(Message):
    """One question on its way through the graph."""

    text: str
    caller: Caller
    request_id: str
    conversation_id: str | None = None
    asked_at: datetime = Field(description="Timezone-aware instant; its date is 'today' for relative dates")
