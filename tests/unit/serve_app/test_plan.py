"""What the deployments are bound with, worked out of settings and model profile."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from deployments.generator.model_profile import load_profile
from deployments.prompt_builder.domain import ColumnTerms, Derived, DomainPack, TableTerms
from serve_app.contracts import SamplingParams, SemanticType
from serve_app.errors import ConfigurationError, ModelUnavailable
from serve_app.paths import PROJECT_ROOT, named_config, resolve
from serve_app.plan import column_semantics, make_plan, sampling_of
from serve_app.settings import load_settings
from serve_app.settings.tree import GenerationSettings


def test_the_serve_config_names_the_profile_unless_the_settings_do() -> None:
    assert make_plan(load_settings({}), "mistral-7b-instruct").profile.prompt_profile == "instruction"
    assert make_plan(load_settings({})).profile.prompt_profile == "house"
    settings = load_settings({"PLUMBLINE_MODEL_PROFILE": "house"})
    assert make_plan(settings, "mistral-7b-instruct").prompt.profile == "house"


def test_the_model_profile_says_whether_prompts_carry_a_grammar() -> None:
    for name in ("house", "mistral-7b-instruct"):
        plan = make_plan(load_settings({}), name)
        assert plan.prompt.grammar == plan.profile.grammar
    assert make_plan(load_settings({}), "house").prompt.grammar


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


def a_cascade(tmp_path: Path, calibrated: bool = True) -> tuple[Path, Path]:
    """Two copies of the house profile, the first with a calibration of its own or without any."""
    values = yaml.safe_load(named_config("models", "house").read_text(encoding="utf-8"))
    values["folder"] = str(tmp_path / "weights")
    fitted = {"model": "m", "data": ["d"], "questions": 9, "right": 5, "log_loss": 0.1, "intercept": 1.0}
    (tmp_path / "fitted.json").write_text(json.dumps({**fitted, "coefficients": {"margin": 1.0}}), "utf-8")
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    confidence = {"answer": 0.8, "refuse": 0.3}
    calibration = {"calibration": "fitted.json"} if calibrated else {}
    first.write_text(yaml.safe_dump({**values, **calibration, "confidence": confidence}), "utf-8")
    second.write_text(yaml.safe_dump(values), "utf-8")
    return first, second


def test_a_cascade_has_its_engines_in_order_with_their_thresholds(tmp_path: Path) -> None:
    first, second = a_cascade(tmp_path)
    settings = load_settings(
        {
            "PLUMBLINE_MODEL_CASCADE": f"{first}, {second}",
            "MISTRAL_TEMPERATURE": "0.7",
            "MISTRAL_QUANTIZATION": "8bit",
        }
    )
    plan = make_plan(settings, "house")
    one, other = plan.service.pipeline.engines
    assert (one.name, other.name) == ("first", "second")
    assert (one.thresholds.answer, one.thresholds.refuse) == (0.8, 0.3)
    assert one.calibration is not None
    assert other.calibration is None
    # What an operator sets about the model is the last one's: it is the strongest.
    assert (one.sampling.temperature, other.sampling.temperature) == (0.0, 0.7)
    assert [e.profile.quantization for e in plan.engines] == ["none", "8bit"]
    assert [e.prompt.profile for e in plan.engines] == ["house", "house"]


def test_the_serve_config_names_the_cascade_unless_the_settings_name_a_model(tmp_path: Path) -> None:
    names = tuple(str(path) for path in a_cascade(tmp_path))
    assert len(make_plan(load_settings({}), "house", names).engines) == 2
    assert len(make_plan(load_settings({"PLUMBLINE_MODEL_PROFILE": "house"}), None, names).engines) == 1


def test_an_engine_before_others_needs_a_calibration(tmp_path: Path) -> None:
    first, second = a_cascade(tmp_path, calibrated=False)
    with pytest.raises(ConfigurationError, match="'first' stands before others"):
        make_plan(load_settings({"PLUMBLINE_MODEL_CASCADE": f"{first},{second}"}))
    with pytest.raises(ConfigurationError, match="names an engine twice"):
        make_plan(load_settings({}), None, (str(first), str(first)))


def test_a_cascade_of_unknown_profiles_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ConfigurationError, match="PLUMBLINE_MODEL_CASCADE"):
        load_settings({"PLUMBLINE_MODEL_CASCADE": "house,hause"})


def test_another_model_has_no_calibration_of_this_one(tmp_path: Path) -> None:
    profile = load_profile(a_cascade(tmp_path)[0])
    assert profile.calibration_file == tmp_path / "fitted.json"
    assert profile.override(str(tmp_path)).calibration_file is None
    (tmp_path / "calibration.json").write_text("{}", encoding="utf-8")
    assert profile.override(str(tmp_path)).calibration_file == tmp_path / "calibration.json"


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
    assert (service.access.policy, service.model_enabled) == ("restricted", False)


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


def test_a_start_with_a_damaged_model_ends_with_its_file_s_name(tmp_path: Path) -> None:
    weights = shutil.copytree(PROJECT_ROOT / "configs" / "models" / "house" / "weights", tmp_path / "weights")
    values = yaml.safe_load(named_config("models", "house").read_text(encoding="utf-8"))
    (tmp_path / "house.yaml").write_text(yaml.safe_dump(values | {"folder": "weights"}), encoding="utf-8")
    settings = load_settings({"PLUMBLINE_MODEL_PROFILE": str(tmp_path / "house.yaml")})
    assert make_plan(settings).profile.folder == weights
    with (weights / "tokenizer.json").open("a") as tokenizer:
        tokenizer.write(" ")
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json is damaged"):
        make_plan(settings)
