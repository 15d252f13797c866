"""The list of all settings, read from the tree: names, defaults, what is allowed.

The README's table is made from it.
"""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from serve_app.settings.tree import Settings

# Names that operators of the former system already have in their environments.
KEPT_NAMES: dict[str, str] = {
    "model.enabled": "ENABLE_MISTRAL",
    "model.profile": "PLUMBLINE_MODEL_PROFILE",
    "model.name": "MISTRAL_MODEL",
    "model.quantization": "MISTRAL_QUANTIZATION",
    "model.use_finetuned": "USE_FINETUNED_MODEL",
    "model.finetuned_path": "FINETUNED_MODEL_PATH",
    "generation.temperature": "MISTRAL_TEMPERATURE",
    "generation.top_p": "MISTRAL_TOP_P",
    "generation.top_k": "MISTRAL_TOP_K",
    "generation.max_tokens": "MISTRAL_MAX_TOKENS",
    "generation.max_retries": "MISTRAL_MAX_RETRIES",
    "generation.retry_delay_s": "MISTRAL_RETRY_DELAY",
    "generation.timeout_s": "MISTRAL_GENERATION_TIMEOUT",
    "prompt.max_history": "MISTRAL_MAX_CONVERSATION_HISTORY",
    "prompt.max_context_tokens": "MISTRAL_MAX_CONTEXT_TOKENS",
    "store.url": "PLUMBLINE_STORE_URL",
    "database.url": "DATABASE_URL",
    "database.supabase_url": "SUPABASE_URL",
    "database.supabase_key": "SUPABASE_KEY",
    "domain.pack": "PLUMBLINE_DOMAIN_PACK",
    "policy.name": "PLUMBLINE_POLICY",
    "logging.level": "LOG_LEVEL",
    "logging.file": "LOG_FILE",
    "server.host": "PLUMBLINE_HOST",
    "server.port": "PLUMBLINE_PORT",
    "server.data_dir": "PLUMBLINE_DATA_DIR",
}

# Follow from the model profile, so nobody sets them beside it.
DERIVED = frozenset({"prompt.profile", "prompt.grammar"})


class SettingInfo(NamedTuple):
    """One leaf of the tree. ``path`` is its place in the file, dotted."""

    path: str
    variable: str
    default: str
    allowed: str
    description: str
    secret: bool


def variable_of(path: str) -> str:
    return KEPT_NAMES.get(path) or "PLUMBLINE_" + path.upper().replace(".", "_")


def leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(dotted path, field) of every leaf, in the order of the tree."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in DERIVED:
            yield f"{prefix}{name}", field


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None; the annotation itself otherwise."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(a for a in get_args(annotation) if a is not type(None))
    return (annotation,)


def allowed_values(field: FieldInfo) -> str:
    """What may be given, in words."""
    kind = alternatives(field.annotation)[0]
    if get_origin(kind) is Literal:
        return ", ".join(str(a) for a in get_args(kind))
    if kind is bool:
        return "true, false"
    bounds = [_bound(rule) for rule in field.metadata]
    words = {int: "whole number", float: "number", SecretStr: "text"}.get(kind) or (
        "comma-separated list" if get_origin(kind) is tuple else "path" if kind.__name__ == "Path" else "text"
    )
    return " ".join([words, *(b for b in bounds if b and words.endswith("number"))])


def _bound(rule: object) -> str:
    match rule:
        case Ge(ge=low):
            return f">= {low}"
        case Gt(gt=low):
            return f"> {low}"
        case Le(le=high):
            return f"<= {high}"
        case Lt(lt=high):
            return f"< {high}"
    return ""


def is_secret(field: FieldInfo) -> bool:
    return SecretStr in alternatives(field.annotation)


def _printed(default: Any) -> str:
    if default is None:
        return "unset"
    if isinstance(default, bool):
        return str(default).lower()
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def settings_table() -> tuple[SettingInfo, ...]:
    """Every setting, for the README, `--help` and the checks of names."""
    return tuple(
        SettingInfo(
            path=path,
            variable=variable_of(path),
            default=_printed(field.get_default(call_default_factory=True)),
            allowed=allowed_values(field),
            description=field.description or "",
            secret=is_secret(field),
        )
        for path, field in leaves()
    )


def readme_table() -> str:
    """The configuration table of the README, in Markdown."""
    head = "| variable | in the file | default | allowed | what it does |\n|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| `{s.variable}` | `{s.path}` | `{s.default}` | {s.allowed} | {s.description} |"
        for s in settings_table()
    )
