"""The settings tree: one typed section per concern, every leaf with default, bound and description.

A leaf's environment variable is `variable_of(path)`: a kept name of the former system, or
``PLUMBLINE_<SECTION>_<FIELD>``.
Replica counts, batching, autoscaling and resources are not here: they belong to ``serve_config.yaml`` alone.
"""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from deployments.conversations.config import ConversationsConfig
from deployments.executor.config import ExecutorConfig
from deployments.prompt_builder.config import PromptConfig
from deployments.sql_validator.config import ValidatorConfig
from serve_app.loopback import is_loopback, open_port_fault
from serve_app.paths import named_config, resolve
from serve_app.settings.edge import EdgeSettings
from serve_app.settings.identity import AuditSettings, AuthSettings
from serve_app.settings.section import Section

STORES = ("postgresql", "postgres", "sqlite")


def _existing_config(folder: str, name: str) -> str:
    path = named_config(folder, name)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none is there"
        raise ValueError(f"allowed: a file under configs/{folder}/ ({names})")
    return name


class ModelSettings(Section):
    """Which language model answers."""

    enabled: bool = Field(
        default=True,
        description="Off: chat answers model_unavailable, everything else works",
    )
    profile: str = Field(
        default="house",
        min_length=1,
        description="Model profile, a file under configs/models/ (without .yaml) or a path to one",
    )
    cascade: tuple[str, ...] = Field(
        default=(),
        description="Model profiles in the order in which they are asked, each only if those before are "
        "not sure enough; empty: the one profile. Other settings of model and sampling are the last one's",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="Model id on the hub or a local folder; unset: the profile's own model",
    )
    quantization: Literal["8bit", "4bit", "none"] | None = Field(
        default=None,
        description="Weight quantization by bitsandbytes; unset: the profile's own (8bit for Mistral-7B)",
    )
    use_finetuned: bool = Field(
        default=False, description="Load finetuned_path instead of the model's own weights"
    )
    finetuned_path: Path | None = Field(
        default=None, description="Folder of finetuned weights, or of a LoRA adapter for the model"
    )

    @field_validator("profile")
    @classmethod
    def _profile_is_there(cls, profile: str) -> str:
        return _existing_config("models", profile)

    @field_validator("cascade")
    @classmethod
    def _cascade_is_there(cls, cascade: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_existing_config("models", profile) for profile in cascade)

    @model_validator(mode="after")
    def _finetuned_path_is_there(self) -> Self:
        if self.use_finetuned and (self.finetuned_path is None or not self.finetuned_path.is_dir()):
            raise ValueError(
                "USE_FINETUNED_MODEL is on, so FINETUNED_MODEL_PATH must name an existing folder"
            )
        return self


class GenerationSettings(Section):
    """How a profile with sampling of its own choice generates, and what happens when it fails."""

    temperature: float = Field(default=0.1, ge=0.0, le=2.0, description="Sampling temperature; 0 is greedy")
    top_p: float = Field(default=0.95, gt=0.0, le=1.0, description="Nucleus sampling mass")
    top_k: int = Field(
        default=50, ge=0, le=1000, description="Sampling among the k likeliest tokens; 0 is off"
    )
    max_tokens: int = Field(default=512, ge=1, le=8192, description="Longest output, in tokens")
    max_retries: int = Field(
        default=3,
        ge=0,
        le=10,
        description="Repairs after a rejected statement, and retries after a failed generation",
    )
    retry_delay_s: float = Field(
        default=1.0,
        ge=0.0,
        le=60.0,
        description="Wait before the first retry after a failed generation; doubles",
    )
    timeout_s: float = Field(
        default=30.0, gt=0.0, le=600.0, description="Time limit of one generation, in seconds"
    )


class StoreSettings(Section):
    """Where conversations are kept."""

    url: SecretStr | None = Field(
        default=None,
        description="URL of the conversation store (postgresql+asyncpg://…); unset: SQLite in data_dir",
    )

    @field_validator("url")
    @classmethod
    def _url_is_a_store(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value()).scheme.split("+")[0] not in STORES:
            raise ValueError(
                "allowed: postgresql://user:password@host:port/database or sqlite:////path/to/file.db"
            )
        return url


class DatabaseSettings(Section):
    """The database that is asked."""

    url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL URL of a login role that may only SELECT; unset: the embedded database",
    )
    supabase_url: str | None = Field(
        default=None,
        description="Address of a Supabase project, https://<project>.supabase.co, instead of a URL",
    )
    supabase_key: SecretStr | None = Field(
        default=None,
        description="Database password of the Supabase project (an API key cannot open PostgreSQL)",
    )
    organization_passfile: Path | None = Field(
        default=None,
        description="Password file (as libpq's .pgpass) of the roles in executor.organization_roles; unset: "
        "PGPASSFILE or ~/.pgpass",
    )

    @field_validator("url")
    @classmethod
    def _url_is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value()).scheme not in ("postgresql", "postgres"):
            raise ValueError("allowed: postgresql://user:password@host:port/database")
        return url

    @model_validator(mode="after")
    def _supabase_is_complete(self) -> Self:
        if self.supabase_url is None:
            return self
        parts = urlsplit(self.supabase_url)
        if parts.scheme != "https" or not (parts.hostname or "").endswith(".supabase.co"):
            raise ValueError(f"SUPABASE_URL is {self.supabase_url!r}; allowed: https://<project>.supabase.co")
        if self.supabase_key is None:
            raise ValueError("SUPABASE_URL is set, so SUPABASE_KEY must hold the project's database password")
        if self.supabase_key.get_secret_value().startswith("eyJ"):
            raise ValueError(
                "SUPABASE_KEY holds an API key; PostgreSQL needs the project's database password there, "
                "or give the whole URL in DATABASE_URL"
            )
        return self

    def dsn(self) -> SecretStr | None:
        """The URL to connect to, or None for the embedded database. ``url`` wins over Supabase's names."""
        if self.url is not None or self.supabase_url is None or self.supabase_key is None:
            return self.url
        project = (urlsplit(self.supabase_url).hostname or "").removesuffix(".supabase.co")
        password = quote(self.supabase_key.get_secret_value(), safe="")
        return SecretStr(f"postgresql://postgres:{password}@db.{project}.supabase.co:5432/postgres")


