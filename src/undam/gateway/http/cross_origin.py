"""Cross-origin response headers (Fetch standard, 3.2), so that web pages can read responses.

With ``cors_origins``, the gateway decides which origins are allowed, answers preflight requests
and replaces the headers of the upstreams. Without it, the upstreams decide. The gateway then only
repeats their last decision in the responses that it generates itself: early heads and errors.
"""

from __future__ import annotations

from collections.abc import Collection

from undam.gateway.http.headers import ResponseHead
from undam.gateway.interfaces import LocalResponse, RequestInfo
from undam.http1.headers import RawHeaders

_PREFIX = b"access-control-"
_ALLOW_ORIGIN = b"access-control-allow-origin"
_MAX_AGE_S = 600
_METHODS = b"GET, POST, PUT, PATCH, DELETE, OPTIONS"


class CrossOriginPolicy:
    """The allowed origins, for all requests of one event loop.

    Args:
        origins: allowed origins, or ``*``; empty if the upstreams decide.
    """

    __slots__ = ("_learned", "_origins")

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(one.encode("latin-1") for one in origins)
        self._learned: RawHeaders = []

    @property
    def enabled(self) -> bool:
        """True if the gateway, not the upstream, decides which origins are allowed."""
        return bool(self._origins)

    def use(self, origins: Collection[str]) -> None:
        """Replace the allowed origins."""
        self._origins = frozenset(one.encode("latin-1") for one in origins)

    def for_origin(self, origin: bytes) -> CrossOrigin:
        """Return the headers for the responses to one request from ``origin``."""
        return CrossOrigin(self, origin)

    def lines(self, origin: bytes) -> bytes:
        """Return the cross-origin header lines for a response that the gateway generates."""
        if not self._origins:
            allowed = [value for name, value in self._learned if name.lower() == _ALLOW_ORIGIN]
            if not allowed or allowed[0] not in (b"*", origin):
                return b""
            return b"".join(b"%b: %b\r\n" % pair for pair in self._learned)
        if b"*" in self._origins:
            value, vary = b"*", b""
        elif origin in self._origins:
            value, vary = origin, b"Vary: Origin\r\n"
        else:
            return b"Vary: Origin\r\n"
        return b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Expose-Headers: *\r\n%b" % (
            value, vary,
        )  # fmt: skip

    def allows(self, origin: bytes) -> bool:
        """Return whether ``origin`` is one of the allowed origins."""
        return b"*" in self._origins or origin in self._origins

    def learn(self, head: ResponseHead) -> None:
        """Store the cross-origin headers from an upstream's response."""
        if head.get(_ALLOW_ORIGIN) is not None:
            self._learned = [
                (name, value)
                for name, value in head.headers
                if name.lower().startswith(_PREFIX) or name.lower() == b"vary"
            ]


class CrossOrigin:
    """Cross-origin headers for the responses to one request."""

    __slots__ = ("_origin", "_policy")

    def __init__(self, policy: CrossOriginPolicy, origin: bytes) -> None:
        self._policy = policy
        self._origin = origin

    def own_lines(self) -> bytes:
        """Return the cross-origin header lines for a response that the gateway generates."""
        return self._policy.lines(self._origin)

    def forward(self, head: ResponseHead) -> None:
        """Set the gateway's cross-origin headers; if the upstream decides, store its headers."""
        if self._policy.enabled:
            head.replace_headers(_PREFIX, self.own_lines())
        else:
            self._policy.learn(head)

    def preflight_lines(self, requested_headers: bytes | None) -> bytes | None:
        """Return the header lines for the response to a preflight request.

        Returns:
            ``None`` if the upstream answers preflight requests; empty if the origin is not allowed.
        """
        if not self._policy.enabled:
            return None
        if not self._policy.allows(self._origin):
            return b""
        return self.own_lines() + (
            b"Access-Control-Allow-Methods: %b\r\nAccess-Control-Allow-Headers: %b\r\n"
            b"Access-Control-Max-Age: %d\r\n" % (_METHODS, requested_headers or b"*", _MAX_AGE_S)
        )


def is_preflight(info: RequestInfo) -> bool:
    """Return whether a request is a preflight request, which browsers send without an API key.

    A preflight request has no body, so nobody can upload data without a key.
    """
    if info.method != "OPTIONS" or info.body_bytes != 0:
        return False
    names = {name.lower() for name, _ in info.headers}
    return b"origin" in names and b"access-control-request-method" in names


def preflight_response(info: RequestInfo, cross_origin: CrossOrigin | None) -> LocalResponse | None:
    """Return the response to a preflight request; ``None`` if the upstream answers the request."""
    if cross_origin is None or not is_preflight(info):
        return None
    lines = cross_origin.preflight_lines(info.get(b"access-control-request-headers"))
    if lines is None:
        return None
    if not lines:
        return LocalResponse(403, b"text/plain", b"this origin is not allowed\n")
    return LocalResponse(200, b"text/plain", b"", lines)
