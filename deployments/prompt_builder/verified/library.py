"""The verified examples at hand: the domain pack's and the accepted feedback of users."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.verified.writing import without_cap
from serve_app.contracts import VerifiedExample
from serve_app.errors import PlumblineError

AcceptedSource = Callable[[], Awaitable[tuple[VerifiedExample, ...]]]

# A store that hangs must not hold up answers, which need nothing of it.
REFRESH_TIMEOUT_S = 1.0

_log = logging.getLogger("plumbline.verified")


class ExampleLibrary:
    """Examples, newest accepted ones first and the pack's last, read again from time to time.

    While the store is away the last ones read stay.
    """

    def __init__(
        self,
        pack: tuple[Example, ...],
        accepted: AcceptedSource | None = None,
        reuse_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pack = pack
        self._accepted = accepted
        self._reuse_s = reuse_s
        self._clock = clock
        self._read: tuple[VerifiedExample, ...] = ()
        self._examples = pack
        self._due = 0.0
        self._reading = asyncio.Lock()

    async def examples(self) -> tuple[Example, ...]:
        """All examples; the same object as long as nothing changed."""
        if self._accepted is not None and self._clock() >= self._due and not self._reading.locked():
            async with self._reading:
                await self._refresh(self._accepted)
        return self._examples

    async def _refresh(self, source: AcceptedSource) -> None:
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_S):
                read = await source()
        except (PlumblineError, TimeoutError) as error:
            _log.warning("verified examples not read", extra={"detail": getattr(error, "detail", None)})
        else:
            if read != self._read:
                self._read = read
                made = await asyncio.to_thread(lambda: tuple(map(example_of, read)))
                self._examples = (*(example for example in made if example), *self._pack)
        self._due = self._clock() + self._reuse_s


def example_of(accepted: VerifiedExample) -> Example | None:
    """An accepted pair as an example; None if it is too long to be one."""
    try:
        return Example(
            question=accepted.question,
            sql=without_cap(accepted.sql, accepted.row_cap),
            kind="feedback",
            query_spec=accepted.query_spec,
            id=accepted.id,
            organization_id=accepted.organization_id,
            asked_on=accepted.asked_on,
        )
    except ValidationError:
        return None
