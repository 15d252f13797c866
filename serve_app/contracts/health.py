"""How a stage is."""

from pydantic import Field

from serve_app.contracts.message import Message


class StageHealth(Message):
    """Whether a stage can serve, and what it says about itself."""

    stage: str
    ok: bool
    detail: str = Field(description="One sentence; never a DSN, a path or a stack trace")
    figures: dict[str, float | int | str | bool | None] = Field(default_factory=dict)
