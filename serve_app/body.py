"""Reading a request's whole body within bounds of size and time, before anything else works on it.

Bodies of this API are small, so holding one costs less than a slow client holding a replica.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class BodyRefused(Exception):
    """The body is not read on; ``status`` and ``message`` are for the client."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(status, message)


class ClientGone(Exception):
    """The client hung up before its body was whole."""


def declared_length(headers: Headers) -> int:
    """The length that the headers give, 0 without one; the server has refused any that is no number."""
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def has_body(method: str, headers: Headers) -> bool:
    return method not in BODYLESS or declared_length(headers) > 0 or "transfer-encoding" in headers


async def whole_body(receive: Receive, headers: Headers, max_bytes: int, timeout_s: float) -> bytes:
    """The body; a length header is believed only where it says too much.

    Raises:
        BodyRefused: larger than ``max_bytes`` or not there within ``timeout_s``.
        ClientGone.
    """
    too_large = BodyRefused(413, f"The body is larger than {max_bytes:,} bytes. Send less at once.")
    if declared_length(headers) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError:
        told = f"The body did not come within {timeout_s:g} seconds. Send it again without a pause."
        raise BodyRefused(408, told) from None
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body at once and then whatever comes after it: the hang-up."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
