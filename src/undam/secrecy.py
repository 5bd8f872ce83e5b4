"""Recognition of secrets, and their redaction in everything that is printed, logged or recorded.

This module is the only definition. Redirects, records, jobs of load tests, logs and pages use it.

A header or parameter is secret if its name has a word such as *token*, *key*, *secret*, *password*
or *auth*, even if no standard defines it, unless the name is known to be harmless. A value is
secret, whatever its name is, if it has the form of a key or of credentials.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from undam.json_values import encodable

HIDDEN = "[redacted]"

# Words that mark a name as that of a secret. "token" is one of them, but "tokens" is usually a
# count.
_WORDS = (
    "auth|authentication|authorization|authenticate|bearer|cookie2?|credentials?|creds?|jwt|key|otp"
    "|dpop|pass|passcode|passphrase|passwd|password|pw|pwd|secrets?|session|sessionid|sid|sig|signature|sso"
    "|token"
)
# Endings of secret names that are written as one word, such as "apikey" and "accesstoken".
_ENDINGS = "apikey|authkey|accesskey|secretkey|sessionkey|token|secret|password|passwd"
_WORD = re.compile(rf"(?:{_WORDS}|\w*(?:{_ENDINGS}))\Z")
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^A-Za-z0-9]+")
# Names that contain one of these words, but whose values are public.
_HARMLESS = frozenset({
    "access-control-allow-credentials", "cache-key", "content-key", "idempotency-key",
    "partition-key", "sec-websocket-key", "sort-key", "surrogate-key", "x-cache-key",
    "x-idempotency-key", "x-surrogate-key",
})  # fmt: skip
# Final words of names whose values are numbers, such as X-Token-Count.
_NUMBERS = frozenset({"count", "length", "limit", "rate", "remaining", "reset", "usage"})
# The parameter "code" of an OAuth redirect is a secret. Longer names that contain "code" usually
# denote error or country codes.
_AUTHORIZATION_CODE = "code"

# A parameter value ends at a URL delimiter, or at a quote or bracket of the surrounding JSON or
# HTML. The words in the pattern only exclude most parameters quickly; `is_secret_name` decides.
_PARAMETER = re.compile(
    r"(?:[?&#;]|\\u0026)(?P<name>(?=[\w.~\[-]{0,60}(?i:auth|bearer|code|cookie|cred|jwt|key|otp|pass|pwd|secret"
    r"|session|si[dg]|sso|token))[\w.~\[\]-]{1,64})=(?P<secret>(?:[^&#\s\"'<>\\]|\\/)+)"
)
_USERINFO = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{0,20}://(?P<secret>[^/?#@\s\"'<>\\]*@)")
# API keys in the formats that vendors use, and credentials after "Bearer". If the word after
# "Bearer" contains no digit and is shorter than 24 letters, it is probably prose.
_KEY = re.compile(
    r"\b(?P<secret>(?:sk|gsk|xai)[-_][A-Za-z0-9_*-]{6,}"
    r"|(?:pk|rk|hf)[-_](?=[A-Za-z_-]*[0-9*]|[A-Za-z]{20})[A-Za-z0-9_*-]{6,}"
    r"|(?:(?:gh[oprsu]|github_pat|npm|r8|fw|tgp|lsv2|dop|e2b)_|(?:glpat|xox[a-z]|xapp|nvapi|pplx|csk"
    r"|tvly|pa|ak)-|hvs\.|ya29\.|dapi|AIza)(?=[A-Za-z_.-]*[0-9])[A-Za-z0-9_.-]{15,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}\b|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?P<secret>[A-Za-z0-9+/=\s\\]{10,})"
)
_BEARER = re.compile(
    r"(?i)\b(?:bearer|basic):?\s+"
    r"(?P<secret>(?=[A-Za-z._~+/-]*[0-9=]|[A-Za-z._~+/-]{24})[A-Za-z0-9._~+/=-]{6,})"
)
# A field whose name is certainly that of a secret, in a header, in JSON or in an assignment. Other
# names, such as "token" and "key", are often those of harmless fields.
_FIELD = re.compile(
    r"(?i)\b(?:(?:x[-_])?api[-_]?key|(?:access|auth|refresh|session)[-_]?token|client[-_]?secret"
    r"|(?:secret|private|access)[-_]?key|password|passwd|passphrase|authorization|(?:set-)?cookie)"
    r"\\?[\"']?\s?[:=]\s?\\?[\"']?(?:[a-z]{3,10}\s)?"
    r"(?P<secret>(?=[^\s\"',;&\\]*[0-9]|[^\s\"',;&\\]{24})[^\s\"',;&\\<>()\[\]{}]{6,})"
)
_FORMS = (_KEY, _PRIVATE_KEY, _BEARER, _FIELD, _PARAMETER)

# A shorter secret can occur in ordinary text by chance, and its redaction would garble the report.
_SHORTEST_SECRET = 6
# This placeholder occurs in undam's own hints and is not a password.
_EXAMPLE = "http://USER:PASSWORD@"


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Return whether a header, parameter or field with this name contains a secret."""
    words = _SEPARATOR.sub("-", _CAMEL_CASE.sub("-", name)).strip("-").lower()
    if name.lower() in _HARMLESS or words in _HARMLESS or words.rpartition("-")[2] in _NUMBERS:
        return False
    return words == _AUTHORIZATION_CODE or any(
        _WORD.match(word) for word in (*words.split("-"), name.lower())
    )


