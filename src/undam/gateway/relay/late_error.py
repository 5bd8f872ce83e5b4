"""An upstream's error response that arrives after the gateway has opened the stream.

After a heartbeat, the status 200 has already been sent, so the error is collected and sent as an
event. This module does no I/O.
"""

from __future__ import annotations

from undam.apis import Api
from undam.gateway.http.error_responses import error_event, upstream_error_event
from undam.gateway.http.headers import ResponseHead

# Error bodies are usually short and arrive at once. For longer bodies, the beginning is sufficient.
_MAX_BYTES = 64 << 10
_MAX_WAIT_S = 2.0


class LateError:
    """Buffer for the body of one error response.

    Attributes:
        deadline: time until which to wait for more of the body.
        detail: description for logs.
    """

    __slots__ = ("_encoded", "_head", "_pieces", "_size", "deadline", "detail")

    def __init__(self, head: ResponseHead, now: float) -> None:
        self.deadline = now + _MAX_WAIT_S
        self.detail = f"the upstream answered {head.status}"
        coding = (head.get(b"content-encoding") or b"").decode("latin-1").strip()[:80]
        self._encoded = coding.lower() not in ("", "identity")
        if head.status < 300 and self._encoded:
            self.detail += f" with the content coding {coding}, although none was requested"
        elif head.status < 300:
            media_type = (head.get(b"content-type") or b"nothing").decode("latin-1")[:80]
            self.detail += f" with {media_type}, which is not an event stream"
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> bool:
        """Add body bytes, and return whether more of the body should be collected."""
        self._pieces.append(data)
        self._size += len(data)
        return self._size <= _MAX_BYTES

    def event(self, api: Api) -> bytes:
        """Return the error as an event in the format of ``api``."""
        if self._head.status < 300:
            return error_event(api, 502, self.detail)
        body = b"" if self._encoded else b"".join(self._pieces)
        return upstream_error_event(api, self._head.status, body)
