"""Secrets taken out of everything that is shown, logged or recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "[redacted]"

_SECRET_HEADERS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "ocp-apim-subscription-key",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "www-authenticate",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-goog-api-key",
    }
)
_SECRET_PARAMETERS = re.compile(
    r"(?i)([?&](?:api[-_]?key|key|token|access_token|auth|password|secret|sig|signature)=)[^&#\s]+"
)
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^/?#@\s]*@")
# Keys as the vendors print them in their own errors, and tokens behind "Bearer".
_KEY = re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai)[-_][A-Za-z0-9_*-]{6,}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")

# A shorter secret stands in ordinary text by chance, and hiding it would only mangle a report.
_SHORTEST_SECRET = 6


def redact_url(url: str) -> str:
    """``url`` without user information and without the values of parameters that name secrets."""
    return _SECRET_PARAMETERS.sub(rf"\1{HIDDEN}", _USERINFO.sub(r"\1", url))


def redact_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers with the values of those that carry secrets hidden."""
    return tuple(
        (name, HIDDEN if name.lower() in _SECRET_HEADERS else value) for name, value in headers
    )


def secrets_of(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The secret values in request headers, also without their scheme, for ``redact_text``."""
    found: list[str] = []
    for name, value in headers:
        if name.lower() in _SECRET_HEADERS:
            found += [value, value.rpartition(" ")[2]]
    return tuple(one for one in found if len(one) >= _SHORTEST_SECRET)


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without these secrets and without what has the form of one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _BEARER.sub(rf"\1 {HIDDEN}", _KEY.sub(HIDDEN, text))
    return _SECRET_PARAMETERS.sub(rf"\1{HIDDEN}", _USERINFO.sub(r"\1", text))
