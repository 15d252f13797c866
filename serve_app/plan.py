"""What each deployment is bound with, worked out of settings and model profile before anything starts."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from deployments.generator.model_profile import ModelProfile, load_profile
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import DomainPack, load_domain
from serve_app.contracts import SamplingParams, SemanticType
from serve_app.errors import ConfigurationError
from serve_app.paths import named_config, resolve
from serve_app.pipeline import PipelineLimits
from serve_app.service import ServiceConfig
from serve_app.settings import Settings
from serve_app.settings.tree import GenerationSettings


@dataclass(frozen=True)
class AppPlan:
    """Settings and profile, resolved: paths absolute, overrides applied, everything readable checked."""

    settings: Settings
    profile: ModelProfile
    prompt: PromptConfig
    service: ServiceConfig
    semantics: dict[str, SemanticType]
    domain_folder: Path
    data_folder: Path


def make_plan(settings: Settings, model_profile: str | None = None) -> AppPlan:
    """``model_profile`` (of the Serve config) is taken unless the environment or the settings file names one.

    Raises:
        ConfigurationError: the model profile or the domain pack is wrong, or the model is not the profile's.
    """
    model = settings.model
    named = model.profile if "profile" in model.model_fields_set else (model_profile or model.profile)
    finetuned = str(resolve(model.finetuned_path)) if model.use_finetuned and model.finetuned_path else None
    profile = load_profile(named_config("models", named)).override(
        finetuned or model.name, model.quantization
    )
    if profile.prompt_profile == "house" and not profile.is_local:
        raise ConfigurationError(
            f"MISTRAL_MODEL is {profile.model_id!r}, but the profile {named!r} asks in the house model's own "
            "language. Unset MISTRAL_MODEL, or set PLUMBLINE_MODEL_PROFILE=mistral-7b-instruct."
        )
    domain_folder = resolve(settings.domain.pack)
    return AppPlan(
        settings=settings,
        profile=profile,
        prompt=settings.prompt.model_copy(update={"profile": profile.prompt_profile}),
        service=_service(settings, sampling_of(profile.sampling, settings.generation)),
        semantics=column_semantics(_checked_domain(domain_folder)),
        domain_folder=domain_folder,
        data_folder=resolve(settings.server.data_dir),
    )


def _checked_domain(folder: Path) -> DomainPack:
    try:
        return load_domain(folder)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        faults = " ".join(str(error).split())
    raise ConfigurationError(f"The domain pack {folder / 'domain.yaml'} is wrong: {faults}.")


def sampling_of(profile: SamplingParams, settings: GenerationSettings) -> SamplingParams:
    """The profile's way of sampling, with what an operator set explicitly in its place."""
    names = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_tokens": "max_new_tokens"}
    given = {names[name]: getattr(settings, name) for name in names.keys() & settings.model_fields_set}
    return profile.model_copy(update=given)


def _service(settings: Settings, sampling: SamplingParams) -> ServiceConfig:
    generation = settings.generation
    return ServiceConfig(
        pipeline=PipelineLimits(
            max_retries=generation.max_retries,
            retry_delay_s=generation.retry_delay_s,
            generation_timeout_s=generation.timeout_s,
            execution_timeout_s=settings.executor.statement_timeout_s,
            request_timeout_s=settings.limits.request_timeout_s,
            max_history=settings.prompt.max_history,
            sampling=sampling,
            direct_confidence=settings.prompt.verified_confidence,
        ),
        limits=settings.limits,
        features=settings.features,
        feedback=settings.feedback,
        policy=settings.policy.name,
        model_enabled=settings.model.enabled,
        time_zone=settings.executor.time_zone,
    )


def column_semantics(pack: DomainPack) -> dict[str, SemanticType]:
    """What result columns mean, by name; without the names that mean different things in different tables."""
    found: dict[str, set[SemanticType | None]] = {}
    for table in pack.tables.values():
        for name, column in table.columns.items():
            found.setdefault(name, set()).add(column.semantic)
    for derived in pack.derived:
        if derived.kind == "value":
            found.setdefault(derived.name, set()).add(derived.semantic)
    return {
        name: meaning
        for name, meanings in found.items()
        if len(meanings) == 1 and (meaning := next(iter(meanings))) is not None
    }