def is_secret_header(name: str, value: str) -> bool:
    """Return whether the name of a header, or the form of its value, indicates a secret."""
    return is_secret_name(name) or _USERINFO.search(value) is not None or _has_form(value)


def redact_url(url: str) -> str:
    """Return ``url`` without user information, and with secret parameter values redacted."""
    return _hidden(_PARAMETER, _hidden(_USERINFO, url, by=""))


def redact_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return ``headers`` with secret values redacted."""
    return tuple(
        (name, HIDDEN if is_secret_name(name) else redact_text(value)) for name, value in headers
    )


def secrets_of(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the secrets in the given request headers, longest first."""
    return secrets_in(headers, ())


def secrets_in(headers: Iterable[tuple[str, str]], urls: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in the given request headers and URLs, longest first.

    Args:
        urls: URLs of hops and proxies, with their user information.
    """
    found: list[str] = []
    for name, value in headers:
        if is_secret_header(name, value):
            found += _of_value(value)
    for url in urls:
        found += _of_url(url)
    # Servers often decode headers as Latin-1 before they quote them.
    found += [_as_latin_1(one) for one in found if not one.isascii()]
    return tuple(_longest_first(one for one in found if len(one) >= _SHORTEST_SECRET))


def _as_latin_1(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def names_secret(url: str) -> bool:
    """Return whether a URL contains credentials: user information, or a secret parameter."""
    split = urlsplit(url)
    parameters = parse_qsl(split.query)
    return "@" in split.netloc or any(is_secret_name(name) for name, _ in parameters)


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


def clean_text(text: str, secrets: Iterable[str]) -> str:
    """Redact the given secrets in a message, and any text that has the form of a secret."""
    return _EXAMPLE.join(redact_text(part, secrets) for part in text.split(_EXAMPLE))


def clean_error(error: Exception, secrets: Iterable[str]) -> None:
    """Redact an error message, which may quote a server or a URL."""
    error.args = (clean_text(str(error), secrets), *error.args[1:])


def redact_value(value: object, secrets: tuple[str, ...]) -> object:
    """Redact every string in a JSON value, before JSON escapes can hide a secret.

    The strings can be encoded as UTF-8, as the readers of records require.
    """
    if isinstance(value, str):
        return redact_text(encodable(value), secrets)
    if isinstance(value, Mapping):
        items = value.items()
        return {redact_value(key, secrets): redact_value(item, secrets) for key, item in items}
    if isinstance(value, list | tuple):
        return [redact_value(item, secrets) for item in value]
    return value


def redact_body(reads: Sequence[bytes], secrets: Iterable[str] = ()) -> list[bytes]:
    """Return a body's reads with its secrets overwritten by asterisks (numbers by ones).

    Sizes stay the same, so the analysis of a redacted record gives the same result. A secret that
    spans several reads is redacted, too.
    """
    body = bytearray(b"".join(reads))
    text = body.decode("latin-1")  # Latin-1 has one character per byte, and every byte is valid.
    patterns = [_pattern_of(secret, coded=True) for secret in _longest_first(secrets)]
    for pattern in (*patterns, *_FORMS, _USERINFO):
        for match in pattern.finditer(text):
            if not _is_secret(match):
                continue
            start, end = match.span("secret")
            # Asterisks or zeros could make a JSON number invalid.
            mark = b"1" if match["secret"].isdigit() else b"*"
            body[start:end] = mark * (end - start)
    out, at = [], 0
    for read in reads:
        out.append(bytes(body[at : at + len(read)]))
        at += len(read)
    return out


def _has_form(value: str) -> bool:
    return any(_is_secret(match) for form in _FORMS for match in form.finditer(value))


def _is_secret(match: re.Match[str]) -> bool:
    """Return whether a match is a secret; for a URL parameter, its name decides."""
    return match.re is not _PARAMETER or is_secret_name(match["name"])


def _of_value(value: str) -> list[str]:
    """Return the possible secrets in a header value: all of it, and its parts."""
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
    return found + [value for name, value in parse_qsl(split.query) if is_secret_name(name)]


def _of_userinfo(userinfo: str) -> list[str]:
    """Return the secrets in URL user information, including its form as Basic credentials."""
    if not userinfo:
        return []
    decoded = unquote(userinfo)
    name, colon, password = decoded.partition(":")
    pair = decoded if colon else f"{decoded}:"
    basic = base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode("ascii")
    return [userinfo, decoded, basic, password or name]


def _hidden(pattern: re.Pattern[str], text: str, *, by: str = HIDDEN) -> str:
    def replace(match: re.Match[str]) -> str:
        if not _is_secret(match):
            return match[0]
        start, end = (at - match.start() for at in match.span("secret"))
        return match[0][:start] + by + match[0][end:]

    return pattern.sub(replace, text)


def _longest_first(secrets: Iterable[str]) -> list[str]:
    # An empty secret would match everywhere, so it is left out.
    return sorted({one for one in secrets if one}, key=lambda one: (-len(one), one))


@lru_cache(maxsize=64)
def _pattern_of(secret: str, *, coded: bool = False) -> re.Pattern[str]:
    """Return a pattern for ``secret`` in which any character may be escaped as in JSON or a URL.

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
