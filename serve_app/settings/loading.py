"""Settings from a YAML file and the environment (which wins), with every fault told at once."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from serve_app.errors import ConfigurationError
from serve_app.secret_files import SECRETS_VARIABLE, read_secret
from serve_app.settings.registry import DERIVED, allowed_values, alternatives, is_secret, leaves, variable_of
from serve_app.settings.section import Section
from serve_app.settings.tree import Settings

CONFIG_VARIABLE = "PLUMBLINE_CONFIG"
# Of whoever asks a server from the command line; no setting of the server.
CREDENTIAL_VARIABLE = "PLUMBLINE_API_KEY"
DEFAULT_FILE = Path("plumbline.yaml")
OWN_PREFIXES = ("PLUMBLINE_", "MISTRAL_")

Tree = dict[str, Any]
SectionT = TypeVar("SectionT", bound=Section)


class Fault(NamedTuple):
    """One thing wrong: ``name`` is a variable, a path in the file, or both."""

    name: str
    problem: str

    def __str__(self) -> str:
        return f"- {self.name}: {self.problem}"


def load_settings(environ: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """Read, merge and check all settings.

    Args:
        environ: the environment; the process's own if None. An empty value counts as unset. Secrets may stand
            in files in its place (`serve_app.secret_files`).
        file: the settings file; else ``PLUMBLINE_CONFIG``, else ``plumbline.yaml`` if it exists.

    Raises:
        ConfigurationError: lists every fault with name, value (secrets masked) and what is allowed.
    """
    variables = _given(environ)
    fields = dict(leaves())
    values, faults = _read_file(file, variables)
    faults += _drop_unknown_keys(values, Settings, "")
    faults += _add_secrets(variables, fields)
    given_by = _overlay_environment(values, variables, fields)
    faults += _unknown_variables(variables)
    settings, found = _validated(values, fields, given_by)
    faults += found
    if settings is None or faults:
        raise ConfigurationError("\n".join(["The configuration has faults:", *map(str, faults)]))
    return settings


def load_section(
    name: str, kind: type[SectionT], environ: Mapping[str, str] | None = None, file: Path | None = None
) -> SectionT:
    """One section alone, for a process that is to know no secret but its own.

    Args: ``name`` and ``kind`` are a field's of `Settings`, the others those of `load_settings`, which has
    checked everything before.

    Raises:
        ConfigurationError: the section is not, or no longer, as it must be.
    """
    variables = _given(environ)
    fields = {f"{name}.{path}": field for path, field in leaves(kind)}
    values, faults = _read_file(file, variables)
    own: Tree = {name: values.get(name) or {}}
    faults += _add_secrets(variables, fields)
    given_by = _overlay_environment(own, variables, fields)
    try:
        section = kind.model_validate(own[name])
    except ValidationError as error:
        found = [{**e, "loc": (name, *e["loc"])} for e in error.errors(include_url=False)]
        faults += [_fault_of(e, fields, given_by) for e in found]
    if faults:
        raise ConfigurationError("\n".join(["The configuration has faults:", *map(str, faults)]))
    return section


def _given(environ: Mapping[str, str] | None) -> dict[str, str]:
    return {
        name: value for name, value in (os.environ if environ is None else environ).items() if value != ""
    }


def _add_secrets(variables: dict[str, str], fields: Mapping[str, FieldInfo]) -> list[Fault]:
    """Put what stands in files among the variables."""
    for path, field in fields.items():
        name = variable_of(path)
        try:
            found = read_secret(name, variables) if is_secret(field) else None
        except ConfigurationError as error:
            return [Fault(SECRETS_VARIABLE, error.message)]
        if found is not None:
            variables[name] = found
    return []


def _validated(
    values: Tree, fields: Mapping[str, FieldInfo], given_by: set[str]
) -> tuple[Settings | None, list[Fault]]:
    faults: list[Fault] = []
    for _ in range(2):
        try:
            return Settings.model_validate(values), faults
        except ValidationError as error:
            errors = error.errors(include_url=False)
        faults += [_fault_of(e, fields, given_by) for e in errors]
        # Rules across fields run only where every field is right: try again without the wrong ones.
        for wrong in errors:
            _remove(values, wrong["loc"])
    return None, faults


def _remove(values: Tree, loc: tuple[int | str, ...]) -> None:
    """Take a wrong leaf out, or a whole section whose rule across fields is broken."""
    if len(loc) < 2:
        values.pop(str(loc[0]), None) if loc else values.clear()
    elif isinstance(section := values.get(str(loc[0])), dict):
        section.pop(str(loc[1]), None)


def _read_file(file: Path | None, variables: Mapping[str, str]) -> tuple[Tree, list[Fault]]:
    named = file or (Path(variables[CONFIG_VARIABLE]) if CONFIG_VARIABLE in variables else None)
    path = named or DEFAULT_FILE
    if named is None and not path.is_file():
        return {}, []
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return {}, [
            Fault(CONFIG_VARIABLE, f"{str(path)!r} cannot be read ({reason}); allowed: a readable YAML file")
        ]
    except yaml.YAMLError as error:
        return {}, [Fault(str(path), f"is not YAML ({' '.join(str(error).split())})")]
    if loaded is None:
        return {}, []
    if not isinstance(loaded, dict):
        return {}, [Fault(str(path), f"holds a {type(loaded).__name__}; allowed: a mapping of sections")]
    return loaded, []


def _drop_unknown_keys(values: Tree, model: type[BaseModel], prefix: str) -> list[Fault]:
    """Remove what no field takes, so that the rest can be checked, and report it."""
    faults: list[Fault] = []
    for key in list(values):
        field = model.model_fields.get(str(key))
        if field is None or f"{prefix}{key}" in DERIVED:
            faults.append(
                Fault(f"{prefix}{key}", f"is not a setting{_did_you_mean(str(key), model.model_fields)}")
            )
            del values[key]
            continue
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if values[key] is None:
                del values[key]
            elif isinstance(values[key], dict):
                faults += _drop_unknown_keys(values[key], inner, f"{prefix}{key}.")
            else:
                faults.append(Fault(f"{prefix}{key}", f"is {values[key]!r}; allowed: a mapping of settings"))
                del values[key]
    return faults


def _overlay_environment(
    values: Tree, variables: Mapping[str, str], fields: Mapping[str, FieldInfo]
) -> set[str]:
    """Put the environment's values into the tree; the paths that came from it."""
    given: set[str] = set()
    for path, field in fields.items():
        text = variables.get(variable_of(path))
        if text is None:
            continue
        node = values
        *parents, leaf = path.split(".")
        for name in parents:
            node = node.setdefault(name, {})
        node[leaf] = _parsed(text, field)
        given.add(path)
    return given


