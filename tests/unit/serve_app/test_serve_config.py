"""Serve configs are read strictly: a key that Serve would drop in silence is a fault."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.errors import ConfigurationError
from serve_app.paths import PROJECT_ROOT
from serve_app.serve_config import DEPLOYMENTS, config_faults, generator_name, load_serve_config

CONFIGS = [PROJECT_ROOT / "serve_config.yaml", *sorted((PROJECT_ROOT / "configs" / "serve").glob("*.yaml"))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_config_of_the_project_is_right_and_names_every_deployment(path: Path) -> None:
    config = load_serve_config(path)
    (application,) = config.applications
    assert [d.name for d in application.deployments if "-" not in d.name] == list(DEPLOYMENTS)
    assert config.http_options.host == "127.0.0.1"
    for deployment in application.deployments:
        assert deployment.ray_actor_options.num_cpus, deployment.name
        assert deployment.max_queued_requests > 0, deployment.name
        assert deployment.health_check_period_s <= 10, deployment.name


def test_the_embedded_config_fits_two_cores_and_no_gpu() -> None:
    (application,) = load_serve_config(PROJECT_ROOT / "configs/serve/embedded.yaml").applications
    assert sum(d.ray_actor_options.num_cpus for d in application.deployments) <= 1.0
    assert not any(d.ray_actor_options.num_gpus for d in application.deployments)


def test_the_production_config_pins_the_generator_to_one_gpu() -> None:
    (application,) = load_serve_config(PROJECT_ROOT / "serve_config.yaml").applications
    gpus = {
        d.name: d.ray_actor_options.num_gpus for d in application.deployments if d.ray_actor_options.num_gpus
    }
    assert gpus == {"Generator": 1}


def test_the_cascade_config_names_a_generator_for_every_engine() -> None:
    (application,) = load_serve_config(PROJECT_ROOT / "configs/serve/cascade.yaml").applications
    engines = application.args["model_cascade"]
    expected = {generator_name(engine, place) for place, engine in enumerate(engines)}
    assert expected == {"Generator", "Generator-mistral-7b-instruct"}
    assert expected == {d.name for d in application.deployments if d.name.startswith("Generator")}
    gpus = {d.name for d in application.deployments if d.ray_actor_options.num_gpus}
    assert gpus == {"Generator-mistral-7b-instruct"}


def changed(change: Any) -> list[str]:
    raw = yaml.safe_load((PROJECT_ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    change(raw)
    return config_faults(raw)


def deployment(raw: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(d for d in raw["applications"][0]["deployments"] if d["name"] == name)
    return found


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda raw: raw.update(http_option={}), "http_option: unknown key; did you mean http_options?"),
        (
            lambda raw: raw["http_options"].update(prot=1),
            "http_options.prot: unknown key; did you mean port?",
        ),
        (lambda raw: raw["applications"][0].update(arg={}), "applications.0.arg: unknown key"),
        (lambda raw: raw["applications"][0].update(args={"model": "x"}), "args.model: Extra inputs"),
        (lambda raw: raw["applications"][0].update(import_path="x:y"), "import_path: is 'x:y'"),
        (lambda raw: deployment(raw, "Executor").update(num_replica=2), "num_replica: unknown key"),
        (lambda raw: deployment(raw, "Executor").update(name="Exekutor"), "did you mean Executor?"),
        (
            lambda raw: deployment(raw, "Executor").update(user_config={}),
            "Executor.user_config: this deployment",
        ),
        (lambda raw: deployment(raw, "Executor").update(num_replicas=-1), "num_replicas"),
        (
            lambda raw: deployment(raw, "SqlValidator")["autoscaling_config"].update(max_replica=5),
            "autoscaling_config.max_replica: unknown key; did you mean max_replicas?",
        ),
        (
            lambda raw: deployment(raw, "Generator")["ray_actor_options"].update(gpus=1),
            "ray_actor_options.gpus",
        ),
        (
            lambda raw: deployment(raw, "Generator")["user_config"].update(batch=1),
            "Generator.user_config.batch",
        ),
        (lambda raw: deployment(raw, "Generator")["user_config"].update(max_batch_size=0), "max_batch_size"),
        (
            lambda raw: deployment(raw, "Generator").update(name="Generator-x", user_config={"batch": 1}),
            "Generator-x.user_config.batch",
        ),
        (
            lambda raw: deployment(raw, "Generator")["backpressure_config"].update(status=1),
            "status: unknown key",
        ),
    ],
)
def test_a_typo_is_a_fault(change: Any, fault: str) -> None:
    faults = changed(change)
    assert any(fault in told for told in faults), faults


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("http_optoins: {}\napplications: [{import_path: 'x:y', nam: z}]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load_serve_config(file)
    assert raised.value.message.count("c.yaml:") == 3
    assert config_faults([1]) == ["must be a mapping"]
