"""Model profiles: a YAML file per model under ``configs/models/``, saying what to load and how to ask it."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deployments.generator.remote.config import RemoteModel
from serve_app.confidence import CALIBRATION_FILE, Thresholds
from serve_app.contracts import ProfileName, SamplingParams
from serve_app.errors import ConfigurationError

Quantization = Literal["8bit", "4bit", "none"]
GIB = 1024**3
ADAPTER_FILE = "adapter_config.json"


class ModelProfile(BaseModel):
    """A model, how it is loaded, and the requests it is meant for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Shown in metadata and metrics")
    model_id: str | None = Field(
        default=None, description="Name on the model hub, e.g. mistralai/Mistral-7B-Instruct-v0.3"
    )
    revision: str | None = Field(
        default=None, description="Commit or tag on the hub; null is the default branch"
    )
    folder: Path | None = Field(
        default=None,
        description="Folder with config.json, safetensors and tokenizer; relative to the profile's file",
    )
    remote: RemoteModel | None = Field(
        default=None, description="Instead of a model of this machine: an OpenAI-compatible endpoint"
    )
    adapter: Path | None = Field(
        default=None, description="Folder of a LoRA adapter for the model; relative to the profile's file"
    )
    prompt_profile: ProfileName = Field(description="Which prompt the model was trained for")
    prompt_format: Literal["chat", "raw"] = Field(
        description="chat: turns through the chat template; raw: text, or the turns' texts in a row"
    )
    quantization: Quantization = Field(
        default="8bit", description="bitsandbytes quantization of the linear layers"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Of unquantized weights; auto: float16 under 8bit, bfloat16 on CUDA, else float32",
    )
    device: Literal["auto", "cuda", "cpu"] = Field(
        default="auto", description="cuda refuses to start without a GPU"
    )
    min_free_memory_gib: float = Field(
        default=0.0, ge=0, description="Free device memory below which loading is refused, in GiB"
    )
    context_tokens: int = Field(default=4096, ge=16, description="Most tokens of prompt and output together")
    sampling: SamplingParams = Field(
        default=SamplingParams(), description="Parameters when the settings say nothing else"
    )
    confidence: Thresholds = Field(
        default=Thresholds(), description="How sure its answers have to be; needs a calibration"
    )
    calibration: Path | None = Field(
        default=None,
        description="Fitted by `plumbline eval --calibrate`; relative to the profile's file; null: "
        f"{CALIBRATION_FILE} in the model's folder, if it is there",
    )
    grammar: bool = Field(
        default=False, description="Hold outputs to the language and the schema's names, token by token"
    )
    skip_special_tokens: bool = Field(
        default=True, description="Leave control tokens out of the returned text"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = {"model_id": self.model_id, "folder": self.folder, "remote": self.remote}
        given = [name for name, value in sources.items() if value is not None]
        if len(given) != 1:
            raise ValueError(f"set exactly one of {', '.join(sources)}, got {' and '.join(given) or 'none'}")
        if self.remote is not None and self.prompt_profile == "house":
            raise ValueError("the house model runs on this machine; remote needs prompt_profile: instruction")
        if self.remote is not None and self.adapter is not None:
            raise ValueError("an adapter is loaded at the endpoint; leave out adapter or remote")
        return self

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.grammar and self.sampling.stop:
            raise ValueError("a grammar says itself where an output ends; leave out grammar or sampling.stop")
        return self

    @property
    def source(self) -> str:
        """What `from_pretrained` is given, or the endpoint's name of the model."""
        if self.remote is not None:
            return self.remote.model
        return str(self.folder) if self.folder is not None else str(self.model_id)

    @property
    def calibration_file(self) -> Path | None:
        """Where the calibration is, or None if the model has none."""
        if self.calibration is not None or self.folder is None or self.adapter is not None:
            return self.calibration
        own = self.folder / CALIBRATION_FILE
        return own if own.is_file() else None

    @property
    def is_local(self) -> bool:
        return self.folder is not None

    def override(self, model: str | None = None, quantization: Quantization | None = None) -> Self:
        """The profile with another quantization or model (a folder if there is such a one, else a hub id).

        Of a remote model: another one at the same endpoint, whose quantization is the endpoint's affair.
        """
        values: dict[str, Any] = self.model_dump()
        if model is not None and self.remote is not None:
            remote = self.remote.model_copy(update={"model": model})
            values |= {"name": model, "remote": remote, "calibration": None}
        elif model is not None:
            folder = Path(model).expanduser()
            local = folder.is_dir() or model.startswith((".", "/", "~"))
            values |= {
                "name": folder.name if local else model,
                "folder": folder if local else None,
                "model_id": None if local else model,
                "revision": None,
                # Fitted on another model's answers.
                "calibration": None,
                "adapter": None,
            }
        if quantization is not None:
            values["quantization"] = quantization
        return type(self).model_validate(values)

    def finetuned(self, folder: Path) -> Self:
        """The profile with finetuned weights: a LoRA adapter beside the model, or a model in its place.

        Raises:
            ConfigurationError: the model runs elsewhere.
        """
        if self.remote is not None:
            raise ConfigurationError(
                f"USE_FINETUNED_MODEL is on, but the model of {self.name} is served at {self.remote.url}. "
                "Load the weights there, or choose another model profile."
            )
        if (folder / ADAPTER_FILE).is_file():
            return self.model_copy(update={"name": folder.name, "adapter": folder, "calibration": None})
        return self.override(str(folder))


def load_profile(path: Path) -> ModelProfile:
    """Read a profile; its relative paths are taken from the file's own folder.

    Raises:
        ConfigurationError: the file is missing, is no YAML mapping, or has a wrong or unknown key.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"The model profile {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The model profile {path} is not valid YAML.", detail=str(error)) from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"The model profile {path} must be a mapping of keys to values.")
    for name in ("folder", "adapter", "calibration"):
        if values.get(name) is not None:
            values[name] = path.parent / Path(str(values[name])).expanduser()
    remote = values.get("remote")
    if isinstance(remote, dict) and remote.get("tokenizer") is not None:
        remote["tokenizer"] = path.parent / Path(str(remote["tokenizer"])).expanduser()
    try:
        return ModelProfile.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"The model profile {path} is wrong: {faults}.") from error
