"""Property 24: every setting can be given by environment and by file, and the environment wins."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from serve_app.settings import Settings, load_settings, variable_of
from serve_app.settings.registry import alternatives, leaves

# Values that must name something real: one fixed right value each.
REAL = {
    "model.profile": "mistral-7b-instruct",
    "model.cascade": ["house", "mistral-7b-instruct"],
    "model.use_finetuned": "false",
    "database.url": "postgresql://u:p@h/d",
    "store.url": "postgresql://u:p@h/store",
    "database.supabase_url": None,
    "domain.pack": "configs/domains/construction",
    "policy.name": "restricted",
    "logging.file": "/tmp/plumbline.log",
    "executor.time_zone": "Europe/Berlin",
    "executor.organization_roles": "org_{organization}",
    "server.host": "::1",
    # Tokens need an audience and one source of keys, which a single setting is not.
    "auth.mode": "api_keys",
    "edge.allowed_origins": ["https://a.example"],
    "auth.pepper": "p" * 32,
    "auth.jwt.secret": "s" * 32,
    "auth.jwt.jwks_url": "https://idp.example/keys",
    "auth.jwt.policies": {"member": "restricted"},
}


def bound(field: FieldInfo, name: str, default: float) -> float:
    return next((getattr(rule, name) for rule in field.metadata if hasattr(rule, name)), default)


def values_of(path: str, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Right values of a setting, in the form that YAML gives."""
    if path in REAL:
        return st.just(REAL[path])
    kind = alternatives(field.annotation)[0]
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(int(bound(field, "ge", 0)), int(bound(field, "le", 10**6)))
    if kind is float:
        low, high = bound(field, "ge", bound(field, "gt", 0.0)), bound(field, "le", 1e6)
        numbers = st.floats(low, high, allow_nan=False)
        return numbers.filter(lambda x: x > low) if bound(field, "gt", -1) == low else numbers
    return st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=20)


def leaf_of(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = getattr(tree, name) if isinstance(tree, BaseModel) else tree[name]
    return tree.get_secret_value() if isinstance(tree, SecretStr) else tree


def as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@st.composite
def chosen(draw: st.DrawFn) -> dict[str, tuple[Any, Any]]:
    """Some settings, each with a value for the file and one for the environment."""
    fields = [(path, field) for path, field in leaves() if REAL.get(path, "") is not None]
    some = draw(st.lists(st.sampled_from(fields), min_size=1, max_size=8, unique_by=lambda pair: pair[0]))
    return {path: (draw(values_of(path, field)), draw(values_of(path, field))) for path, field in some}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=chosen(), from_environment=st.booleans())
def test_property_24_settings_come_from_environment_and_file(
    folder: Path, values: dict[str, tuple[Any, Any]], from_environment: bool
) -> None:
    tree: dict[str, Any] = {}
    for path, (in_file, _) in values.items():
        *sections, leaf = path.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = in_file
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    environ = (
        {variable_of(path): as_text(value) for path, (_, value) in values.items()} if from_environment else {}
    )
    loaded = load_settings(environ, file)
    for path, (in_file, in_environment) in values.items():
        expected = in_environment if from_environment else in_file
        assert as_text(leaf_of(loaded, path)) == as_text(expected) or float(leaf_of(loaded, path)) == float(
            expected
        )
    untouched = {path for path, _ in leaves()} - values.keys()
    assert all(leaf_of(loaded, path) == leaf_of(Settings(), path) for path in untouched)
