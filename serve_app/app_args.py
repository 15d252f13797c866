"""What a Serve config may say to the application."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class AppArgs(BaseModel):
    """``args`` of the application in a Serve config."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    settings_file: Path | None = Field(
        default=None, description="Settings file; else PLUMBLINE_CONFIG, else plumbline.yaml"
    )
    model_profile: str | None = Field(
        default=None, description="Model profile under configs/models/, unless the settings name one"
    )
    model_cascade: tuple[str, ...] = Field(
        default=(), description="Several of them in the order in which they are asked, likewise"
    )
