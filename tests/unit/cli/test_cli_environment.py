"""What the processes of an instance find in their environment: everything but secrets."""

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.cli.environment import instance_environment
from serve_app.cli.state import StateFolder
from serve_app.secret_files import SECRETS_VARIABLE
from serve_app.settings import load_settings, settings_table

DSN = "postgresql://reader:canary@db.example:5432/shop"
VALUES = {"DATABASE_URL": DSN, "PLUMBLINE_STORE_URL": "sqlite:////tmp/store.db"}


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.logs.mkdir(parents=True)
    return made


def environment_of(environ: dict[str, str], state: StateFolder, config: Path | None = None) -> dict[str, str]:
    return instance_environment(load_settings(environ), config or Path("none.yaml"), state, environ)


def test_secrets_move_into_private_files_and_everything_else_stays(state: StateFolder) -> None:
    values = {s.variable: VALUES.get(s.variable, "canary" * 8) for s in settings_table() if s.secret}
    assert len(values) >= 5
    made = environment_of({**values, "PLUMBLINE_PORT": "8123", "HOME": "/home/ann"}, state)
    assert not [name for name, value in made.items() if "canary" in value]
    assert (made["PLUMBLINE_PORT"], made["HOME"]) == ("8123", "/home/ann")
    assert made[SECRETS_VARIABLE] == str(state.secrets)
    assert stat.S_IMODE(state.secrets.stat().st_mode) == 0o700
    for name, value in values.items():
        path = state.secrets / name
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (value, 0o600)
    read = load_settings(made)
    assert read.database.url is not None
    assert read.database.url.get_secret_value() == DSN
    state.forget_instance()
    assert not state.secrets.exists()


def test_without_secrets_there_is_no_folder_and_the_operators_own_stays(
    state: StateFolder, tmp_path: Path
) -> None:
    assert SECRETS_VARIABLE not in environment_of({}, state)
    own = tmp_path / "own"
    own.mkdir()
    (own / "DATABASE_URL").write_text(f"{DSN}\n")
    made = environment_of({SECRETS_VARIABLE: str(own)}, state)
    assert made[SECRETS_VARIABLE] == str(own)
    assert not state.secrets.exists()
    both = environment_of({SECRETS_VARIABLE: str(own), "PLUMBLINE_AUTH_PEPPER": "p" * 32}, state)
    assert both[SECRETS_VARIABLE] == str(state.secrets)
    assert (state.secrets / "DATABASE_URL").read_text() == DSN
    assert (state.secrets / "PLUMBLINE_AUTH_PEPPER").read_text() == "p" * 32


def test_secrets_of_commands_do_not_reach_the_server(state: StateFolder) -> None:
    given = dict.fromkeys(("DATABASE_ADMIN_URL", "DATABASE_ROLE_PASSWORD", "PLUMBLINE_API_KEY"), "canary")
    assert "canary" not in environment_of(given, state).values()
    assert not state.secrets.exists()


@pytest.mark.parametrize(
    "arguments",
    [{"model_profile": "{profile}"}, {"model_cascade": ["house", "{profile}"]}, None],
)
def test_the_key_that_a_model_profile_names_is_a_secret(
    arguments: dict[str, Any] | None, state: StateFolder, tmp_path: Path
) -> None:
    profile = tmp_path / "cloud.yaml"
    remote = yaml.safe_load(Path("configs/models/remote.yaml").read_text())
    remote["remote"]["api_key_variable"] = "OPENAI_API_KEY"
    profile.write_text(yaml.safe_dump(remote))
    told = yaml.safe_dump({"applications": [{"args": arguments}]}).replace("{profile}", str(profile))
    config = tmp_path / "serve.yaml"
    config.write_text(told)
    environ = {"OPENAI_API_KEY": "canary"}
    if arguments is None:
        environ["PLUMBLINE_MODEL_PROFILE"] = str(profile)
    assert "OPENAI_API_KEY" not in environment_of(environ, state, config)
    assert (state.secrets / "OPENAI_API_KEY").read_text() == "canary"


@pytest.mark.parametrize("text", ["", "[", "applications: 5", "applications:\n- args: {x: 1}\n", "\x00"])
def test_a_wrong_serve_config_is_for_the_start_to_tell(text: str, state: StateFolder, tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text(text)
    environment_of({}, state, config)