def _parsed(text: str, field: FieldInfo) -> Any:
    """A variable's text in the shape the field takes; scalars are left to pydantic."""
    kind = get_origin(alternatives(field.annotation)[0])
    if kind in (tuple, list, frozenset, set):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is dict:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text.strip()


def _unknown_variables(variables: Mapping[str, str]) -> list[Fault]:
    known = {variable_of(path) for path, _ in leaves()} | {
        *(CONFIG_VARIABLE, CREDENTIAL_VARIABLE, SECRETS_VARIABLE)
    }
    return [
        Fault(name, f"is not a setting{_did_you_mean(name, known)}")
        for name in sorted(variables)
        if name.startswith(OWN_PREFIXES) and name not in known
    ]


def _did_you_mean(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "; remove it"


def _fault_of(error: Any, fields: Mapping[str, FieldInfo], given_by: set[str]) -> Fault:
    path = ".".join(str(part) for part in error["loc"])
    # A loc may run deeper than a leaf (an item of a list): the leaf is its longest known prefix.
    leaf = next(
        (p for p in sorted(fields, key=len, reverse=True) if path == p or path.startswith(f"{p}.")), None
    )
    reason = str(error["msg"]).removeprefix("Value error, ")
    if leaf is None:
        return Fault(path or "settings", reason)
    field = fields[leaf]
    value = "***" if is_secret(field) else repr(error["input"])
    allowed = reason if reason.startswith("allowed:") else f"{reason}; allowed: {allowed_values(field)}"
    name = variable_of(leaf) if leaf in given_by else f"{leaf} ({variable_of(leaf)})"
    return Fault(name, f"is {value}; {allowed}")
