"""What each deployment is bound with, worked out of settings and model profile before anything starts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from deployments.generator.checksums import check_checksums
from deployments.generator.model_profile import ModelProfile, load_profile
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import DomainPack, load_domain
from serve_app.auth.identity import Access
from serve_app.confidence import load_calibration
from serve_app.contracts import SamplingParams, SemanticType
from serve_app.errors import ConfigurationError
from serve_app.house_model import HOUSE_PROFILE, of_pack
from serve_app.paths import named_config, resolve
from serve_app.pipeline import EnginePlan, PipelineLimits
from serve_app.service import ServiceConfig
from serve_app.settings import Settings
from serve_app.settings.tree import GenerationSettings, ModelSettings

# Names of engines become names of deployments.
_ENGINE_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class EngineSetup:
    """An engine of the cascade: its profile, named as its file is, and what its prompts are made by."""

    name: str
    profile: ModelProfile
    prompt: PromptConfig


@dataclass(frozen=True)
class AppPlan:
    """Settings and profiles, resolved: paths absolute, overrides applied, everything readable checked."""

    settings: Settings
    engines: tuple[EngineSetup, ...]
    service: ServiceConfig
    semantics: dict[str, SemanticType]
    domain_folder: Path
    data_folder: Path

    @property
    def profile(self) -> ModelProfile:
        """The first engine's."""
        return self.engines[0].profile

    @property
    def prompt(self) -> PromptConfig:
        """The first engine's."""
        return self.engines[0].prompt


def make_plan(
    settings: Settings, model_profile: str | None = None, model_cascade: Sequence[str] = ()
) -> AppPlan:
    """``model_profile`` and ``model_cascade`` (of the Serve config) are taken unless the environment or the
    settings file names one of them.

    Raises:
        ConfigurationError: a model profile, its calibration or the domain pack is wrong, or the model is not
            the profile's.
        ModelUnavailable: files of a local model are not those recorded.
    """
    names = _cascade(settings.model, model_profile, model_cascade)
    domain_folder = resolve(settings.domain.pack)
    pack = read_pack(domain_folder)
    profiles = [load_profile(named_config("models", name)) for name in names]
    profiles[-1] = _overridden(settings.model, names[-1], profiles[-1])
    replaced = names[-1] if settings.model.use_finetuned or settings.model.name is not None else None
    profiles = [
        of_pack(profile, domain_folder, pack) if name == HOUSE_PROFILE and name != replaced else profile
        for name, profile in zip(names, profiles, strict=True)
    ]
    for profile in profiles:
        if profile.folder is not None:
            # Here too, so that a start with a damaged model ends before anything is loaded.
            check_checksums(profile.folder)
    engines = tuple(
        EngineSetup(
            _engine_name(name),
            profile,
            settings.prompt.model_copy(
                update={"profile": profile.prompt_profile, "grammar": profile.grammar}
            ),
        )
        for name, profile in zip(names, profiles, strict=True)
    )
    return AppPlan(
        settings=settings,
        engines=engines,
        service=_service(settings, _engine_plans(engines, settings.generation)),
        semantics=column_semantics(pack),
        domain_folder=domain_folder,
        data_folder=resolve(settings.server.data_dir),
    )


def _cascade(
    model: ModelSettings, model_profile: str | None, model_cascade: Sequence[str]
) -> tuple[str, ...]:
    """The profiles to ask in their order; what the settings name wins over the Serve config."""
    if not model.model_fields_set & {"profile", "cascade"}:
        return tuple(model_cascade) or (model_profile or model.profile,)
    return model.cascade or (model.profile,)


def _overridden(model: ModelSettings, named: str, profile: ModelProfile) -> ModelProfile:
    profile = profile.override(model.name, model.quantization)
    if model.use_finetuned and model.finetuned_path:
        profile = profile.finetuned(resolve(model.finetuned_path))
    if profile.prompt_profile == "house" and not profile.is_local:
        raise ConfigurationError(
            f"MISTRAL_MODEL is {profile.model_id!r}, but the profile {named!r} asks in the house model's own "
            "language. Unset MISTRAL_MODEL, or set PLUMBLINE_MODEL_PROFILE=mistral-7b-instruct."
        )
    return profile


def _engine_name(profile: str) -> str:
    name = named_config("models", profile).stem
    if not _ENGINE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"The model profile {profile!r} cannot name an engine; use letters, digits, '.', '_' and '-'."
        )
    return name


def _engine_plans(engines: tuple[EngineSetup, ...], settings: GenerationSettings) -> tuple[EnginePlan, ...]:
    """How each engine generates and how sure it must be; the settings' sampling is the last one's."""
    names = [engine.name for engine in engines]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"The cascade {', '.join(names)} names an engine twice.")
    plans: list[EnginePlan] = []
    for engine in engines:
        is_last = engine is engines[-1]
        file = engine.profile.calibration_file
        if file is None and not is_last:
            raise ConfigurationError(
                f"The model profile {engine.name!r} stands before others in the cascade but has no "
                "calibration: nobody knows when it is sure. Fit one with `plumbline eval FILES --calibrate "
                "FILE`, or put it last."
            )
        sampling = engine.profile.sampling
        plans.append(
            EnginePlan(
                name=engine.name,
                sampling=sampling_of(sampling, settings) if is_last else sampling,
                thresholds=engine.profile.confidence,
                calibration=load_calibration(file) if file is not None else None,
            )
        )
    return tuple(plans)


def read_pack(folder: Path) -> DomainPack:
    """The pack of a folder.

    Raises:
        ConfigurationError: it holds no readable ``domain.yaml``.
    """
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


def _service(settings: Settings, engines: tuple[EnginePlan, ...]) -> ServiceConfig:
    generation = settings.generation
    return ServiceConfig(
        pipeline=PipelineLimits(
            max_retries=generation.max_retries,
            retry_delay_s=generation.retry_delay_s,
            generation_timeout_s=generation.timeout_s,
            execution_timeout_s=settings.executor.statement_timeout_s,
            request_timeout_s=settings.limits.request_timeout_s,
            max_history=settings.prompt.max_history,
            engines=engines,
            direct_confidence=settings.prompt.verified_confidence,
        ),
        limits=settings.limits,
        edge=settings.edge,
        features=settings.features,
        feedback=settings.feedback,
        access=Access(
            mode=settings.auth.mode,
            policy=settings.policy.name,
            require_organization=settings.auth.require_organization,
        ),
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
