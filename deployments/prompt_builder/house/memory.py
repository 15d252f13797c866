"""How a meaning is kept with its exchange: one JSON text that needs nothing else to be read again."""

import json

from pydantic import TypeAdapter, ValidationError

from deployments.prompt_builder.house.form import Meaning, links_of, used_placeholders
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.printer import to_text
from serve_app.contracts import ConversationContext, Link

_LINKS = TypeAdapter(tuple[Link, ...])


def dump_meaning(meaning: Meaning) -> str:
    """``{"spec": text form, "links": [...]}`` with the links that the specification uses."""
    links = links_of(used_placeholders(meaning.spec), meaning.links)
    plain = [link.model_dump(mode="json", exclude_defaults=True) for link in links]
    return json.dumps({"spec": to_text(meaning.spec), "links": plain}, ensure_ascii=False)


def load_meaning(text: str, context: SpecContext) -> Meaning | None:
    """The kept meaning; None if it is damaged or no longer fits the schema."""
    try:
        raw = json.loads(text)
        spec = parse(raw["spec"], context)
        links = _LINKS.validate_python(raw["links"])
    except (ValueError, KeyError, TypeError, ValidationError, SpecError):
        return None
    return Meaning(spec, links) if isinstance(spec, QuerySpec) else None


def last_meaning(context: ConversationContext, spec_context: SpecContext) -> Meaning | None:
    """The meaning of the latest exchange that has one.

    A statement without a specification has a meaning that this profile cannot tell: what came before it is
    not what a follow-up refers to.
    """
    for exchange in reversed(context.exchanges):
        if exchange.query_spec is not None:
            return load_meaning(exchange.query_spec, spec_context)
        if exchange.kind == "answer" and exchange.sql is not None:
            return None
    return None
