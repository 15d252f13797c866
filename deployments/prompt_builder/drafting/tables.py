"""What stands out in a table: the column that names a row, the date and the amount that people mean, what to
show, and the words for all of it.
"""

from collections import Counter
from collections.abc import Sequence

from deployments.prompt_builder.domain import ColumnTerms, TableTerms
from deployments.prompt_builder.drafting.hints import DraftingHints
from deployments.prompt_builder.drafting.names import is_regular, plural, row_noun, stem
from deployments.prompt_builder.drafting.roles import ColumnGuess, Statistics, is_rate
from serve_app.contracts import Table

MOST_SHOWN = 8
# A text with fewer different values than this share of the rows does not tell rows apart. What is called a
# name may: several pets are called Luna, and people speak of Luna all the same.
LEAST_TELLING = 0.6
LEAST_TELLING_NAME = 0.1


def table_nouns(table: Table, others: Sequence[Table], hints: DraftingHints) -> tuple[str, ...]:
    """Nouns for a row: its name, the name's last word where no other table ends in it, and synonyms."""
    noun = row_noun(table.name, hints)
    last = noun.split()[-1]
    heads = Counter(row_noun(other.name, hints).split()[-1] for other in others)
    taken = {row_noun(other.name, hints) for other in others if other.name != table.name}
    found = [noun, *([last] if heads[last] == 1 else ()), *hints.table_synonyms.get(last, ())]
    return tuple(word for word in dict.fromkeys(found) if word not in taken)


def label_of(
    table: Table, columns: Sequence[ColumnGuess], statistics: Statistics, hints: DraftingHints
) -> str | None:
    """The column that names a row: by its name first, else the only text that tells rows apart."""
    noun = row_noun(table.name, hints)
    names = [c for c in columns if c.role == "name" and _tells(table, c, statistics, LEAST_TELLING_NAME)]
    texts = [c for c in names if _tells(table, c, statistics, LEAST_TELLING)]
    wanted = [label for word in hints.label_words for label in (word, f"{noun} {word}")]
    ranked = [c for label in (*wanted, noun) for c in names if " ".join(c.words) == label]
    keys = [c for c in texts if table.primary_key == (c.name,)]
    firsts = ranked or keys or [c for c in texts if c.words[-1:] == ("name",)]
    return firsts[0].name if firsts else None


def _tells(table: Table, column: ColumnGuess, statistics: Statistics, share: float) -> bool:
    """Whether the values differ from row to row; True where nothing is known of them."""
    figures = statistics.get((table.name, column.name))
    distinct = figures.distinct if figures else None
    if column.column.values_complete:
        distinct = len(column.column.sample_values)
    if distinct is None or table.row_estimate == 0:
        return True
    filled = table.row_estimate * (1 - ((figures.null_fraction if figures else None) or 0.0))
    return distinct >= share * filled


def main_date(table: Table, columns: Sequence[ColumnGuess], hints: DraftingHints) -> str | None:
    """The date meant when only a time is said: always filled, and about the beginning rather than the end."""
    dates = [c for c in columns if c.role == "date"]
    if not dates:
        return None

    def rank(guess: ColumnGuess) -> tuple[int, int, bool]:
        late = max((hints.late_dates.index(w) + 1 for w in guess.words if w in hints.late_dates), default=0)
        booked = guess.words[0] == "created" and len(dates) > 1
        return (int(guess.column.nullable) + int(booked), late, guess.words != ("date",))

    return min(dates, key=rank).name


def main_measure(columns: Sequence[ColumnGuess], hints: DraftingHints) -> str | None:
    """The measure meant by "how much"."""
    measures = [c for c in columns if c.role == "measure"]
    if not measures:
        return None

    def rank(guess: ColumnGuess) -> tuple[bool, bool, int]:
        words = hints.main_measure_words
        place = min((words.index(w) for w in guess.words if w in words), default=len(words))
        last = is_rate(guess, hints) or bool(hints.last_measure_words & set(guess.words))
        return (last, guess.semantic != "currency", place)

    return min(measures, key=rank).name


def shown(
    columns: Sequence[ColumnGuess], label: str | None, date: str | None, measure: str | None, table: Table
) -> tuple[str, ...]:
    """What stands out, then the other columns that say something, up to a readable number."""
    first = [name for name in (label, date, measure) if name]
    say = [c.name for c in columns if c.role not in ("id", "text")]
    names = list(dict.fromkeys((*first[:1], *say)))[: MOST_SHOWN - 1]
    names += [name for name in first if name not in names]
    return tuple(names or [c.name for c in columns if c.role == "text"] or [table.columns[0].name])


def table_terms(
    table: Table,
    columns: Sequence[ColumnGuess],
    others: Sequence[Table],
    statistics: Statistics,
    hints: DraftingHints,
) -> TableTerms:
    """The table's part of the pack, without the labels of parents in ``display``."""
    nouns = table_nouns(table, others, hints)
    regular = all(is_regular(noun, hints) for noun in nouns)
    label = label_of(table, columns, statistics, hints)
    date, measure = main_date(table, columns, hints), main_measure(columns, hints)
    return TableTerms(
        terms=nouns,
        plurals=() if regular else tuple(plural(noun, hints) for noun in nouns),
        label=label,
        date=date,
        measure=measure,
        display=shown(columns, label, date, measure, table),
        columns=column_terms(columns, nouns[0], label, hints),
        description=table.comment,
    )


def column_terms(
    columns: Sequence[ColumnGuess], noun: str, label: str | None, hints: DraftingHints
) -> dict[str, ColumnTerms]:
    """Terms by column, the likeliest first. A term belongs to one column of the table."""
    full_names = {guess.name: " ".join(guess.words) for guess in columns if guess.role != "id"}
    taken = set(full_names.values())
    found: dict[str, ColumnTerms] = {}
    for guess in columns:
        own = full_names.get(guess.name)
        terms = [t for t in _terms(guess, noun, guess.name == label, hints) if t == own or t not in taken]
        taken.update(terms)
        found[guess.name] = guess.terms(tuple(dict.fromkeys(terms)) if own else ())
    return found


def _terms(guess: ColumnGuess, noun: str, is_label: bool, hints: DraftingHints) -> list[str]:
    """``lent_on`` is the "lent date" first, ``status`` of a book also its "book status"."""
    words = guess.words
    full = " ".join(words)
    before: list[str] = []
    after: list[str] = []
    if guess.role == "date" and stem(words) != words:
        happened = " ".join(stem(words))
        before.append(f"{happened} date")
        # What happened on a date is a verb (date lent); what the name calls a date is a noun (start).
        after.append(f"date {happened}" if words[-1] in ("on", "at") else happened)
    if len(words) > 1 and words[-1] == guess.unit:
        before.append(" ".join(words[:-1]))
    if len(words) > 1 and full.startswith(f"{noun} "):
        after.append(full.removeprefix(f"{noun} "))
    if len(words) == 1 and words[0] in hints.name_words | hints.lookup_words | {"date"}:
        after.append(f"{noun} {full}")
    if is_label:
        after += ["name", f"{noun} name"] if words[-1] == "name" else []
        after.append(noun)
    return [*before, full, *after]
