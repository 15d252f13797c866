"""Settings of prompt building."""

from pydantic import BaseModel, ConfigDict, Field

from serve_app.contracts import ProfileName


class PromptConfig(BaseModel):
    """What stands in a prompt and how much of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: ProfileName = Field(default="instruction", description="Kind of model the prompt is for")
    grammar: bool = Field(default=False, description="Whether the model is held to an output grammar")
    max_context_tokens: int = Field(
        default=2000,
        ge=512,
        le=1_000_000,
        description="Longest whole prompt (schema, examples, conversation and question), in tokens",
    )
    template_reserve_tokens: int = Field(
        default=32,
        ge=0,
        le=200,
        description="Tokens kept free for what the chat template adds around the turns",
    )
    max_history: int = Field(
        default=5, ge=0, le=50, description="Past exchanges that a prompt carries at most"
    )
    examples: int = Field(default=4, ge=0, le=50, description="Example pairs retrieved for a question")
    least_similarity: float = Field(
        default=0.08, ge=0.0, le=1.0, description="Cosine similarity below which an example is left out"
    )
    verified_reuse_s: float = Field(
        default=30.0,
        ge=0.0,
        le=86_400.0,
        description="Seconds before accepted feedback is asked for again",
    )
    verified_confidence: float = Field(
        default=0.7,
        ge=0.0,
        le=1.01,
        description="Confidence from which a verified example answers a question of its shape without the "
        "model; above 1: never",
    )
    default_rows: int = Field(
        default=100, ge=1, le=100_000, description="Row limit when a question names none"
    )
    system_role: bool = Field(
        default=True,
        description="Off: one user turn holds all parts, for chat templates without a system role",
    )
    schema_reuse_s: float = Field(
        default=30.0,
        ge=0.0,
        le=86_400.0,
        description="Seconds before the executor is asked for the schema again",
    )
