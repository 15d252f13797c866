"""A client of the HTTP API that reports every call, however it ends."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import httpx

from tests.performance.load_with_faults.judge import Seen
from tests.performance.load_with_faults.record import Record

# The deadline of a question (`limits.request_timeout_s`), and time to tell on a busy machine.
DEADLINE_S = 60.0 + 15.0
# A client that has waited this long goes away; the call counts as broken and late.
LONGEST_S = 120.0
PATHS: Final = {
    "chat": "/api/chat",
    "stream": "/api/chat/stream",
    "clear": "/api/chat/clear",
    "sql_run": "/api/sql/run",
    "sql_validate": "/api/sql/validate",
    "feedback": "/api/feedback",
    "health": "/health",
    "ready": "/ready",
    "metrics": "/api/metrics",
    "schema": "/api/schema",
}
# Whether to hang up after so many lines.
Leave = Callable[[int], bool]


def _never(_lines: int) -> bool:
    return False


class Client:
    """Calls under one name. Connections are kept and used again, as a real client's are."""

    def __init__(
        self, url: str, name: str, record: Record, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name = name
        self.record = record
        self.is_cut_off = False
        self._numbers = itertools.count()
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=None,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
            transport=transport,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, call: str, kind: str, expected: Collection[str]) -> Seen:
        return await self.send(kind, call, expected, method="GET")

    async def post(self, call: str, kind: str, expected: Collection[str], **body: Any) -> Seen:
        """A call with a JSON body, this client being the user."""
        return await self.send(kind, call, expected, body={"user_id": self.name, **body})

    async def stream(self, kind: str, expected: Collection[str], leave: Leave = _never, **body: Any) -> Seen:
        """A question as a stream; ``leave`` is asked after each line whether to hang up."""
        return await self.send(kind, "stream", expected, leave=leave, body={"user_id": self.name, **body})

    async def send(
        self,
        kind: str,
        call: str,
        expected: Collection[str],
        *,
        method: str = "POST",
        path: str | None = None,
        leave: Leave = _never,
        body: Mapping[str, Any] | bytes | None = None,
    ) -> Seen:
        """One call, judged and noted under ``kind``; its outcome should be among ``expected``.

        ``body`` is sent as JSON without the fields that are None, or as it is.
        """
        request_id = f"{self.name}-{next(self._numbers)}"
        headers = {"x-request-id": request_id}
        if body is not None:
            headers["content-type"] = "application/json"
        if isinstance(body, Mapping):
            # Escaped, so that text can be sent that has no encoding.
            body = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        request = self._http.build_request(method, path or PATHS[call], headers=headers, content=body)
        began = time.monotonic()
        text = ""
        response: httpx.Response | None = None
        broken, left = None, False
        try:
            async with asyncio.timeout(LONGEST_S):
                response = await self._http.send(request, stream=True)
                async for piece in response.aiter_text():
                    text += piece
                    if left := leave(text.count("\n")):
                        break
        except TimeoutError:
            broken = "no end"
        except httpx.HTTPError as error:
            broken = type(error).__name__
        finally:
            if response is not None:
                await response.aclose()
        seen = Seen(
            call=call,
            request_id=request_id,
            began=began,
            ended=time.monotonic(),
            status=response.status_code if response is not None else None,
            headers=dict(response.headers) if response is not None else {},
            text=text,
            broken=broken,
            left=left,
        )
        self.note(kind, seen, expected)
        return seen

    def note(self, kind: str, seen: Seen, expected: Collection[str]) -> None:
        self.is_cut_off = seen.broken is not None
        self.record.note(kind, seen, expected)
