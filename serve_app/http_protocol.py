"""uvicorn's HTTP protocol with bounds on what comes before an ASGI app is called, and on unread answers.

Serve's proxy offers no setting for them: a client that never ends its headers, or never reads its answer,
would hold its connection and the answer's memory; one that sends headers without end would fill the memory.
"""

import asyncio
from typing import ClassVar

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve_app.api_models import error_response
from serve_app.errors import InvalidRequest, Overloaded, PlumblineError
from serve_app.security_headers import security_headers
from serve_app.settings.edge import EdgeSettings

REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
# What a client must take of an answer within the time for it: anything slower counts as standing still.
FEWEST_TAKEN_BYTES = 16_384
UNREADABLE = "This is no HTTP request. Send one as the documentation at /docs shows."


class HeadersRefused(Exception):
    """Ends the parsing of a request from within a callback of the parser."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection: bounded are their number, headers (size, number, time) and unread answers."""

    bounds: ClassVar[EdgeSettings] = EdgeSettings()

    _in_headers = False
    _refused = False
    _header_bytes = 0
    _header_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0
    # What `send_400_response` tells; uvicorn calls it for whatever the parser stumbles over.
    _fault: tuple[int, str] = (400, UNREADABLE)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Writing is paused exactly while something is left over that the kernel did not take.
        transport.set_write_buffer_limits(high=0)
        if len(self.connections) > self.bounds.max_connections:
            self._write_refusal(503, Overloaded(retry_after_s=5.0))
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        self._stop_unread_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and not self._refused and self._header_bytes > self.bounds.max_header_bytes:
            self._fault = self._too_large()
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0
        self._await_headers()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._in_headers = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.bounds.max_header_bytes:
            self._fault = self._too_large()
            raise HeadersRefused
        if len(self.headers) > self.bounds.max_headers:
            self._fault = (431, f"At most {self.bounds.max_headers} headers are read. Send fewer.")
            raise HeadersRefused
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        status, message = self._fault
        self._write_refusal(status, InvalidRequest(message))

    def _too_large(self) -> tuple[int, str]:
        return 431, f"The headers have more than {self.bounds.max_header_bytes:,} bytes. Send less."

    def _await_headers(self) -> None:
        self._stop_timer()
        self._header_timer = self.loop.call_later(self.bounds.header_timeout_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _too_slow(self) -> None:
        told = f"The request's headers did not come within {self.bounds.header_timeout_s:g} seconds."
        self._write_refusal(408, InvalidRequest(told))

    def _await_reader(self) -> None:
        self._stop_unread_timer()
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(self.bounds.write_timeout_s, self._check_reader)

    def _check_reader(self) -> None:
        """Also of a connection that is being closed: it waits for its last bytes to be taken."""
        if self._unread_bytes - self.transport.get_write_buffer_size() < FEWEST_TAKEN_BYTES:
            self.transport.abort()
        else:
            self._await_reader()

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _write_refusal(self, status: int, error: PlumblineError) -> None:
        """The documented shape, written by hand: there is no ASGI app to answer yet."""
        self._refused = True
        self._stop_timer()
        if self.transport.is_closing():
            return
        body = error_response(error).model_dump_json().encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **security_headers("", self.bounds.hsts_max_age_s),
        }
        if error.retry_after_s is not None:
            headers["retry-after"] = f"{error.retry_after_s:.0f}"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        reason = REASONS.get(status, "Service Unavailable")
        self.transport.write(f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode() + body)
        self.transport.close()


def bound_connections(edge: EdgeSettings) -> None:
    """Have every uvicorn server of this process, such as Serve's proxy, take the bounded protocol."""
    BoundedHttpProtocol.bounds = edge
    path = f"{BoundedHttpProtocol.__module__}:{BoundedHttpProtocol.__name__}"
    uvicorn.config.HTTP_PROTOCOLS["auto"] = path