class DomainSettings(Section):
    """What the assistant knows of the trade, as data."""

    pack: Path = Field(default=Path("configs/domains/construction"), description="Folder of the domain pack")

    @field_validator("pack")
    @classmethod
    def _pack_is_there(cls, pack: Path) -> Path:
        if not (resolve(pack) / "domain.yaml").is_file():
            raise ValueError("allowed: a folder that holds domain.yaml")
        return pack


class PolicySettings(Section):
    """What callers may see and run."""

    name: str = Field(
        default="default",
        min_length=1,
        max_length=64,
        description="Policy of every caller, a file under configs/policies/ (without its suffix)",
    )

    @field_validator("name")
    @classmethod
    def _policy_is_there(cls, name: str) -> str:
        return _existing_config("policies", name)


class LimitSettings(Section):
    """What one ingress replica takes on."""

    max_question_chars: int = Field(
        default=2000, ge=10, le=100_000, description="Longest question, in characters"
    )
    max_body_bytes: int = Field(
        default=65_536, ge=1024, le=10_485_760, description="Largest request body, in bytes"
    )
    max_concurrent_questions: int = Field(
        default=8, ge=1, le=1000, description="Questions answered at the same time by one ingress replica"
    )
    max_queued_questions: int = Field(
        default=32, ge=0, le=10_000, description="Questions that wait for their turn; further ones get 503"
    )
    request_timeout_s: float = Field(
        default=60.0,
        gt=0.0,
        le=3600.0,
        description="Time limit of a whole question with its repairs, in seconds",
    )
    stage_timeout_s: float = Field(
        default=20.0,
        gt=0.0,
        le=3600.0,
        description="Time limit of a call to a stage, in seconds, beside that of a statement or generation",
    )
    retry_after_s: float = Field(
        default=5.0, ge=1.0, le=3600.0, description="Retry-After of a refusal by overload"
    )


class FeatureSettings(Section):
    """What the HTTP service offers."""

    streaming: bool = Field(default=True, description="POST /api/chat/stream")
    sql_endpoints: bool = Field(default=True, description="POST /api/sql/validate and /api/sql/run")
    feedback: bool = Field(default=True, description="POST /api/feedback")
    former_api: bool = Field(default=True, description="POST /chat and the former field names")
    docs: bool = Field(default=True, description="OpenAPI at /docs and /openapi.json")


class FeedbackSettings(Section):
    """What becomes of users' feedback."""

    needs_operator: bool = Field(
        default=True,
        description="Pairs wait for `plumbline feedback accept`; off: the word of whoever asked is enough",
    )


class LoggingSettings(Section):
    """Structured logs, one JSON object a line."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="Least severity that is logged"
    )
    file: Path | None = Field(
        default=None, description="File the logs also go to; unset: standard error only"
    )

    @field_validator("level", mode="before")
    @classmethod
    def _any_case(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("file")
    @classmethod
    def _folder_is_there(cls, file: Path | None) -> Path | None:
        if file is not None and (file.is_dir() or not file.resolve().parent.is_dir()):
            raise ValueError("allowed: a file in an existing folder")
        return file


class ServerSettings(Section):
    """Where `plumbline up` serves and keeps its data; ``http_options`` of a Serve config win elsewhere."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address that is listened on")
    port: int = Field(default=8000, ge=1, le=65_535, description="HTTP port")
    data_dir: Path = Field(
        default=Path(".plumbline"),
        description="Folder of the embedded database, the conversation store and logs",
    )


class Settings(Section):
    """Everything an operator can set, checked together before the first question."""

    model: ModelSettings = ModelSettings()
    generation: GenerationSettings = GenerationSettings()
    store: StoreSettings = StoreSettings()
    conversations: ConversationsConfig = ConversationsConfig()
    database: DatabaseSettings = DatabaseSettings()
    domain: DomainSettings = DomainSettings()
    policy: PolicySettings = PolicySettings()
    prompt: PromptConfig = PromptConfig()
    validator: ValidatorConfig = ValidatorConfig()
    executor: ExecutorConfig = ExecutorConfig()
    limits: LimitSettings = LimitSettings()
    edge: EdgeSettings = EdgeSettings()
    features: FeatureSettings = FeatureSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    logging: LoggingSettings = LoggingSettings()
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    audit: AuditSettings = AuditSettings()

    @model_validator(mode="after")
    def _nobody_else_can_connect(self) -> Self:
        if self.auth.mode == "none" and not is_loopback(self.server.host):
            raise ValueError(f"PLUMBLINE_HOST is {self.server.host!r}: {open_port_fault(self.server.host)}")
        for policy in self.auth.jwt.policies.values():
            _existing_config("policies", policy)
        return self
