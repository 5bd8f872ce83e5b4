"""Error responses for sources that fail before their first event.

The status comes from the exception: those of openai-python, anthropic, httpx and aiohttp carry the
response of the upstream. The exceptions of a framework, such as HTTPException, are left to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from undam.asgi.interface import Send
from undam.errors import UndamError
from undam.http1.headers import RawHeaders
from undam.sse import encode_json

_PASSED_ON = frozenset(
    {"retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "request-id"}
)
_PASSED_ON_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
_MAX_BODY_BYTES = 65536

_LIBRARIES = frozenset({
    "aiohttp", "anthropic", "cerebras", "cohere", "google", "groq", "httpx", "httpx2", "litellm",
    "mistralai", "ollama", "openai", "requests", "together", "urllib3",
})  # fmt: skip
_CREDENTIALS = "The upstream did not accept the credentials of this server."


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Error response: status, headers and body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    async def send(self, send: Send) -> None:
        """Send the response."""
        headers: RawHeaders = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in self.headers
        ]
        headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class UpstreamRefused(UndamError):
    """The upstream answered with an error instead of a stream.

    Attributes:
        status: status code for the client.
        headers: response headers of the upstream.
        body: beginning of the response body.
        event: error event of the upstream, to be passed on if the stream has begun.
    """

    def __init__(
        self,
        message: str,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        event: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)
        self.body = body
        self.event = event


def refusal_of(error: BaseException) -> ErrorResponse | None:
    """Return the error response for a client library's exception; ``None`` for other exceptions.

    A missing connection becomes 502, and a timeout 504. ``Retry-After`` and the rate limits are
    passed on. The body of a 401 or 403 is replaced, because it may quote the server's own key.
    """
    if isinstance(error, UpstreamRefused):
        return _refusal(error.status, error.headers, error.body)
    if not any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__):
        return None
    response: Any = getattr(error, "response", None)
    status = _status_of(error) or _status_of(response)
    if status is None:
        late = "timeout" in type(error).__name__.lower() or isinstance(error, TimeoutError)
        return _refusal(504, (), _TIMEOUT) if late else _refusal(502, (), _UNREACHABLE)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    return _refusal(status, _pairs(headers), _body_of(response, error))


def _status_of(thing: Any) -> int | None:
    values = (getattr(thing, name, None) for name in ("status_code", "status", "code"))
    return next((one for one in values if isinstance(one, int) and 400 <= one <= 599), None)


def _body_of(response: Any, error: Any) -> bytes:
    try:
        body = bytes(response.content)
    except Exception:  # The body was not read, or the library stores it under another name.
        value = getattr(error, "body", None)
        body = encode_json({"error": value}) if isinstance(value, Mapping) else b""
    return body[:_MAX_BODY_BYTES]


def _pairs(headers: Any) -> list[tuple[str, str]]:
    try:
        return [(str(name), str(value)) for name, value in headers.items()]
    except AttributeError:
        return []


def _refusal(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> ErrorResponse:
    passed_on = [
        (name.lower(), value)
        for name, value in headers
        if name.lower() in _PASSED_ON or name.lower().startswith(_PASSED_ON_PREFIXES)
    ]
    if status in {401, 403}:
        body = error_body(_CREDENTIALS, "upstream_authentication_error")
    elif not body.lstrip().startswith(b"{"):
        body = error_body(f"The upstream answered with status {status}.", "upstream_error")
    return ErrorResponse(status, (("content-type", "application/json"), *passed_on), body)


def error_body(message: str, kind: str) -> bytes:
    """Return an error body in OpenAI's format, which other clients also understand."""
    return encode_json({"error": {"message": message, "type": kind, "param": None, "code": None}})


_TIMEOUT = error_body("The upstream did not answer in time.", "upstream_error")
_UNREACHABLE = error_body("The upstream cannot be reached.", "upstream_error")

SHUTTING_DOWN = ErrorResponse(
    503,
    (("content-type", "application/json"), ("retry-after", "1")),
    error_body("The server is shutting down.", "server_shutdown"),
)
