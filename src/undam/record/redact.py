"""Redaction of secrets in everything that is printed, logged or recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

HIDDEN = "[redacted]"

_SECRET_HEADERS = frozenset(
    {
        "api-key",
        "apikey",
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
# A value ends at a URL delimiter, or at a quote or bracket of surrounding JSON or HTML.
_SECRET_PARAMETERS = re.compile(
    r"(?i)[?&](?:api[-_]?key|key|token|access_token|auth|password|secret|sig|signature)="
    r"(?P<secret>(?:[^&#\s\"'<>\\]|\\/)+)"
)
_USERINFO = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{0,20}://(?P<secret>[^/?#@\s\"'<>\\]*@)")
# Keys in the form that vendors print in their errors, and credentials after "Bearer". A word
# without a digit after "Bearer" is probably prose.
_KEY = re.compile(r"\b(?P<secret>(?:sk|pk|rk|hf|gsk|xai)[-_][A-Za-z0-9_*-]{6,})")
_BEARER = re.compile(
    r"(?i)\b(?:bearer|basic)\s+(?P<secret>(?=[A-Za-z._~+/-]*[0-9=])[A-Za-z0-9._~+/=-]{6,})"
)
_FORMS = (_KEY, _BEARER, _SECRET_PARAMETERS)

# Shorter secrets occur in ordinary text by chance; redacting them would only garble a report.
_SHORTEST_SECRET = 6


def redact_url(url: str) -> str:
    """Return ``url`` without user information, and with values of secret parameters redacted."""
    return _hidden(_SECRET_PARAMETERS, _hidden(_USERINFO, url, by=""))


def redact_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return ``headers`` with the values of those that carry secrets redacted."""
    return tuple(
        (name, HIDDEN if name.lower() in _SECRET_HEADERS else value) for name, value in headers
    )


def secrets_of(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return secret values in request headers, with and without their scheme."""
    found: list[str] = []
    for name, value in headers:
        if name.lower() in _SECRET_HEADERS:
            found += [value, value.rpartition(" ")[2]]
    return tuple(one for one in found if len(one) >= _SHORTEST_SECRET)


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with secrets redacted.

    Redacts the given ``secrets`` in any form in which JSON or a URL may escape them, and everything
    that has the form of a secret.
    """
    for secret in _longest_first(secrets):
        text = _pattern_of(secret).sub(HIDDEN, text)
    for form in _FORMS:
        text = _hidden(form, text)
    return _hidden(_USERINFO, text, by="")


def redact_value(value: object, secrets: tuple[str, ...]) -> object:
    """Return a JSON value with every string in it redacted, before escaping can hide a secret."""
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, Mapping):
        items = value.items()
        return {redact_value(key, secrets): redact_value(item, secrets) for key, item in items}
    if isinstance(value, list | tuple):
        return [redact_value(item, secrets) for item in value]
    return value


def redact_body(reads: Sequence[bytes], secrets: Iterable[str] = ()) -> list[bytes]:
    """Return the reads of a body with every secret overwritten by asterisks (digits by ones).

    Sizes stay the same, so the analysis of a redacted record gives the same result. A secret that
    spans several reads is redacted, too.
    """
    body = bytearray(b"".join(reads))
    text = body.decode("latin-1")  # One character per byte; every byte is valid.
    patterns = [_pattern_of(secret, coded=True) for secret in _longest_first(secrets)]
    for pattern in (*patterns, *_FORMS, _USERINFO):
        for match in pattern.finditer(text):
            start, end = match.span("secret")
            mark = b"1" if match["secret"].isdigit() else b"*"  # JSON does not allow 00.
            body[start:end] = mark * (end - start)
    out, at = [], 0
    for read in reads:
        out.append(bytes(body[at : at + len(read)]))
        at += len(read)
    return out


def _hidden(pattern: re.Pattern[str], text: str, *, by: str = HIDDEN) -> str:
    def replace(match: re.Match[str]) -> str:
        start, end = (at - match.start() for at in match.span("secret"))
        return match[0][:start] + by + match[0][end:]

    return pattern.sub(replace, text)


def _longest_first(secrets: Iterable[str]) -> list[str]:
    # The empty string would match everywhere.
    return sorted({one for one in secrets if one}, key=lambda one: (-len(one), one))


@lru_cache(maxsize=64)
def _pattern_of(secret: str, *, coded: bool = False) -> re.Pattern[str]:
    """Return a pattern that matches ``secret`` with any character escaped as in JSON or a URL.

    Args:
        coded: for text with one character per byte of UTF-8.
    """
    return re.compile("(?P<secret>" + "".join(_any_form(one, coded) for one in secret) + ")")


def _any_form(character: str, coded: bool) -> str:
    octets = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    plain = octets.decode("latin-1") if coded else character
    forms = [re.escape(plain)]
    forms.append("".join(rf"\\u(?i:{units[i : i + 4]})" for i in range(0, len(units), 4)))
    forms.append("".join(f"%(?i:{octet:02x})" for octet in octets))
    if character in '/"\\':
        forms.insert(0, re.escape(f"\\{character}"))
    return f"(?:{'|'.join(forms)})"
