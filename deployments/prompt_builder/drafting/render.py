"""A drafted pack as a commented ``domain.yaml`` and its companions."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import yaml

from deployments.prompt_builder.domain import ColumnTerms, Derived, DomainPack, TableTerms
from deployments.prompt_builder.drafting.draft import Draft
from deployments.prompt_builder.drafting.roles import ColumnGuess
from deployments.prompt_builder.query_spec.words import quote_name
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.schema_text import identifier
from deployments.prompt_builder.synthesis.realizer.lexicon import plural_of
from deployments.prompt_builder.synthesis.schema_file import SCHEMA_FILE, save_schema
from serve_app.contracts import SchemaSnapshot, Table

DOMAIN_FILE = "domain.yaml"
EXAMPLES_FILE = "examples.jsonl"
MOST_STUB_EXAMPLES = 5
WIDEST_LINE = sys.maxsize  # one flow mapping a line, however long

HEADER = """\
# What people call the things in this database. Drafted by `plumbline domain init` from names, types, keys
# and values: every line is a guess. Go through it table by table, then run `plumbline domain check FOLDER`
# and `plumbline train --domain FOLDER`.
#
#   terms     words for a row or a column, singular, the commonest first. More are better: a word that people
#             say and nobody wrote here, the model has never heard. A term stands for one column of a table.
#   role      name: texts that tell things apart, looked up in the question ("Brightwire"); lookup: a closed
#             list of words (status, type); measure: numbers to add up or average; date; text: free text,
#             never searched for; attribute: shown, not asked for; id: keys.
#   values    of a lookup: each stored word with what people say for it.
#   semantic  currency, percent, count, number: how a value is shown. unit: what people say with a number.
#   label     the column that names a row; date: the one meant by "last month"; measure: by "how much".
#   display   what is shown when nothing is asked for; parent.column reaches over a foreign key.
#
# `phrases/<table>.yaml` beside this file may hold whole phrases of your trade; nothing needs them at first.
"""
DERIVED_HEADER = """\
# Values and conditions that people name but no column holds. `kind: value` is an expression over the table's
# columns, its parents' (parent.column) and sums over its children (sum(child.column)); `kind: predicate`
# holds conditions. Take the # away from those that are right, and give them the words that people use.
"""
NOTES = """\
# Sentences told to an instruction model (not to the house model): what words mean where names do not say it.
notes:
"""


def write_draft(draft: Draft, folder: Path) -> tuple[Path, ...]:
    """Write the pack's files into an existing folder; returns what was written."""
    domain, examples = folder / DOMAIN_FILE, folder / EXAMPLES_FILE
    domain.write_text(render_domain(draft), encoding="utf-8")
    schema = write_snapshot(draft.schema, draft.pack, folder)
    examples.write_text(
        "".join(f"{e.model_dump_json(exclude_defaults=True)}\n" for e in stub_examples(draft)),
        encoding="utf-8",
    )
    return domain, schema, examples


def write_snapshot(schema: SchemaSnapshot, pack: DomainPack, folder: Path) -> Path:
    """Write the schema that training reads.

    Only names and lookups keep their values: those of other texts may be private, and nothing reads them.
    """

    def plain(table: Table) -> Table:
        terms = pack.tables[table.name].columns if table.name in pack.tables else {}
        kept = {name for name, column in terms.items() if column.role in ("name", "lookup")}
        columns = tuple(
            c if c.name in kept else c.model_copy(update={"sample_values": (), "values_complete": False})
            for c in table.columns
        )
        return table.model_copy(update={"columns": columns})

    return save_schema(schema.model_copy(update={"tables": tuple(map(plain, schema.tables))}), folder)


