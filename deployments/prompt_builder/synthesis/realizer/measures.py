"""Measures, dimensions and orders in words."""

from deployments.prompt_builder.synthesis.phrases import MeasurePhrases, english
from deployments.prompt_builder.synthesis.plan import Attribute, Cond, Dimension, Measure, Order
from deployments.prompt_builder.synthesis.realizer.lexicon import pick, plural_of
from deployments.prompt_builder.synthesis.realizer.noun_phrases import Phraser
from deployments.prompt_builder.synthesis.templates import split_requirements

_ADJECTIVES = {"avg": ("average", "avg", "mean"), "median": ("median",)}


class MeasurePhraser(Phraser):
    """Speaks measures, dimensions and orders."""

    def words(self, key: str, fillers: dict[str, str]) -> str:
        return self.one_of(english("words")[key], fillers)

    def own(self, measure: Measure) -> MeasurePhrases:
        if measure.name == "count":
            return MeasurePhrases()
        if measure.formula is not None:
            return MeasurePhrases(nouns=measure.formula.nouns, asks=measure.formula.asks)
        if measure.name == "countd":
            return self.lexicon.column(measure.owner, measure.column).count
        found: MeasurePhrases = getattr(
            self.lexicon.column(measure.table, measure.column), measure.name, MeasurePhrases()
        )
        return found

    def measure_noun(self, measure: object) -> str:
        """ "total spend", "average hourly rate", "number of approved permits", with the measure's own
        conditions.
        """
        assert isinstance(measure, Measure)
        return self.measure_of(measure, measure.conditions)

    def measure_of(self, measure: Measure, conditions: tuple[Cond, ...]) -> str:
        """A measure of the rows that meet the conditions."""
        table = measure.table
        if measure.name == "count":
            return self.words("count", {"ns": self.noun_phrase(table, conditions)})
        if measure.name == "countd":
            members = self.group_nouns(measure.owner, measure.column, table)
            return f"{self.words('countd', {'ns': members})} {self.posts(table, conditions)}".strip()
        own = self.own(measure)
        main = self.lexicon.world.tables[table].terms.measure == measure.column
        if main and measure.name in _ADJECTIVES and self.chance(0.45):
            return self.noun_phrase(
                table, conditions, plural=False, superlative=self.rng.choice(_ADJECTIVES[measure.name])
            )
        if own.nouns and (measure.formula is not None or self.chance(0.7)):
            noun = self.say(pick(self.rng, own.nouns), {})
            return f"{noun} {self.posts(table, conditions)}".strip()
        term = self.lexicon.term(self.rng, table, measure.column)
        noun = self.words(measure.name, {"t": term})
        shared = self.lexicon.is_shared(term)
        if not conditions and main and not shared and self.chance(0.4):
            return noun
        if shared or not conditions or self.chance(0.6):
            link = self.rng.choice(("of", "for", "of", "on", "of all", "across"))
            return f"{noun} {link} {self.noun_phrase(table, conditions)}"
        return f"{noun} {self.posts(table, conditions)}".strip()

    def ask(self, measure: Measure, conditions: tuple[Cond, ...]) -> str | None:
        """A whole question in the trade's own verbs, if there is one whose needs the conditions meet."""
        own = self.own(measure).asks
        return self.framed(own, measure.table, conditions) if own else None

    def framed(
        self,
        sources: tuple[str, ...],
        table: str,
        conditions: tuple[Cond, ...],
        fillers: dict[str, str] | None = None,
    ) -> str | None:
        """Fill a frame like "what did {vendors.name} bill us {post}"; conditions a frame says are not said
        again.
        """
        for _ in range(6):
            text, needs = split_requirements(self.rng.choice(sources))
            used = self._used(text, needs, conditions, table)
            if used is None:
                continue
            rest = tuple(c for c in conditions if c not in used)
            values: dict[str, str] = dict(fillers or {})
            for cond in used:
                if cond.marks or cond.words:
                    values[f"{cond.owner}.{cond.column}"] = self.joined(self.value_words(cond))
            values["post"] = self.posts(table, rest) if "{post}" in text else ""
            if "{np}" in text:
                values["np"] = self.noun_phrase(table, rest)
            if "{np1}" in text:
                values["np1"] = self.noun_phrase(table, rest, plural=False)
            if rest and "{post}" not in text and "{np}" not in text and "{np1}" not in text:
                continue
            return self.say(text, values)
        return None

    def _used(
        self, text: str, needs: tuple[str, ...], conditions: tuple[Cond, ...], table: str
    ) -> list[Cond] | None:
        """The conditions that a frame says itself, or None if the question lacks one of them."""
        used: list[Cond] = []
        for cond in conditions:
            hole = "{" + f"{cond.owner}.{cond.column}" + "}"
            if hole in text and cond.kind in ("name", "names", "word"):
                used.append(cond)
        for need in needs:
            column, _, value = need.partition("=")
            owner, _, name = column.rpartition(".")
            found = next(
                (
                    c
                    for c in conditions
                    if c.column == name
                    and c.owner == (owner or table)
                    and (c.words == (value,) or (not value and c.kind == "predicate"))
                    and c.kind in ("word", "predicate")
                ),
                None,
            )
            if found is None:
                return None
            used.append(found)
        holes = {h for h in _holes(text) if "." in h}
        return used if holes <= {f"{c.owner}.{c.column}" for c in used} else None

    def group_nouns(self, owner: str, column: str, base: str = "") -> str:
        """Plural of what a column holds: the table's nouns for its label, else the column's terms."""
        if self.lexicon.world.tables[owner].label == column:
            return self.lexicon.noun(self.rng, owner)
        return plural_of(self.lexicon.qualified(self.rng, base or owner, owner, column))

    def dimension(self, dimension: Dimension, base: str = "") -> tuple[str, str]:
        """(singular, plural) of what is grouped by."""
        own = self.lexicon.table(base).dims.get(f"{dimension.owner}.{dimension.column}", ()) if base else ()
        if own and not dimension.part and self.chance(0.6):
            noun = pick(self.rng, own)
            return noun, plural_of(noun)
        if dimension.part:
            noun = {"weekday": "day of the week", "month_of_year": "calendar month"}.get(
                dimension.part, dimension.part
            )
            return noun, plural_of(noun) if dimension.part != "weekday" else "days of the week"
        info = self.lexicon.world.tables[dimension.owner]
        if info.label == dimension.column:
            index_rng = self.rng.random()
            singular = self.lexicon.noun(self.rng, dimension.owner, plural=False)
            plurals = dict(zip(info.terms.terms, info.terms.plurals, strict=False))
            plural = plurals.get(singular, plural_of(singular))
            return (f"{singular} name", f"{singular} names") if index_rng < 0.03 else (singular, plural)
        term = self.lexicon.qualified(self.rng, base or dimension.owner, dimension.owner, dimension.column)
        return term, plural_of(term)

    def by(self, dimensions: tuple[Dimension, ...], base: str = "") -> str:
        """The grouping phrase: "by project", "month by month", "per trade and month"."""
        first = dimensions[0]
        if len(dimensions) == 2:
            names = [self.dimension(d, base)[0] for d in dimensions]
            return self.words("by_two", {"d": names[0], "e": names[1]})
        if first.part:
            return self.words(first.part, {})
        singular, plural = self.dimension(first, base)
        return self.words("by", {"d": singular, "ds": plural})

    def order_kind(self, order: Order) -> tuple[str, str, str]:
        """(English key, the key's noun, the column's semantic)."""
        key = order.key
        if isinstance(key, Measure):
            semantic = "number" if key.name in ("count", "countd", "formula") else "currency"
            noun = self.lexicon.term(self.rng, key.owner, key.column) if key.column else "number"
            return semantic, noun, semantic
        owner, column = key.owner, key.column
        field = self.lexicon.world.field(owner, column)
        noun = self.lexicon.term(self.rng, owner, column)
        if field is not None and field.role == "date":
            return "date", noun, "date"
        semantic, unit = self.lexicon.semantic(owner, column)
        if unit in ("hours", "stars") and semantic != "currency":
            return unit, noun, semantic
        return semantic, noun, semantic

    def superlative(self, order: Order) -> tuple[str, str]:
        """(superlative, the key's noun)."""
        kind, noun, _ = self.order_kind(order)
        side = "hi" if order.descending else "lo"
        if isinstance(order.key, Attribute):
            column = self.lexicon.column(order.key.owner, order.key.column)
            derived = self.lexicon.derived_phrases(order.key.owner, order.key.column)
            own = (
                (column.largest or derived.largest)
                if order.descending
                else (column.smallest or derived.smallest)
            )
            if own and self.chance(0.7):
                return self.one_of(own, {}), noun
        words = english("words")
        return self.one_of(words.get(f"sup_{side}_{kind}", words[f"sup_{side}"]), {}), noun

    def order_tail(self, order: Order) -> str:
        kind, noun, _ = self.order_kind(order)
        side = "hi" if order.descending else "lo"
        words = english("words")
        return self.one_of(words.get(f"order_{side}_{kind}", words[f"order_{side}"]), {"t": noun})

    def column_noun(self, attribute: Attribute, base: str = "") -> str:
        info = self.lexicon.world.tables[attribute.owner]
        if info.label == attribute.column:
            return self.lexicon.noun(self.rng, attribute.owner, plural=False)
        return self.lexicon.qualified(self.rng, base or attribute.owner, attribute.owner, attribute.column)


def _holes(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("{")[1:]]
