"""What goes wrong at an endpoint, as the project's errors. Trying again is the caller's affair.

Neither a key nor the answer to a refused key gets into an error's detail: some servers repeat parts of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from serve_app.errors import (
    GenerationFailed,
    GenerationTimeout,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    PlumblineError,
)

RETRY_AFTER_S = 5.0
LONGEST_RETRY_AFTER_S = 600.0
LONGEST_DETAIL_CHARS = 500


def failure_of_status(response: httpx.Response, body: str, model: str, key: str | None) -> PlumblineError:
    """The error for an answer other than 200; ``body`` is its beginning."""
    status = response.status_code
    if status in (401, 403):
        return ModelUnavailable(
            "The language model's endpoint refuses this server's credentials. Tell your administrator.",
            detail=f"HTTP {status}; check the variable that api_key_variable of the model profile names",
        )
    detail = f"HTTP {status}: {without_key(body, key)}"
    if status == 404:
        return ModelUnavailable(
            f"The language model's endpoint has no model {model}. Tell your administrator.", detail=detail
        )
    if status in (429, 503):
        return Overloaded(detail=detail, retry_after_s=_retry_after(response))
    if status in (408, 504):
        return GenerationTimeout(detail=detail)
    if 400 <= status < 500:
        return InvalidRequest(
            "The language model refused the request, most likely because it is too long. "
            "Shorten the question.",
            detail=detail,
        )
    return GenerationFailed(detail=detail)


def without_key(text: str, key: str | None) -> str:
    return (text.replace(key, "***") if key else text)[:LONGEST_DETAIL_CHARS]


def garbage(what: str) -> GenerationFailed:
    return GenerationFailed(detail=f"the endpoint's answer cannot be read: {what[:LONGEST_DETAIL_CHARS]}")


@contextmanager
def told_as_ours() -> Iterator[None]:
    """Failures of the connection, as the project's errors."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise _unreachable(error) from error
    except httpx.TimeoutException as error:
        raise GenerationTimeout(detail=f"{type(error).__name__}: the endpoint fell silent") from error
    except httpx.ConnectError as error:
        raise _unreachable(error) from error
    except httpx.HTTPError as error:
        raise GenerationFailed(detail=f"{type(error).__name__}: {error}") from error


def _unreachable(error: httpx.HTTPError) -> ModelUnavailable:
    return ModelUnavailable(
        "The language model's endpoint cannot be reached. Please try again in a moment.",
        detail=f"{type(error).__name__}: {error}",
    )


def _retry_after(response: httpx.Response) -> float:
    """Seconds; the header's other form, a date, is rare enough to be given the default."""
    text = response.headers.get("retry-after", "")
    try:
        return min(max(float(text), 0.0), LONGEST_RETRY_AFTER_S)
    except ValueError:
        return RETRY_AFTER_S
