"""Phrase files and phrasings by people, which a pack may do without."""

import json
from collections.abc import Iterator
from datetime import date

import yaml
from pydantic import ValidationError

from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.pack_check.view import Finding, PackView
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.synthesis.phrases import TablePhrases, load_phrases
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon
from deployments.prompt_builder.synthesis.world import build_world
from deployments.prompt_builder.synthesis.writers import PhrasingLibrary

_NO_TABLE = "unanswerable"


def phrase_files(view: PackView) -> Iterator[Finding]:
    """Each file reads, and belongs to a table and its columns."""
    for path in sorted((view.folder / "phrases").glob("*.yaml")):
        place = f"phrases/{path.name}"
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            if path.stem == _NO_TABLE:
                continue
            phrases = TablePhrases.model_validate(raw)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            yield Finding("error", place, f"cannot be read: {' '.join(str(error).split())}")
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                yield Finding("error", f"{place}.{'.'.join(map(str, fault['loc']))}", fault["msg"])
        else:
            yield from _names(view, path.stem, place, phrases)


def _names(view: PackView, table: str, place: str, phrases: TablePhrases) -> Iterator[Finding]:
    if table not in view.pack.tables:
        yield Finding("error", place, f"the pack has no table {table!r}")
        return
    derived = view.pack.derived_of(table)
    for column in phrases.columns:
        if column not in view.pack.tables[table].columns and column not in derived:
            yield Finding("error", f"{place}.columns.{column}", "the pack has no such column")
    for name in phrases.derived:
        if name not in derived:
            yield Finding("error", f"{place}.derived.{name}", "the pack has no such derived name")
    for formula in phrases.formulas:
        try:
            parse(f"{table} show {formula.expression}", view.context)
        except SpecError as error:
            yield Finding("error", f"{place}.formulas", f"{formula.expression}: {error}")


def phrasings(view: PackView) -> Iterator[Finding]:
    """Lines that are no phrasing, and how many the synthesizer leaves out and why."""
    broken = list(_broken_lines(view))
    yield from broken
    files = sorted((view.folder / "phrasings").glob("*.jsonl"))
    if broken or not files or any(phrase_files(view)):
        return
    lexicon = Lexicon(build_world(view.schema, view.pack), load_phrases(view.folder))
    linker = Linker(view.schema, view.pack)
    library = PhrasingLibrary(view.folder, linker, lexicon, view.context, date.today(), frozenset())
    for (writer, reason), count in sorted(library.report.left_out.items()):
        read = library.report.read[writer]
        yield Finding("warning", f"phrasings of {writer}", f"{count} of {read} left out: {reason}")


def _broken_lines(view: PackView) -> Iterator[Finding]:
    for path in sorted((view.folder / "phrasings").glob("*.jsonl")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            yield Finding("error", f"phrasings/{path.name}", f"cannot be read: {error}")
            continue
        for number, line in enumerate(lines, start=1):
            problem = _problem(line)
            if problem:
                yield Finding("error", f"phrasings/{path.name}, line {number}", problem)


def _problem(line: str) -> str | None:
    """Why a line is no phrasing; None if it is one."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return f"is not JSON ({error.msg})"
    turns = row.get("turns") or [row] if isinstance(row, dict) else None
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return "is no question and no list of turns"
    if not all({"question", "spec"} <= turn.keys() for turn in turns):
        return "lacks a question or a spec"
    return None
