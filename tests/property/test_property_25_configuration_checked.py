"""Property 25: a bad value is reported at start-up, before any question, with every other fault."""

from typing import Literal, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from serve_app.app_args import AppArgs
from serve_app.errors import ConfigurationError
from serve_app.settings import load_settings, variable_of
from serve_app.settings.registry import alternatives, leaves

NOT_A_NUMBER = st.text(st.characters(categories=["Lu", "Po"]), min_size=1, max_size=8).filter(
    lambda t: t.strip() and t.strip().lower() not in {"nan", "inf", "infinity"}
)


def bad_values(field: FieldInfo) -> st.SearchStrategy[str] | None:
    """Texts that this setting must refuse; None if it takes any text."""
    kind = alternatives(field.annotation)[0]
    if get_origin(kind) is Literal or kind is bool:
        return st.text(st.characters(categories=["Lu"]), min_size=12, max_size=20)
    if kind in (int, float):
        beyond = [NOT_A_NUMBER]
        for rule in field.metadata:
            if hasattr(rule, "ge"):
                beyond.append(st.integers(1, 1000).map(lambda n, low=rule.ge: str(low - n)))
            if hasattr(rule, "gt"):
                beyond.append(st.integers(0, 1000).map(lambda n, low=rule.gt: str(low - n)))
            if hasattr(rule, "le"):
                beyond.append(st.integers(1, 1000).map(lambda n, high=rule.le: str(high + n)))
        return st.one_of(beyond)
    return None


REFUSING = [(path, bad) for path, field in leaves() if (bad := bad_values(field)) is not None]


@st.composite
def bad_environments(draw: st.DrawFn) -> dict[str, str]:
    some = draw(st.lists(st.sampled_from(REFUSING), min_size=1, max_size=5, unique_by=lambda pair: pair[0]))
    return {variable_of(path): draw(bad) for path, bad in some}


@settings(max_examples=150, deadline=None)
@given(environ=bad_environments())
def test_property_25_every_bad_value_is_reported_with_name_value_and_what_is_allowed(
    environ: dict[str, str],
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environ)
    lines = raised.value.message.splitlines()
    for variable, value in environ.items():
        (told,) = [line for line in lines if line.startswith(f"- {variable}: ")]
        assert repr(value.strip()) in told
        assert "allowed: " in told
    assert len(lines) == len(environ) + 1


@settings(max_examples=100, deadline=None)
@given(
    suffix=st.text(st.characters(categories=["Lu"]), min_size=1, max_size=12),
    own=st.sampled_from(["PLUMBLINE_", "MISTRAL_"]),
)
def test_property_25_an_unknown_variable_of_ours_is_reported(suffix: str, own: str) -> None:
    name = f"{own}X_{suffix}"
    with pytest.raises(ConfigurationError, match=f"- {name}: is not a setting"):
        load_settings({name: "1", "OTHER_PROGRAM": "1"})


def test_property_25_the_graph_is_not_built_from_a_bad_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    from serve_app.app import build_app

    monkeypatch.setenv("MISTRAL_MAX_RETRIES", "many")
    with pytest.raises(ConfigurationError, match="MISTRAL_MAX_RETRIES"):
        build_app(AppArgs())
