"""The request in the form sent to upstreams; its body may still be arriving from the client."""

from __future__ import annotations

from collections.abc import Callable

from undam.gateway.http.headers import ForwardedHead
from undam.gateway.interfaces import Upstream


class OutgoingRequest:
    """Head and body of a request, for all of its attempts.

    Attributes:
        repeatable: the request may be sent more than once.
        is_head: the method is HEAD, so the response has no body.
        body_complete: the whole body has arrived. Otherwise, it is streamed to one upstream.

    Args:
        build_head: function that builds the head. It is called after admission, which may remove
            the client's key, and after the observer has added tracing headers.
        body: the received part of the body, including its framing.
    """

    __slots__ = ("_body", "_build_head", "_head", "body_complete", "is_head", "repeatable")

    def __init__(
        self,
        build_head: Callable[[], ForwardedHead],
        body: bytes,
        *,
        is_head: bool,
        repeatable: bool,
        body_complete: bool,
    ) -> None:
        self.is_head = is_head
        self.repeatable = repeatable
        self.body_complete = body_complete
        self._build_head: Callable[[], ForwardedHead] | None = build_head
        self._head: ForwardedHead | None = None
        self._body = body

    def encode(self, upstream: Upstream) -> bytes:
        """Return the bytes for ``upstream``: the head and the received part of the body."""
        if self._head is None:
            assert self._build_head is not None
            self._head, self._build_head = self._build_head(), None
        data = self._head.encode(upstream) + self._body
        if not self.body_complete:
            self._body = b""  # The body is sent only once.
        return data

    def add_body(self, data: bytes) -> None:
        """Store more of the body until there is a connection for it."""
        self._body += data

    def release(self) -> None:
        """Free head and body, because no further attempt will be made."""
        self._head = self._build_head = None
        self._body = b""
