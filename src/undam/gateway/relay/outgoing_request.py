"""Request in the form sent to upstreams. Its body may still be arriving from the client."""

from __future__ import annotations

from collections.abc import Callable

from undam.gateway.body.request_body import RequestBody
from undam.gateway.http.headers import ForwardedHead
from undam.gateway.interfaces import Upstream


class OutgoingRequest:
    """Head and body of a request, used by all its attempts.

    Attributes:
        body: the body. It is either complete, or passed on to a single upstream.
        repeatable: the request may be sent more than once.
        is_head: the method is HEAD, so the response has no body.
        upgrade: the client asks for another protocol.

    Args:
        build_head: function that builds the head. It is called after admission, which may remove
            the client's key, and after the observer has added tracing headers.
    """

    __slots__ = ("_build_head", "_head", "body", "is_head", "repeatable", "upgrade")

    def __init__(
        self, build_head: Callable[[], ForwardedHead], body: RequestBody, *, is_head: bool
    ) -> None:
        self.is_head = is_head
        self.upgrade = False
        self.repeatable = False
        self.body = body
        self._build_head: Callable[[], ForwardedHead] | None = build_head
        self._head: ForwardedHead | None = None

    def encode_head(self, upstream: Upstream) -> bytes:
        """Return the head for ``upstream``."""
        if self._head is None:
            assert self._build_head is not None
            self._head, self._build_head = self._build_head(), None
        return self._head.encode(upstream)

    def body_source(self) -> Callable[[], bytes]:
        """Return a function that returns the next body bytes, or empty bytes if there are none."""
        if self.body.passed_on:
            return self.body.take
        pieces = iter(self.body.pieces)
        return lambda: next(pieces, b"")

    def release(self) -> None:
        """Free the head and the body, because no further attempt will be made."""
        self._head = self._build_head = None
        if not self.body.passed_on:
            self.body.release()
