"""Redaction of the secrets of a request in everything that is reported."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl, unquote, urlsplit

from undam.errors import UndamError
from undam.intermediaries import Suspect
from undam.record import redact_text, secrets_of
from undam.rules import Finding

# Shorter values occur in ordinary text by chance; redacting them would garble a report.
_SHORTEST = 6

_SECRET_HEADER = re.compile(r"(?i)auth|cookie|credential|key|passw|secret|session|signature|token")
_SECRET_PARAMETER = re.compile(
    r"(?i)(?:.*[-_.])?(?:api[-_]?key|key|token|auth|code|passw(?:or)?d|secret|sig|signature)"
)
# This placeholder occurs in hints of undam and is not a password.
_EXAMPLE = "http://USER:PASSWORD@"


def secrets_in(headers: Iterable[tuple[str, str]], urls: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in these request headers and URLs, longest first.

    Args:
        urls: URLs of hops and proxies, with their user information.
    """
    found: list[str] = []
    for name, value in headers:
        found += secrets_of([(name, value)])
        if _SECRET_HEADER.search(name):
            found += _of_value(value)
    for url in urls:
        found += _of_url(url)
    long_enough = {one for one in found if len(one) >= _SHORTEST}
    return tuple(sorted(long_enough, key=lambda one: (-len(one), one)))


def names_secret(url: str) -> bool:
    """Return whether a URL contains credentials: a user name, or a parameter with a key."""
    split = urlsplit(url)
    parameters = parse_qsl(split.query)
    return "@" in split.netloc or any(_SECRET_PARAMETER.fullmatch(name) for name, _ in parameters)


def clean_text(text: str, secrets: Iterable[str]) -> str:
    """Redact these secrets in ``text``, and anything else that has the form of a secret."""
    return _EXAMPLE.join(redact_text(part, secrets) for part in text.split(_EXAMPLE))


def clean_error(error: UndamError, secrets: Iterable[str]) -> None:
    """Redact the message of an error, which may quote a server or a URL."""
    error.args = (clean_text(str(error), secrets), *error.args[1:])


def clean_finding(found: Finding, secrets: Sequence[str]) -> Finding:
    """Return the finding with a redacted message and evidence."""
    evidence = {name: _clean_value(value, secrets) for name, value in found.evidence.items()}
    return replace(found, message=clean_text(found.message, secrets), evidence=evidence)


def clean_suspects(
    suspects: Mapping[str, tuple[Suspect, ...]], secrets: Sequence[str]
) -> dict[str, tuple[Suspect, ...]]:
    """Return the suspects with redacted evidence, which quotes the response."""
    return {
        hop: tuple(
            replace(one, evidence=tuple(clean_text(text, secrets) for text in one.evidence))
            for one in some
        )
        for hop, some in suspects.items()
    }


def _of_value(value: str) -> list[str]:
    """Return the secrets in a header value: the whole value, without its scheme, and its parts."""
    scheme, _, rest = value.strip().partition(" ")
    found = [value.strip(), rest.strip()]
    found += [pair.partition("=")[2].strip() for pair in value.split(";") if "=" in pair]
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error):
            found += _of_userinfo(base64.b64decode(rest, validate=True).decode("utf-8", "replace"))
    return found


def _of_url(url: str) -> list[str]:
    try:
        split = urlsplit(url if "://" in url else f"//{url}")
    except ValueError:
        return []
    found = _of_userinfo(split.netloc.rpartition("@")[0])
    for name, value in parse_qsl(split.query):
        if _SECRET_PARAMETER.fullmatch(name):
            found.append(value)
    return found


def _of_userinfo(userinfo: str) -> list[str]:
    """Return the password (or a lone user name), and the pair as Basic credentials."""
    if not userinfo:
        return []
    decoded = unquote(userinfo)
    name, colon, password = decoded.partition(":")
    pair = decoded if colon else f"{decoded}:"
    basic = base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode("ascii")
    return [userinfo, decoded, basic, password or name]


def _clean_value(value: object, secrets: Sequence[str]) -> object:
    if isinstance(value, str):
        return clean_text(value, secrets)
    if isinstance(value, Mapping):
        return {key: _clean_value(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_value(item, secrets) for item in value]
    return value
