"""Words that mean two things."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from deployments.prompt_builder.pack_check.view import Finding, PackView, listed
from deployments.prompt_builder.synthesis.realizer.lexicon import plural_of


def nouns(view: PackView) -> Iterator[Finding]:
    """Nouns for rows: one table each, and plurals in their order."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for name, terms in view.pack.tables.items():
        plurals = terms.plurals or tuple(map(plural_of, terms.terms))
        for noun in dict.fromkeys(w.lower() for w in (*terms.terms, *plurals)):
            owners[noun].append(name)
        if terms.plurals and len(terms.plurals) != len(terms.terms):
            problem = f"{len(terms.plurals)} plurals for {len(terms.terms)} terms; they go by order"
            yield Finding("error", f"tables.{name}.plurals", problem)
    for pair, words in _shared(owners).items():
        yield Finding("error", f"tables.{pair[0]}.terms", f"{listed(words)} also means {listed(pair[1:])}")


def column_terms(view: PackView) -> Iterator[Finding]:
    """A term of two columns, stored or derived, of one table: the model answers with either."""
    for name, terms in view.pack.tables.items():
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for column, column_terms_ in terms.columns.items():
            for term in dict.fromkeys(t.lower() for t in column_terms_.terms):
                owners[term].append(column)
        for derived in view.pack.derived:
            if derived.table == name:
                for term in dict.fromkeys(t.lower() for t in derived.terms):
                    owners[term].append(derived.name)
        for pair, words in _shared(owners).items():
            yield Finding("error", f"tables.{name}", f"{listed(words)} means {listed(pair)}")


def lookup_words(view: PackView) -> Iterator[Finding]:
    """Words of lookups: one value within a column; within a table only the column's name tells them apart."""
    for name, terms in view.pack.tables.items():
        by_column: defaultdict[str, list[str]] = defaultdict(list)
        for column, column_terms_ in terms.columns.items():
            if column_terms_.role != "lookup":
                continue
            by_value: defaultdict[str, list[str]] = defaultdict(list)
            for value, others in column_terms_.values.items():
                for word in dict.fromkeys(w.lower() for w in (value.replace("_", " "), *others)):
                    by_value[word].append(value)
            for word in by_value:
                by_column[word].append(column)
            for pair, words in _shared(by_value).items():
                yield Finding(
                    "error", f"tables.{name}.columns.{column}", f"{listed(words)} means {listed(pair)}"
                )
        for pair, words in _shared(by_column).items():
            problem = f"{listed(words)} may be a value of {listed(pair)}"
            yield Finding("note", f"tables.{name}", problem)


def _shared(owners: Mapping[str, Sequence[str]]) -> dict[tuple[str, ...], list[str]]:
    """Those who share a word -> the words they share."""
    found: dict[tuple[str, ...], list[str]] = {}
    for word, names in owners.items():
        if len(names) > 1:
            found.setdefault(tuple(names), []).append(word)
    return found
