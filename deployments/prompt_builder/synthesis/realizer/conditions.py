"""Single conditions in words, in the positions that English gives them.

``pre`` stands before the noun ("pending expenses"), ``head`` replaces it ("permit fees"), ``post`` follows it
("over $5k") and ``clause`` completes "which expenses …" ("are still pending").
"""

import random
from collections.abc import Mapping

from deployments.prompt_builder.synthesis.phrases import ColumnPhrases, english
from deployments.prompt_builder.synthesis.plan import Cond
from deployments.prompt_builder.synthesis.realizer.lexicon import Lexicon, pick, plural_of
from deployments.prompt_builder.synthesis.slots import SlotTable
from deployments.prompt_builder.synthesis.templates import template

_COMPARED = {"more", "less", "at_least", "at_most", "equal", "between"}
RELATIONS = {"exists", "none", "child_more", "child_less"}
_OPPOSITE = {"more": "more", "at_least": "more", "less": "less", "at_most": "less"}


class Speaker:
    """The voice of one question: its random source, its words and its slots."""

    def __init__(self, rng: random.Random, lexicon: Lexicon, slots: SlotTable) -> None:
        self.rng = rng
        self.lexicon = lexicon
        self.slots = slots
        self.root = ""

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def say(self, source: str, fillers: Mapping[str, str]) -> str:
        return template(source).render(self.rng, fillers)

    def one_of(self, options: tuple[str, ...], fillers: Mapping[str, str]) -> str:
        return self.say(self.rng.choice(options), fillers)

    def english(self, key: str, fillers: Mapping[str, str]) -> str:
        return self.one_of(english("conditions")[key], fillers)

    def joined(self, words: list[str], conjunction: str | None = None) -> str:
        """ "a, b and c"."""
        if len(words) == 1:
            return words[0]
        last = conjunction or self.rng.choice(("or", "and", "and", "or", "&"))
        return f"{', '.join(words[:-1])} {last} {words[-1]}"

    def value_words(self, cond: Cond) -> list[str]:
        """The stored values of a condition, as words or marked names."""
        if cond.words:
            return [self.lexicon.word(self.rng, cond.owner, cond.column, w) for w in cond.words]
        return [self.slots.mark(m) for m in cond.marks]

    def phrases(self, cond: Cond) -> ColumnPhrases:
        return self.lexicon.column(cond.owner, cond.column)

    def term(self, cond: Cond) -> str:
        return self.lexicon.term(self.rng, cond.owner, cond.column)

    def post(self, cond: Cond, base: str) -> str:
        """The condition as words behind a noun; every kind has this form."""
        kind = cond.kind
        if kind in RELATIONS:
            return self.relation(cond)
        if kind in ("word", "words", "not_word"):
            return self._word_post(cond)
        if kind in ("name", "names", "not_name"):
            return self._name_post(cond)
        if kind in _COMPARED:
            return self._compared(cond)
        if kind in ("date", "before", "after"):
            return self._date_post(cond, base)
        if kind in ("null", "not_null"):
            own = self.phrases(cond).null if kind == "null" else self.phrases(cond).not_null
            if own and self.chance(0.75):
                return self.one_of(own, {})
            return self.english(kind, {"t": self.term(cond)})
        if kind in ("predicate", "not_predicate"):
            return self._predicate_post(cond)
        if kind in ("contains", "starts"):
            return self.english(kind, {"t": self.term(cond), "v": self.slots.mark(cond.marks[0])})
        if kind == "weekday":
            return self.rng.choice(english("weekdays")[cond.words[0]])
        if kind == "either":
            return f"{self.post(cond.child[0], base)} or {self.post(cond.child[1], base)}"
        if kind == "columns":
            other = self.lexicon.term(self.rng, cond.owner, cond.other)
            return self.english(cond.words[0], {"t": self.term(cond), "o": other})
        return self._average_post(cond)

    def relation(self, cond: Cond) -> str:
        """Conditions over child rows; needs noun phrases, so it is said there."""
        raise NotImplementedError

    def _average_post(self, cond: Cond) -> str:
        fillers = {"t": self.term(cond)}
        if cond.factor is not None:
            said = self.english("above_times", {**fillers, "n": self.slots.mark(cond.factor)})
        else:
            said = self.english(cond.kind, fillers)
        if cond.other:
            said += self.english("of_group", {"g": self._group_noun(cond)})
        return said

    def _group_noun(self, cond: Cond) -> str:
        table, _, column = cond.other.partition(".")
        info = self.lexicon.world.tables[table]
        if column == info.label:
            return self.lexicon.noun(self.rng, table, plural=False)
        return self.lexicon.term(self.rng, table, column)

    def _word_post(self, cond: Cond) -> str:
        words = self.joined(self.value_words(cond))
        own = self.phrases(cond)
        usage = self.lexicon.usage(cond.owner, cond.column)
        if cond.kind == "not_word":
            specific = own.not_clauses.get(cond.words[0], ()) if len(cond.words) == 1 else ()
            if specific and self.chance(0.5):
                return "that " + self.one_of(specific, {})
            if own.nots and self.chance(0.4):
                return self.one_of(own.nots, {"v": words})
            return self.english("not_state" if usage == "state" else "not_kind", {"v": words})
        specific = own.clauses.get(cond.words[0], ()) if len(cond.words) == 1 else ()
        if specific and self.chance(0.5):
            return "that " + self.one_of(specific, {})
        fillers = {"v": words, "t": self.term(cond)}
        if own.post and self.chance(0.7):
            return self.one_of(own.post, fillers)
        return self.english("word_state" if usage == "state" else "word_kind", fillers)

    def _name_post(self, cond: Cond) -> str:
        fillers = {"v": self.joined(self.value_words(cond)), "t": self.term(cond)}
        own = self.phrases(cond)
        if cond.kind == "not_name":
            return self.english("not_name", fillers)
        return (
            self.one_of(own.post, fillers) if own.post and self.chance(0.9) else self.english("name", fillers)
        )

    def _compared(self, cond: Cond) -> str:
        marks = [self.slots.mark(m) for m in cond.marks]
        fillers = {"n": marks[0], "n2": marks[-1], "t": self.term(cond)}
        semantic, _unit = self.lexicon.semantic(cond.owner, cond.column)
        direction = _OPPOSITE.get(cond.kind, "")
        own = self.phrases(cond) if cond.column in self.lexicon.world.tables[cond.owner].fields else None
        derived = self.lexicon.derived_phrases(cond.owner, cond.column)
        special = getattr(own or derived, direction, ()) if cond.kind in ("more", "less") else ()
        if special and self.chance(0.5):
            return self.one_of(special, fillers)
        main = self.lexicon.world.tables[cond.owner].terms.measure == cond.column
        if semantic == "currency" and main and self.chance(0.8):
            return self.english(f"{cond.kind}_currency", fillers)
        return self.english(cond.kind, fillers)

    def _date_post(self, cond: Cond, base: str) -> str:
        fillers = {"d": self.slots.mark(cond.marks[0]), "t": self.term(cond)}
        own = self.phrases(cond)
        main = self.lexicon.world.tables[cond.owner].date == cond.column
        # Within a phrase for a parent a bare period would be taken for the date of the rows asked for.
        above = self.root and cond.owner in self.lexicon.world.tables[self.root].ancestors
        if main and not above and cond.owner == base and self.chance(0.75 if not own.within else 0.6):
            return fillers["d"]
        return self.one_of(own.within, fillers) if own.within else self.english("within", fillers)

    def _predicate_post(self, cond: Cond) -> str:
        own = self.lexicon.derived_phrases(cond.owner, cond.column)
        term = self.lexicon.term(self.rng, cond.owner, cond.column)
        if cond.kind == "not_predicate":
            if own.nots and self.chance(0.8):
                return "that " + self.one_of(own.nots, {})
            return self.english("not_predicate", {"v": term})
        if own.clauses and self.chance(0.75):
            return "that " + self.one_of(own.clauses, {})
        return self.english("predicate_post", {"v": term})

    def pre(self, cond: Cond) -> str | None:
        """The condition before the noun, if it can stand there."""
        if cond.kind in ("word", "words"):
            words = self.value_words(cond)
            return self.joined(words, None) if len(words) < 3 else None
        if cond.kind == "name" and self.lexicon.world.tables[cond.owner].label != cond.column:
            return self.slots.mark(cond.marks[0])
        if cond.kind == "predicate":
            own = self.lexicon.derived_phrases(cond.owner, cond.column)
            return pick(self.rng, own.adjectives) if own.adjectives else None
        if cond.kind == "not_word" and len(cond.words) == 1:
            return self.rng.choice(("non-", "not ")) + self.value_words(cond)[0]
        return None

    def head(self, cond: Cond) -> str | None:
        """A noun that says the condition and replaces the table's noun."""
        if cond.kind in ("word", "words"):
            own = self.phrases(cond)
            if self.lexicon.usage(cond.owner, cond.column) == "person":
                # Where rows are not the persons (a shift is no plumber), the word cannot stand for the row.
                if self.lexicon.world.tables[cond.owner].label is None:
                    return None
                return self.joined([plural_of(w) for w in self.value_words(cond)])
            heads = [own.heads.get(w, ()) for w in cond.words]
            if all(heads):
                return self.joined([self.say(pick(self.rng, h), {}) for h in heads])
        if cond.kind in ("name", "names") and self.phrases(cond).heads:
            options = self.phrases(cond).heads.get("*", ())
            return self.one_of(options, {"v": self.joined(self.value_words(cond))}) if options else None
        return None

    def clause(self, cond: Cond) -> str | None:
        """The condition as a predicate after "which expenses"."""
        if cond.kind in ("word", "words", "not_word"):
            own = self.phrases(cond)
            table = own.not_clauses if cond.kind == "not_word" else own.clauses
            specific = table.get(cond.words[0], ()) if len(cond.words) == 1 else ()
            if specific and self.chance(0.7):
                return self.one_of(specific, {})
            if self.lexicon.usage(cond.owner, cond.column) != "state":
                return None
            key = "not_clause" if cond.kind == "not_word" else "word_clause"
            return self.english(key, {"v": self.joined(self.value_words(cond)), "t": self.term(cond)})
        if cond.kind in ("predicate", "not_predicate"):
            own_derived = self.lexicon.derived_phrases(cond.owner, cond.column)
            options = own_derived.clauses if cond.kind == "predicate" else own_derived.nots
            if options:
                return self.one_of(options, {})
            if cond.kind == "predicate":
                return self.english("predicate_clause", {"v": self.term(cond)})
        post = self.post(cond, cond.owner)
        if post.startswith("that "):
            return post[5:]
        return "have " + post[5:] if post.startswith("with ") and cond.kind in ("null", "not_null") else None
