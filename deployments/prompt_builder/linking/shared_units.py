"""Scales and units said once for several numbers: "five and ten million dollars", "30, 60 and 90 days"."""

from dataclasses import replace
from typing import Final

from deployments.prompt_builder.linking.amounts import JOINTS, AmountMatch
from deployments.prompt_builder.linking.numerals import SCALES, SUFFIX_SCALES, digits_number

# Units that a later number of the same list takes over ("up to 30 days, 31 to 60").
_INHERITED: Final = frozenset({"money", "days", "weeks", "months", "years", "hours"})
_LISTED: Final = frozenset({"days", "weeks", "months", "years", "hours", "percent"})


def share_units(matches: list[AmountMatch], words: list[str]) -> list[AmountMatch]:
    """The same numbers, each with the scale and the unit that one of its neighbours was given."""
    shared = list(matches)
    for k in range(len(shared) - 2, -1, -1):
        shared[k] = _with_scale(shared[k], shared[k + 1], words)
        joined = _joined(shared[k], shared[k + 1], words) and _lacks_unit(shared[k])
        if joined or _listed(shared[k], shared[k + 1], words):
            shared[k] = replace(shared[k], kind=shared[k + 1].kind)
    for k in range(1, len(shared)):
        before = shared[k - 1]
        if before.kind in _INHERITED and _lacks_unit(shared[k]) and _joined(before, shared[k], words):
            shared[k] = replace(shared[k], kind=before.kind)
    return shared


def _listed(first: AmountMatch, second: AmountMatch, words: list[str]) -> bool:
    """Rising bare numbers of one list, its unit behind the last: "at 4 and 8 hours"."""
    between = words[first.end : second.start]
    if first.kind != "number" or first.scaled or second.scaled or second.kind not in _LISTED:
        return False
    return first.value < second.value and len(between) <= 2 and {",", "and", "or"}.issuperset(between)


def _lacks_unit(match: AmountMatch) -> bool:
    return match.kind in {"number", "count"}


def _joined(first: AmountMatch, second: AmountMatch, words: list[str]) -> bool:
    """Only joints between them, and a range or a list of ranges around: a bare "and" joins nothing else."""
    between = words[first.end : second.start]
    if not between or not JOINTS.issuperset(between):
        return False
    opened = words[first.start - 1] if first.start else ""
    return (
        "to" in between
        or opened == "between"
        or second.scaled
        or "to" in words[second.end : second.end + 1]
        or (opened == "to")
    )


def _with_scale(first: AmountMatch, second: AmountMatch, words: list[str]) -> AmountMatch:
    if not second.scaled or first.scaled or not _joined(first, second, words):
        return first
    if first.kind not in {"number", "count", "money"} or first.value >= 1000:
        return first
    value = first.value * _scale_of(second, words)
    return replace(first, value=value, scaled=True) if value <= second.value else first


def _scale_of(match: AmountMatch, words: list[str]) -> int:
    scale = 1
    for word in words[match.start : match.end]:
        if word in SCALES and word != "hundred":
            scale = max(scale, SCALES[word])
        parsed = digits_number(word)
        if parsed is not None and parsed[1] in SUFFIX_SCALES:
            scale = SUFFIX_SCALES[parsed[1]]
    return scale
