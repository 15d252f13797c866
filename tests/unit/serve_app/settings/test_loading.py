"""Settings from environment and file: precedence, types, and every fault at once."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.errors import ConfigurationError
from serve_app.settings import Settings, load_section, load_settings
from serve_app.settings.edge import EdgeSettings
from serve_app.settings.identity import AuthSettings
from serve_app.settings.registry import SettingInfo, readme_table, settings_table
from serve_app.settings.tree import StoreSettings


def write(folder: Path, values: Any) -> Path:
    path = folder / "settings.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
    return path


def faults_of(environ: dict[str, str] | None = None, file: Path | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environ or {}, file)
    return raised.value.message.splitlines()[1:]


def test_nothing_set_gives_the_defaults() -> None:
    assert load_settings({}) == Settings()


def test_the_kept_names_have_the_kept_defaults() -> None:
    defaults = {s.variable: s.default for s in settings_table()}
    assert defaults["MISTRAL_TEMPERATURE"] == "0.1"
    assert defaults["MISTRAL_MAX_TOKENS"] == "512"
    assert defaults["MISTRAL_MAX_RETRIES"] == "3"
    assert defaults["MISTRAL_RETRY_DELAY"] == "1.0"
    assert defaults["MISTRAL_GENERATION_TIMEOUT"] == "30.0"
    assert defaults["MISTRAL_MAX_CONVERSATION_HISTORY"] == "5"
    assert defaults["MISTRAL_MAX_CONTEXT_TOKENS"] == "2000"
    kept = (
        "MISTRAL_MODEL MISTRAL_QUANTIZATION DATABASE_URL SUPABASE_URL SUPABASE_KEY LOG_LEVEL LOG_FILE "
        "ENABLE_MISTRAL USE_FINETUNED_MODEL FINETUNED_MODEL_PATH"
    )
    assert set(kept.split()) <= defaults.keys()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, {"generation": {"temperature": 0.7, "top_k": 3}})
    settings = load_settings({"MISTRAL_TEMPERATURE": "0.2", "PLUMBLINE_CONFIG": str(file)})
    assert (settings.generation.temperature, settings.generation.top_k) == (0.2, 3)


def test_an_empty_variable_counts_as_unset() -> None:
    assert load_settings({"DATABASE_URL": "", "MISTRAL_TOP_K": ""}) == Settings()


def test_sections_without_values_are_defaults(tmp_path: Path) -> None:
    assert load_settings({}, write(tmp_path, "generation:\nlimits: {}\n")) == Settings()
    assert load_settings({}, write(tmp_path, "")) == Settings()


def test_every_fault_is_told_at_once_with_variable_value_and_what_is_allowed(tmp_path: Path) -> None:
    file = write(tmp_path, {"generation": {"top_p": 7, "topk": 1}, "servr": {}, "limits": 3})
    told = faults_of(
        {
            "MISTRAL_TEMPERATURE": "hot",
            "MISTRAL_TEMPRATURE": "1",
            "PLUMBLINE_PORT": "99999",
            "LOG_LEVEL": "LOUD",
        },
        file,
    )
    for expected in (
        "- generation.topk: is not a setting; did you mean top_k?",
        "- servr: is not a setting; did you mean server?",
        "- limits: is 3; allowed: a mapping of settings",
        "- MISTRAL_TEMPRATURE: is not a setting; did you mean MISTRAL_TEMPERATURE?",
        "- MISTRAL_TEMPERATURE: is 'hot'; Input should be a valid number, unable to parse string as a "
        "number; allowed: number >= 0.0 <= 2.0",
        "- generation.top_p (MISTRAL_TOP_P): is 7; Input should be less than or equal to 1; "
        "allowed: number > 0.0 <= 1.0",
    ):
        assert expected in told
    assert any(line.startswith("- PLUMBLINE_PORT: is '99999'") for line in told)
    assert any("allowed: DEBUG, INFO, WARNING, ERROR, CRITICAL" in line for line in told)
    assert len(told) == 8


def test_rules_across_fields_are_told_beside_wrong_fields() -> None:
    told = faults_of({"USE_FINETUNED_MODEL": "true", "MISTRAL_QUANTIZATION": "2bit"})
    assert any("MISTRAL_QUANTIZATION: is '2bit'" in line for line in told)
    assert any("FINETUNED_MODEL_PATH must name an existing folder" in line for line in told)


@pytest.mark.parametrize(
    "secret",
    [
        {"DATABASE_URL": "mysql://ann:hunter2@db/x"},
        {"PLUMBLINE_STORE_URL": "mysql://ann:hunter2@db/x"},
        {"SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_KEY": "eyJhunter2"},
        {"DATABASE_URL": "postgresql://ann:hunter2@db/x", "MISTRAL_TOP_K": "-1"},
    ],
)
def test_secrets_are_masked_in_faults_and_representations(secret: dict[str, str]) -> None:
    assert "hunter2" not in "\n".join(faults_of(secret))
    good = {k: v for k, v in secret.items() if v.startswith("postgresql")}
    assert "hunter2" not in repr(load_settings(good))


def test_the_database_url_is_given_or_made_of_the_former_names() -> None:
    assert load_settings({}).database.dsn() is None
    given = load_settings({"DATABASE_URL": "postgres://u:p@h/d", "SUPABASE_URL": "https://x.supabase.co",
                           "SUPABASE_KEY": "k"}).database.dsn()  # fmt: skip
    assert given is not None
    assert given.get_secret_value() == "postgres://u:p@h/d"
    made = load_settings({"SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_KEY": "p/w"}).database.dsn()
    assert made is not None
    assert made.get_secret_value() == "postgresql://postgres:p%2Fw@db.abc.supabase.co:5432/postgres"
    assert "SUPABASE_KEY must hold" in faults_of({"SUPABASE_URL": "https://abc.supabase.co"})[0]
    assert (
        "allowed: https://<project>.supabase.co"
        in faults_of({"SUPABASE_URL": "http://abc", "SUPABASE_KEY": "k"})[0]
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [("a: [", "is not YAML"), ("- 1", "holds a list; allowed: a mapping"), ("\x00\xff", "is not YAML")],
)
def test_unreadable_files_are_faults(tmp_path: Path, content: str, problem: str) -> None:
    assert problem in faults_of(file=write(tmp_path, content))[0]


def test_a_file_that_is_named_must_exist_and_be_text(tmp_path: Path) -> None:
    assert "cannot be read" in faults_of({"PLUMBLINE_CONFIG": str(tmp_path / "no.yaml")})[0]
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    assert "not UTF-8" in faults_of(file=tmp_path / "latin.yaml")[0]


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PLUMBLINE_POLICY", "nope", "a file under configs/policies/"),
        ("PLUMBLINE_MODEL_PROFILE", "nope", "a file under configs/models/"),
        ("PLUMBLINE_DOMAIN_PACK", "/nope", "a folder that holds domain.yaml"),
        ("LOG_FILE", "/nope/x.log", "a file in an existing folder"),
    ],
)
def test_what_does_not_exist_is_told_before_the_start(variable: str, value: str, allowed: str) -> None:
    (told,) = faults_of({variable: value})
    assert told.startswith(f"- {variable}: is ")
    assert allowed in told


def test_an_unknown_time_zone_is_told() -> None:
    (told,) = faults_of({"PLUMBLINE_EXECUTOR_TIME_ZONE": "Mars/Olympus"})
    assert told.startswith("- PLUMBLINE_EXECUTOR_TIME_ZONE: is 'Mars/Olympus'")


def test_the_log_level_is_taken_in_any_case() -> None:
    assert load_settings({"LOG_LEVEL": "warning"}).logging.level == "WARNING"


@pytest.mark.parametrize("setting", settings_table(), ids=lambda s: s.path)
def test_every_setting_is_described_and_bounded(setting: SettingInfo) -> None:
    assert setting.description
    assert setting.description[0].isupper()
    assert "|" not in setting.description
    assert setting.allowed


def test_names_are_unique_and_the_table_lists_them_all() -> None:
    table = settings_table()
    assert len({s.variable for s in table}) == len({s.path for s in table}) == len(table)
    assert len(readme_table().splitlines()) == len(table) + 2
    assert "prompt.profile" not in {s.path for s in table}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "plumbline.example", ""])
def test_without_credentials_only_this_machine_may_connect(host: str) -> None:
    environ = {"PLUMBLINE_HOST": host} if host else {}
    if not host:
        assert load_settings(environ).server.host == "127.0.0.1"
        return
    (fault,) = faults_of(environ)
    assert "PLUMBLINE_HOST" in fault
    assert "PLUMBLINE_AUTH_MODE" in fault
    assert load_settings({**environ, "PLUMBLINE_AUTH_MODE": "api_keys"}).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1", "LOCALHOST"])
def test_the_loopback_interface_needs_no_credentials(host: str) -> None:
    assert load_settings({"PLUMBLINE_HOST": host}).server.host == host


SHORT = "too-short-by-half"
TOKENS = {"PLUMBLINE_AUTH_MODE": "jwt", "PLUMBLINE_AUTH_JWT_AUDIENCE": "a"}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (TOKENS, "PLUMBLINE_AUTH_JWT_SECRET"),
        (
            {**TOKENS, "PLUMBLINE_AUTH_JWT_SECRET": "s" * 32, "PLUMBLINE_AUTH_JWT_JWKS_URL": "https://a/b"},
            "exactly one",
        ),
        (
            {"PLUMBLINE_AUTH_MODE": "jwt", "PLUMBLINE_AUTH_JWT_SECRET": "s" * 32},
            "PLUMBLINE_AUTH_JWT_AUDIENCE",
        ),
        ({"PLUMBLINE_AUTH_JWT_SECRET": SHORT}, "at least 32 bytes"),
        ({"PLUMBLINE_AUTH_PEPPER": SHORT}, "at least 32 bytes"),
        ({"PLUMBLINE_AUTH_JWT_JWKS_URL": "http://idp.example/keys"}, "https://"),
        ({"PLUMBLINE_AUTH_JWT_POLICIES": "{member: no-such}"}, "configs/policies"),
        ({"PLUMBLINE_EXECUTOR_ORGANIZATION_ROLES": "one_role"}, "{organization}"),
        ({"PLUMBLINE_EXECUTOR_ORGANIZATION_ROLES": "{bad"}, "JSON"),
        ({"PLUMBLINE_AUDIT_FSYNC": "often"}, "always, interval, never"),
    ],
)
def test_faults_of_identity_are_told_without_secrets(environ: dict[str, str], told: str) -> None:
    (fault,) = faults_of(environ)
    assert told in fault
    assert SHORT not in fault


def test_roles_of_organizations_come_as_a_template_or_a_mapping() -> None:
    name = "PLUMBLINE_EXECUTOR_ORGANIZATION_ROLES"
    assert load_settings({name: "org_{organization}"}).executor.organization_roles == "org_{organization}"
    assert load_settings({name: '{"acme": "r1"}'}).executor.organization_roles == {"acme": "r1"}


def test_the_credential_of_the_command_line_is_no_setting() -> None:
    assert load_settings({"PLUMBLINE_API_KEY": "plk_x"}) == Settings()


def test_secrets_may_stand_in_files_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "DATABASE_URL").write_text("postgresql://reader:canary@db/shop\n")
    (tmp_path / "LOG_LEVEL").write_text("DEBUG")
    (tmp_path / "..data").mkdir()
    environ = {"PLUMBLINE_SECRETS_DIR": str(tmp_path)}
    read = load_settings(environ)
    assert read.database.url is not None
    assert read.database.url.get_secret_value() == "postgresql://reader:canary@db/shop"
    # Only secrets are read from there.
    assert read.logging.level == "INFO"
    other = load_settings(environ | {"DATABASE_URL": "postgresql://reader@other/shop"})
    assert other.database.url is not None
    assert other.database.url.get_secret_value() == "postgresql://reader@other/shop"


def test_a_secret_that_cannot_be_read_is_a_fault_like_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"PLUMBLINE_SECRETS_DIR is .*nowhere'; allowed: a folder"):
        load_settings({"PLUMBLINE_SECRETS_DIR": str(tmp_path / "nowhere")})
    (tmp_path / "DATABASE_URL").mkdir()
    with pytest.raises(ConfigurationError) as raised:
        load_settings({"PLUMBLINE_SECRETS_DIR": str(tmp_path), "PLUMBLINE_PORT": "0"})
    assert "DATABASE_URL' cannot be read" in raised.value.message
    assert "PLUMBLINE_PORT" in raised.value.message
    (tmp_path / "DATABASE_URL").rmdir()
    (tmp_path / "DATABASE_URL").write_text("mysql://reader:canary@db/shop")
    with pytest.raises(ConfigurationError) as raised:
        load_settings({"PLUMBLINE_SECRETS_DIR": str(tmp_path)})
    assert "canary" not in raised.value.message


def test_a_section_is_read_alone_from_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "plumbline.yaml"
    file.write_text("store:\n  url: sqlite:////in-the-file.db\ndatabase:\n  url: nonsense\n")
    (tmp_path / "PLUMBLINE_STORE_URL").write_text("sqlite:////in-a-secret.db")
    (tmp_path / "DATABASE_URL").mkdir()
    folder = {"PLUMBLINE_SECRETS_DIR": str(tmp_path)}
    for environ, expected in (
        ({}, "sqlite:////in-the-file.db"),
        (folder, "sqlite:////in-a-secret.db"),
        ({**folder, "PLUMBLINE_STORE_URL": "sqlite:////given.db"}, "sqlite:////given.db"),
    ):
        # Nothing of another section is even looked at.
        url = load_section("store", StoreSettings, environ, file).url
        assert url is not None
        assert url.get_secret_value() == expected
    jwt = load_section("auth", AuthSettings, {"PLUMBLINE_AUTH_JWT_AUDIENCE": "authenticated"}).jwt
    assert jwt.audience == "authenticated"


def test_a_wrong_section_is_told_as_all_settings_are() -> None:
    environ = {"PLUMBLINE_EDGE_MAX_HEADERS": "1", "PLUMBLINE_AUTH_JWT_SECRET": "short"}
    for name, kind in (("edge", EdgeSettings), ("auth", AuthSettings)):
        with pytest.raises(ConfigurationError) as raised:
            load_section(name, kind, environ)
        (fault,) = raised.value.message.splitlines()[1:]
        assert fault in faults_of(environ)
        assert "short" not in fault
