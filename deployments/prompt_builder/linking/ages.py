"""Ages as periods: "31 to 60 days old", "aged over 60 days", "90+ days old", "under a week old"."""

from collections.abc import Callable
from typing import Final

from deployments.prompt_builder.linking.calendar import Moment, Period, Unit
from deployments.prompt_builder.linking.numerals import small_integer
from deployments.prompt_builder.linking.reading import UNIT_WORDS, Found

Quantity = tuple[int, int, Unit]
# Phrase before the number, whether the thing is older than it, and whether that age itself counts.
_LIMITS: Final[dict[tuple[str, ...], tuple[bool, bool]]] = {
    ("over",): (True, False),
    ("more", "than"): (True, False),
    ("older", "than"): (True, False),
    ("past",): (True, False),
    ("at", "least"): (True, True),
    ("under",): (False, False),
    ("less", "than"): (False, False),
    ("at", "most"): (False, True),
    ("up", "to"): (False, True),
}
_LONGER: Final = (("more", "than"), ("over",), ("at", "least"))
AGE_BEGINNINGS: Final = frozenset({"aged", "between", "from", *(phrase[0] for phrase in _LIMITS)})


def age(words: list[str], i: int, quantity: Callable[[int], Quantity | None]) -> Found | None:
    """The days on which began what has the age told at ``i``; "aged" before or "old" behind shows one."""
    aged = words[i] == "aged"
    j = i + aged
    if _in_list(words, j):
        return None
    found = _limited(words, j, quantity) or _ranged(words, j, quantity)
    if found is None:
        return None
    old = words[found.end : found.end + 1] == ["old"]
    return Found(found.end + old, found.period) if old or aged else None


def waiting(words: list[str], i: int, quantity: Callable[[int], Quantity | None]) -> Found | None:
    """The days so long ago: "more than 60 days ago", "over 90 days old", "for more than a year"."""
    lasting = words[i] == "for"
    j = i + lasting
    for phrase in _LONGER if lasting else _LONGER[:2]:
        if tuple(words[j : j + len(phrase)]) == phrase:
            j += len(phrase)
            break
    else:
        return None
    ago = quantity(j)
    if ago is None:
        return None
    end, count, unit = ago
    behind = words[end : end + 1] in (["ago"], ["old"], ["back"])
    period = Period(None, Moment().shift(unit, -count))
    return Found(end + behind, period) if behind or lasting else None


def _in_list(words: list[str], i: int) -> bool:
    """Whether a number at ``i`` is a bound of several: "at 30, 60 and 90 days old"."""
    if not words[i : i + 1] or not words[i][0].isdigit() or i == 0:
        return False
    k = i - 2 if words[i - 1] in {",", "and", "or"} else i - 1
    return words[i - 1] == "at" or (k >= 0 and words[k].isdigit())


def _limited(words: list[str], j: int, quantity: Callable[[int], Quantity | None]) -> Found | None:
    for phrase, (older, including) in _LIMITS.items():
        if tuple(words[j : j + len(phrase)]) == phrase:
            limit = quantity(j + len(phrase))
            return _from_limit(limit, older, including) if limit else None
    number = small_integer(words[j]) if words[j + 1 : j + 2] == ["or more"] else None
    unit = UNIT_WORDS.get(words[j + 2]) if number is not None and j + 2 < len(words) else None
    return _from_limit((j + 3, number, unit), True, True) if number is not None and unit else None


def _from_limit(limit: Quantity, older: bool, including: bool) -> Found:
    end, count, unit = limit
    moment = Moment(days=int(older == including)).shift(unit, -count)
    return Found(end, Period(None, moment) if older else Period(moment, None))


def _ranged(words: list[str], j: int, quantity: Callable[[int], Quantity | None]) -> Found | None:
    """Of "31 to 60 days": from 60 days ago up to and including 31 days ago."""
    j += words[j : j + 1] in (["between"], ["from"])
    low = small_integer(words[j]) if j < len(words) else None
    joint = j + 1
    if low is not None and words[joint : joint + 1] and words[joint] in UNIT_WORDS:
        joint += 1
    if low is None or words[joint : joint + 1] not in (["to"], ["and"]) or joint + 1 >= len(words):
        return None
    high = quantity(joint + 1)
    if high is None or high[1] <= low:
        return None
    end, count, unit = high
    return Found(end, Period(Moment().shift(unit, -count), Moment(days=1).shift(unit, -low)))
