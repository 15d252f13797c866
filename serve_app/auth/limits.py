"""How often callers may come: calls a minute and questions a day, counted in this process."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from serve_app.auth.identity import Identity
from serve_app.errors import RateLimited

MINUTE_S = 60.0
# Tokens bring any number of users; the counts of those who have not come for longest are dropped.
MOST_COUNTED = 100_000


@dataclass
class _Count:
    """What one caller did: instants of the last minute's calls, and the questions of a day."""

    calls: deque[float] = field(default_factory=deque)
    day: date = date.min
    questions: int = 0


class CallLimits:
    """Counts calls. In no span of 60 s, and on no UTC day, are more let pass than the caller may.

    A refused call counts nothing. Of several ingress replicas each counts by itself.
    """

    def __init__(
        self,
        rate_per_minute: int | None,
        daily_questions: int | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """The limits are those of callers whose credential says nothing else; None: no limit."""
        self._rate_per_minute = rate_per_minute
        self._daily_questions = daily_questions
        self._now = now
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def admit(self, identity: Identity, is_question: bool) -> None:
        """Count a call.

        Raises:
            RateLimited: it is one too many; ``retry_after_s`` says when it would not be.
        """
        now = self._now()
        count = self._count_of(identity.limit_key)
        self._check_rate(count, identity.rate_per_minute or self._rate_per_minute, now.timestamp())
        if is_question:
            self._check_day(count, identity.daily_questions or self._daily_questions, now)
            count.questions += 1
        count.calls.append(now.timestamp())

    def _count_of(self, key: str) -> _Count:
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count()
            if len(self._counts) > MOST_COUNTED:
                self._counts.popitem(last=False)
        self._counts.move_to_end(key)
        return count

    def _check_rate(self, count: _Count, most: int | None, now_s: float) -> None:
        while count.calls and count.calls[0] <= now_s - MINUTE_S:
            count.calls.popleft()
        if most is not None and len(count.calls) >= most:
            wait_s = count.calls[-most] + MINUTE_S - now_s
            raise RateLimited(
                f"You may call {most:,} times a minute. Please try again in {max(round(wait_s), 1)} seconds.",
                retry_after_s=wait_s,
            )

    def _check_day(self, count: _Count, most: int | None, now: datetime) -> None:
        today = now.astimezone(UTC).date()
        if count.day != today:
            count.day, count.questions = today, 0
        if most is not None and count.questions >= most:
            midnight = datetime.combine(today + timedelta(days=1), time(), UTC)
            raise RateLimited(
                f"You may ask {most:,} questions a day, and today's are used up. Ask again tomorrow (UTC).",
                retry_after_s=(midnight - now).total_seconds(),
            )
