"""The PromptBuilder deployment."""

from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.builder import PromptBuilderCore, PromptProfile
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.house.profile import HouseProfile
from deployments.prompt_builder.instruction.profile import InstructionProfile
from deployments.prompt_builder.retrieval import load_examples
from deployments.prompt_builder.verified.answers import VerifiedAnswers
from deployments.prompt_builder.verified.library import ExampleLibrary
from serve_app.contracts import (
    BuiltPrompt,
    ConversationContext,
    Interpretation,
    Prompt,
    Proposal,
    Question,
    StageHealth,
)
from serve_app.handles import ConversationsHandle, ExecutorHandle, GeneratorHandle
from serve_app.logging import configure_logging
from serve_app.serving import DEPLOYMENT_DEFAULTS
from serve_app.settings.tree import LoggingSettings


class PromptBuilder:
    """Question to prompt and output to SQL, in the words of the model profile."""

    def __init__(
        self,
        config: PromptConfig,
        domain_folder: Path,
        executor: "DeploymentHandle[Any]",
        generator: "DeploymentHandle[Any]",
        conversations: "DeploymentHandle[Any]",
        logs: LoggingSettings,
    ) -> None:
        configure_logging(logs.level, logs.file, "PromptBuilder")
        pack = load_domain(domain_folder)
        library = ExampleLibrary(
            load_examples(domain_folder / "examples.jsonl"),
            ConversationsHandle(conversations).verified,
            config.verified_reuse_s,
        )
        self._core = PromptBuilderCore(
            ExecutorHandle(executor).schema,
            make_profile(config, pack, library, GeneratorHandle(generator)),
            config.schema_reuse_s,
            VerifiedAnswers(pack, library),
        )

    async def build(
        self, question: Question, context: ConversationContext, repair: tuple[str, str] | None = None
    ) -> BuiltPrompt:
        return await self._core.build(question, context, repair)

    async def propose(self, question: Question, context: ConversationContext) -> Proposal | None:
        return await self._core.propose(question, context)

    async def interpret(self, prompt: Prompt, output: str) -> Interpretation:
        return await self._core.interpret(prompt, output)

    async def health(self) -> StageHealth:
        return await self._core.health()


PromptBuilderDeployment = serve.deployment(**DEPLOYMENT_DEFAULTS)(PromptBuilder)


def make_profile(
    config: PromptConfig, pack: DomainPack, library: ExampleLibrary, generator: GeneratorHandle
) -> PromptProfile:
    """The profile that the model was trained for."""
    counter = TokenCounter(generator.count_tokens)
    if config.profile == "house":
        return HouseProfile(pack, counter)
    return InstructionProfile(pack, library, counter, config)
