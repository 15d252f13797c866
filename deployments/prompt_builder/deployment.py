"""The PromptBuilder deployment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.builder import PromptBuilderCore, PromptProfile
from deployments.prompt_builder.caller_schemas import SchemaSource
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.house.profile import HouseConfig, HouseProfile
from deployments.prompt_builder.instruction.profile import InstructionProfile
from deployments.prompt_builder.retrieval import load_examples
from deployments.prompt_builder.verified.answers import VerifiedAnswers
from deployments.prompt_builder.verified.library import ExampleLibrary
from serve_app.contracts import (
    BuiltPrompt,
    Caller,
    ConversationContext,
    Interpretation,
    Prompt,
    Proposal,
    Question,
    SchemaSnapshot,
    StageHealth,
)
from serve_app.handles import ConversationsHandle, ExecutorHandle, GeneratorHandle
from serve_app.logging import configure_logging
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings.tree import LoggingSettings


class PromptBuilder:
    """Question to prompt and output to SQL, in the words of each engine's model profile."""

    def __init__(
        self,
        configs: Mapping[str, PromptConfig],
        domain_folder: Path,
        executor: "DeploymentHandle[Any]",
        generators: "Mapping[str, DeploymentHandle[Any]]",
        conversations: "DeploymentHandle[Any]",
        stage_timeout_s: float,
        logs: LoggingSettings,
    ) -> None:
        """``configs`` and ``generators`` are those of the engines, by name and in their order."""
        configure_logging(logs.level, logs.file, "PromptBuilder")
        pack = load_domain(domain_folder)
        first = next(iter(configs))
        library = ExampleLibrary(
            load_examples(domain_folder / "examples.jsonl"),
            ConversationsHandle(conversations, stage_timeout_s).verified,
            configs[first].verified_reuse_s,
        )
        profiles = {
            name: make_profile(config, pack, library, GeneratorHandle(generators[name], stage_timeout_s))
            for name, config in configs.items()
        }
        self._core = PromptBuilderCore(
            _schema_source(ExecutorHandle(executor, stage_timeout_s)),
            profiles.pop(first),
            configs[first].schema_reuse_s,
            VerifiedAnswers(pack, library),
            later=profiles,
        )

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        repair: tuple[str, str] | None = None,
        engine: str = "",
    ) -> BuiltPrompt:
        return await self._core.build(question, context, repair, engine)

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        return await self._core.propose(question, context)

    async def interpret(self, prompt: Prompt, outputs: tuple[str, ...]) -> tuple[Interpretation, ...]:
        return await self._core.interpret(prompt, outputs)

    async def forget_schema(self) -> None:
        await self._core.forget_schema()

    async def health(self) -> StageHealth:
        return await self._core.health()


PromptBuilderDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(PromptBuilder)


def _schema_source(executor: ExecutorHandle) -> SchemaSource:
    async def schema(caller: Caller | None) -> SchemaSnapshot:
        return await executor.schema(caller=caller)

    return schema


def make_profile(
    config: PromptConfig, pack: DomainPack, library: ExampleLibrary, generator: GeneratorHandle
) -> PromptProfile:
    """The profile that the model was trained for."""
    counter = TokenCounter(generator.count_tokens)
    if config.profile == "house":
        return HouseProfile(pack, counter, HouseConfig(grammar=config.grammar))
    return InstructionProfile(pack, library, counter, config)
