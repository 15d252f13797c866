"""What the deployments are bound with, worked out of settings and model profile."""

from pathlib import Path

import pytest

from deployments.prompt_builder.domain import ColumnTerms, Derived, DomainPack, TableTerms
from serve_app.contracts import SamplingParams, SemanticType
from serve_app.errors import ConfigurationError
from serve_app.paths import PROJECT_ROOT, named_config, resolve
from serve_app.plan import column_semantics, make_plan, sampling_of
from serve_app.settings import load_settings
from serve_app.settings.tree import GenerationSettings


def test_the_serve_config_names_the_profile_unless_the_settings_do() -> None:
    assert make_plan(load_settings({}), "mistral-7b-instruct").profile.prompt_profile == "instruction"
    assert make_plan(load_settings({})).profile.prompt_profile == "house"
    settings = load_settings({"PLUMBLINE_MODEL_PROFILE": "house"})
    assert make_plan(settings, "mistral-7b-instruct").prompt.profile == "house"


def test_model_and_quantization_of_the_environment_replace_the_profile_s(tmp_path: Path) -> None:
    settings = load_settings({"MISTRAL_MODEL": "org/other", "MISTRAL_QUANTIZATION": "4bit"})
    profile = make_plan(settings, "mistral-7b-instruct").profile
    assert (profile.model_id, profile.quantization) == ("org/other", "4bit")
    finetuned = load_settings({"USE_FINETUNED_MODEL": "true", "FINETUNED_MODEL_PATH": str(tmp_path)})
    assert make_plan(finetuned, "mistral-7b-instruct").profile.folder == tmp_path


def test_a_wrong_profile_is_a_configuration_error(tmp_path: Path) -> None:
    wrong = tmp_path / "p.yaml"
    wrong.write_text("name: x\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"p\.yaml"):
        make_plan(load_settings({"PLUMBLINE_MODEL_PROFILE": str(wrong)}))


def test_a_hub_model_is_not_asked_in_the_house_model_s_language() -> None:
    settings = load_settings({"MISTRAL_MODEL": "mistralai/Mistral-7B-Instruct-v0.3"})
    with pytest.raises(ConfigurationError, match="PLUMBLINE_MODEL_PROFILE=mistral-7b-instruct"):
        make_plan(settings, "house")


@pytest.mark.parametrize(
    ("text", "told"), [("name: [", "expected"), ("nam: x", "nam: Extra"), ("", "file: ")]
)
def test_a_wrong_domain_pack_is_a_configuration_error(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "domain.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"domain\.yaml is wrong: .*{told}"):
        make_plan(load_settings({"PLUMBLINE_DOMAIN_PACK": str(tmp_path)}))


def test_sampling_is_the_profile_s_but_for_what_an_operator_set() -> None:
    profile = SamplingParams(temperature=0.0, candidates=4, max_new_tokens=128)
    assert sampling_of(profile, GenerationSettings()) == profile
    changed = sampling_of(profile, GenerationSettings(temperature=0.5, max_tokens=64))
    assert (changed.temperature, changed.max_new_tokens, changed.candidates) == (0.5, 64, 4)


def test_the_service_gets_the_limits_of_the_settings() -> None:
    environ = {
        "MISTRAL_MAX_RETRIES": "1",
        "MISTRAL_MAX_CONVERSATION_HISTORY": "2",
        "PLUMBLINE_POLICY": "restricted",
        "PLUMBLINE_EXECUTOR_STATEMENT_TIMEOUT_S": "7",
        "ENABLE_MISTRAL": "false",
    }
    service = make_plan(load_settings(environ)).service
    assert (service.pipeline.max_retries, service.pipeline.max_history) == (1, 2)
    assert service.pipeline.execution_timeout_s == 7
    assert (service.policy, service.model_enabled) == ("restricted", False)


def table(**columns: SemanticType | None) -> TableTerms:
    terms = {name: ColumnTerms(role="measure", semantic=meaning) for name, meaning in columns.items()}
    return TableTerms(terms=("row",), display=("id",), columns=terms)


def test_names_that_mean_different_things_have_no_meaning_of_their_own() -> None:
    derived = Derived(
        table="a", name="margin", kind="value", expression="x", terms=("m",), semantic="percent"
    )
    pack = DomainPack(
        name="p",
        description="d",
        tables={
            "a": table(cost="currency", share="percent"),
            "b": table(cost="currency", share="number", n=None),
        },
        derived=(derived,),
    )
    assert column_semantics(pack) == {"cost": "currency", "margin": "percent"}


def test_relative_paths_are_looked_for_in_the_working_folder_and_then_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(Path("configs")) == PROJECT_ROOT / "configs"
    (tmp_path / "configs").mkdir()
    assert resolve(Path("configs")) == tmp_path / "configs"
    assert named_config("models", "house").name == "house.yaml"
    assert named_config("models", str(tmp_path / "x.yaml")) == tmp_path / "x.yaml"
