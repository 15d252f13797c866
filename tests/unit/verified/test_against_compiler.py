"""Templates held against the compiler: other values in a template give what the compiler makes of them."""

import json
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.house.form import used_placeholders
from deployments.prompt_builder.linking.calendar import absolute, relative, rolling_past
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.parser import parse as parse_spec
from deployments.prompt_builder.verified.template import make_template
from deployments.sql_validator.grammar import Source, parse, same_tree
from serve_app.contracts import DateRange, Link, SchemaSnapshot

PHRASINGS = Path(__file__).parents[3] / "configs/domains/construction/phrasings"
TODAY = date(2026, 11, 20)
# Of some seven thousand phrasings; all of them take half a minute.
EVERY = 20
LEAST_SHARE = 0.9


def other_value(link: Link, chance: random.Random) -> Link:
    """The same kind of link with a value that no schema has."""
    if link.number is not None:
        return link.model_copy(update={"number": str(chance.randint(1, 999))})
    if link.dates is not None:
        period = chance.choice(
            [
                absolute(date(2023, chance.randint(1, 12), 1), "month"),
                relative("month", -chance.randint(1, 5)),
                rolling_past("day", chance.randint(2, 90)),
            ]
        ).to_range()
        start = period.start_sql if link.dates.start_sql else None
        end = period.end_sql if link.dates.end_sql else None
        return link.model_copy(update={"dates": DateRange(start_sql=start, end_sql=end)})
    value = f"Zeta {chance.randint(1, 999)} & O'Hara"
    candidates = tuple(candidate.model_copy(update={"value": value}) for candidate in link.candidates)
    return link.model_copy(update={"text": value, "candidates": candidates})


def phrasings(context: SpecContext) -> Iterator[tuple[str, QuerySpec]]:
    files = [path for path in sorted(PHRASINGS.glob("*.jsonl")) if "conversations" not in path.name]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines[::EVERY]:
        row = json.loads(line)
        try:
            spec = parse_spec(row["spec"], context)
        except SpecError:
            continue
        if isinstance(spec, QuerySpec):
            yield row["question"], spec


def test_templates_of_natural_questions_are_filled_as_the_compiler_would(
    linker: Linker, schema: SchemaSnapshot, pack: DomainPack
) -> None:
    context = SpecContext(schema, pack)
    chance = random.Random(7)
    asked = made = 0
    for question, spec in phrasings(context):
        links = linker.link(question, TODAY).links
        if not links or set(used_placeholders(spec)) != {link.placeholder for link in links}:
            continue
        asked += 1
        template = make_template(compile_spec(spec, links, context), links, schema, TODAY)
        if template is None:
            continue
        made += 1
        others = [other_value(link, chance) for link in links]
        filled, compiled = template.fill(others), compile_spec(spec, others, context)
        assert filled is not None, question
        assert same_tree(parse(Source(filled))[1], parse(Source(compiled))[1]), question
    assert asked > 150
    assert made >= LEAST_SHARE * asked
