"""Noun phrases: a table's rows with all their conditions, own and of parents and children."""

from collections import defaultdict

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.plan import Cond
from deployments.prompt_builder.synthesis.realizer.conditions import RELATIONS, Speaker
from deployments.prompt_builder.synthesis.realizer.lexicon import pick

_PRE_KINDS = {"word", "words", "name", "predicate", "not_word"}
_DATES = {"date", "before", "after"}


class Phraser(Speaker):
    """Speaks noun phrases."""

    def noun_phrase(
        self, table: str, conditions: tuple[Cond, ...], plural: bool = True, superlative: str = ""
    ) -> str:
        """ "pending permit fees over $5k at Riverside last month"."""
        own = [c for c in conditions if c.owner == table and c.kind not in RELATIONS]
        pre, head, post = self._place(table, own, plural)
        posts = [self.post(c, table) for c in post]
        posts += [self.relation(c) for c in conditions if c.owner == table and c not in own]
        posts += self.parents(table, conditions)
        words = [superlative, *pre, head] if superlative else [*pre, head]
        return " ".join(w for w in (*words, *self._ordered(posts)) if w)

    def _place(self, table: str, own: list[Cond], plural: bool) -> tuple[list[str], str, list[Cond]]:
        """Which conditions stand before the noun, which one is the noun, which follow it."""
        pre: list[str] = []
        head = ""
        post: list[Cond] = []
        shuffled = sorted(own, key=lambda c: (c.kind in _DATES, self.rng.random()))
        for cond in shuffled:
            if plural and not head and self.chance(self._head_chance(cond)) and (said := self.head(cond)):
                head = said
                continue
            stands_before = cond.kind in _PRE_KINDS and len(pre) < 2 and self.chance(self._pre_chance(cond))
            if stands_before and (said := self.pre(cond)):
                pre.append(said)
                continue
            post.append(cond)
        return pre, head or self.lexicon.noun(self.rng, table, plural), post

    def _head_chance(self, cond: Cond) -> float:
        return 0.5 if cond.kind in ("word", "name") else 0.4

    def _pre_chance(self, cond: Cond) -> float:
        if cond.kind == "not_word":
            return 0.15
        return 0.7 if cond.kind in ("word", "predicate") else 0.45

    def _ordered(self, posts: list[str]) -> list[str]:
        if len(posts) > 1 and self.chance(0.35):
            self.rng.shuffle(posts)
        return posts

    def posts(self, table: str, conditions: tuple[Cond, ...]) -> str:
        """The conditions without the table's noun, for questions whose verb says what is asked: "on permits
        at Riverside".
        """
        if not conditions:
            return ""
        own = [c for c in conditions if c.owner == table]
        words = [
            c
            for c in own
            if c.kind in ("word", "words", "predicate", "not_predicate", "not_word", "exists", "none")
        ]
        plain = [c for c in own if c not in words]
        parts: list[str] = []
        links = self.lexicon.table(table).links.get(table, ("on", "for"))
        stateful = any(c.kind in ("predicate",) or self._is_state(c) for c in words)
        if words and (stateful or len(words) > 1 or self.chance(0.25)):
            parts.append(f"{self.say(pick(self.rng, links), {})} {self.noun_phrase(table, tuple(words))}")
        else:
            parts += [self._short_word(c, table) for c in words]
        parts += [self.post(c, table) for c in plain if c.kind not in _DATES]
        dates = [self.post(c, table) for c in plain if c.kind in _DATES]
        return " ".join(self._ordered([*parts, *self.parents(table, conditions), *dates]))

    def _is_state(self, cond: Cond) -> bool:
        return (
            cond.kind in ("word", "words", "not_word")
            and self.lexicon.usage(cond.owner, cond.column) == "state"
        )

    def _short_word(self, cond: Cond, table: str) -> str:
        if cond.kind in ("exists", "none"):
            return self.relation(cond)
        return self.post(cond, table)

    def parents(self, table: str, conditions: tuple[Cond, ...]) -> list[str]:
        """One phrase per ancestor with conditions: "on active projects in Austin", "from Brightwire"."""
        groups: dict[str, list[Cond]] = defaultdict(list)
        for cond in conditions:
            if cond.owner != table:
                groups[cond.owner].append(cond)
        return [self._parent(table, owner, tuple(conds)) for owner, conds in groups.items()]

    def _parent(self, table: str, owner: str, conditions: tuple[Cond, ...]) -> str:
        info = self.lexicon.world.tables[owner]
        links = self.lexicon.table(table).links.get(owner, ("for", "of"))
        link = self.say(pick(self.rng, links), {})
        first = conditions[0]
        if (
            len(conditions) == 1
            and first.column == info.label
            and first.kind in ("name", "names", "not_name")
        ):
            names = self.joined(self.value_words(first), self.rng.choice(("and", "or")))
            if first.kind == "not_name":
                return self.english("not_name", {"v": names})
            if first.kind == "names":
                return f"{link} {names}"
            return self._named(link, names, owner)
        if (
            len(conditions) == 1
            and first.kind in ("name", "names")
            and self.phrases(first).post
            and self.chance(0.45)
        ):
            return self.post(first, owner)
        article = self.rng.choice(("", "", "", "our ", "the ", "all "))
        if first.kind == "not_null" or info.name == table:
            article = ""
        return f"{link} {article}{self.noun_phrase(owner, conditions)}"

    def _named(self, link: str, name: str, owner: str) -> str:
        chance = self.rng.random()
        if chance < 0.74:
            return f"{link} {name}"
        if chance < 0.84:
            return f"{link} the {name}"
        noun = self.lexicon.noun(self.rng, owner, plural=False)
        return f"{link} the {name} {noun}" if chance < 0.95 else f"{link} {noun} {name}"

    def relation(self, cond: Cond) -> str:
        """Conditions over child rows: "without any approved permits", "with more than 3 bills"."""
        marks = [self.slots.mark(m) for m in cond.marks]
        fillers = {"n": marks[0] if marks else ""}
        if cond.measure is not None and cond.measure.name != "count":
            fillers["c"] = self.measure_noun(cond.measure)
            return self.english(f"child_measure_{'less' if cond.kind == 'child_less' else 'more'}", fillers)
        fillers["c"] = self.noun_phrase(cond.other, cond.child)
        fillers["c1"] = fillers["c"]
        key = {"child_more": "child_more", "child_less": "child_less"}.get(cond.kind, cond.kind)
        if cond.words == ("at_least",):
            key = "child_at_least"
        options = english("conditions")[key]
        if "c1" in fillers:
            fillers["c1"] = (
                self.noun_phrase(cond.other, cond.child, plural=False)
                if cond.kind in ("exists", "none")
                else ""
            )
        return self.one_of(options, fillers)

    def measure_noun(self, measure: object) -> str:
        raise NotImplementedError