def stub_examples(draft: Draft) -> Iterator[Example]:
    """A few pairs that show the form; the questions worth having are those that people really ask."""
    for name, terms in islice(draft.pack.tables.items(), MOST_STUB_EXAMPLES):
        things = terms.plurals[0] if terms.plurals else plural_of(terms.terms[0])
        lookup = next((g for g in draft.guesses[name] if g.role == "lookup"), None)
        if lookup is None:
            yield Example(
                question=f"How many {things} are there?",
                sql=f"SELECT count(*) FROM {identifier(name)}",
                kind="count",
                query_spec=f"{quote_name(name)} show count()",
            )
            continue
        column = identifier(lookup.name)
        yield Example(
            question=f"How many {things} are there per {' '.join(lookup.words)}?",
            sql=f"SELECT {column}, count(*) FROM {identifier(name)} GROUP BY {column}",
            kind="group",
            query_spec=f"{quote_name(name)} show {quote_name(lookup.name)}, count()",
        )


def files_of(folder: Path) -> tuple[Path, ...]:
    """The files that `write_draft` would write."""
    return folder / DOMAIN_FILE, folder / SCHEMA_FILE, folder / EXAMPLES_FILE


def render_domain(draft: Draft) -> str:
    """The text of ``domain.yaml``; reading it back gives ``draft.pack``."""
    pack = draft.pack
    lines = [HEADER, f"name: {_flow(pack.name)}", f"description: {_flow(pack.description)}"]
    lines += [f"week_starts_on: {pack.week_starts_on}", "", NOTES, "tables:"]
    for name, why in draft.left_out.items():
        lines.append(f"  # {name} was left out: {why}")
    for name, terms in pack.tables.items():
        lines += _table(name, terms, draft.guesses[name])
    lines += ["", DERIVED_HEADER + "derived:"]
    for suggestion in draft.suggestions:
        lines += [f"  # {_one_line(suggestion.reason)}:", f"  # - {_flow(_plain(suggestion.derived))}"]
    return "\n".join(lines) + "\n"


def _table(name: str, terms: TableTerms, guesses: tuple[ColumnGuess, ...]) -> list[str]:
    lines = [f"  {_flow(name)}:"]
    if terms.description:
        lines.append(f"    description: {_flow(terms.description)}")
    lines.append(f"    terms: {_flow(list(terms.terms))}")
    if terms.plurals:
        lines.append(f"    plurals: {_flow(list(terms.plurals))}")
    lines += [
        _choice("label", terms.label, guesses, "name", "no text column tells rows apart by its values"),
        _choice("date", terms.date, guesses, "date", "no date column"),
        _choice("measure", terms.measure, guesses, "measure", "no number to add up"),
        f"    display: {_flow(list(terms.display))}",
        "    columns:",
    ]
    for guess in guesses:
        lines += _column(guess, terms.columns[guess.name])
    return lines


def _choice(key: str, chosen: str | None, guesses: tuple[ColumnGuess, ...], role: str, none: str) -> str:
    """``date: due_on`` with the other columns that it could be."""
    others = [g.name for g in guesses if g.role == role and g.name != chosen]
    if chosen is None:
        return f"    # {key}: {none}" + (f"; perhaps one of {', '.join(others)}" if others else "")
    return f"    {key}: {_flow(chosen)}" + (f"  # or {', '.join(others)}" if others else "")


def _column(guess: ColumnGuess, terms: ColumnTerms) -> list[str]:
    fields = _plain(terms)
    values = terms.values
    fields.pop("values", None)
    head = f"      {_flow(guess.name)}:"
    remark = f"  # {_one_line(guess.reason)}" if guess.role in ("lookup", "attribute", "text") else ""
    if not values:
        return [f"{head} {_flow(fields)}{remark}"]
    lines = [f"{head}{remark}", *(f"        {key}: {_flow(value)}" for key, value in fields.items())]
    lines.append("        values:")
    return [*lines, *(f"          {_flow(value)}: {_flow(list(words))}" for value, words in values.items())]


def _plain(model: ColumnTerms | Derived) -> dict[str, object]:
    """The fields that say something, tuples as lists."""
    dumped: dict[str, object] = model.model_dump(mode="json", exclude_defaults=True)
    return dumped


def _flow(value: object) -> str:
    """A value on one line of YAML, quoted where it has to be."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=WIDEST_LINE
    )
    return text.removesuffix("...\n").removesuffix("\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())
