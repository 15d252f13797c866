"""The deployment graph, drawn once: `serve run serve_app.app:build_app` and the Serve configs start here."""

from ray.serve import Application

from deployments.conversations.deployment import ConversationsDeployment
from deployments.executor.deployment import ExecutorDeployment
from deployments.generator.deployment import GeneratorDeployment
from deployments.prompt_builder.deployment import PromptBuilderDeployment
from deployments.sql_validator.deployment import SqlValidatorDeployment
from serve_app.app_args import AppArgs
from serve_app.ingress import IngressDeployment
from serve_app.plan import make_plan
from serve_app.serve_config import generator_name
from serve_app.settings import load_settings


def build_app(args: AppArgs) -> Application:
    """Check all settings, then bind the deployments in the order in which data flows back to the ingress.

    There are six, and one Generator more for every further engine of a cascade.

    Credentials are not bound: the stages that hold some read them in their own process.

    Raises:
        ConfigurationError: every fault of the configuration at once; nothing has started.
    """
    file = args.settings_file
    plan = make_plan(load_settings(file=file), args.model_profile, args.model_cascade)
    logs = plan.settings.logging
    stage_timeout_s = plan.settings.limits.stage_timeout_s

    executor = ExecutorDeployment.bind(file, plan.settings.executor, plan.semantics, plan.data_folder, logs)
    validator = SqlValidatorDeployment.bind(plan.settings.validator, executor, stage_timeout_s, logs)
    generators = {
        engine.name: GeneratorDeployment.options(name=generator_name(engine.name, place)).bind(
            engine.profile, plan.settings.model.enabled, logs
        )
        for place, engine in enumerate(plan.engines)
    }
    prompts = {engine.name: engine.prompt for engine in plan.engines}
    conversations = ConversationsDeployment.bind(file, plan.settings.conversations, plan.data_folder, logs)
    prompt_builder = PromptBuilderDeployment.bind(
        prompts, plan.domain_folder, executor, generators, conversations, stage_timeout_s, logs
    )

    return IngressDeployment.bind(
        plan.service,
        conversations,
        prompt_builder,
        generators,
        validator,
        executor,
        logs,
        file,
        plan.data_folder,
    )
