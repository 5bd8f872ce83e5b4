"""Recognition of intermediaries by the fingerprints in a response."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from undam.intermediaries.claims import BODY, TLS_ISSUER, Sign
from undam.intermediaries.intermediary import Intermediary, Kind
from undam.intermediaries.registry import INTERMEDIARIES, intermediary
from undam.record import Head
from undam.versions import Version

# Fingerprints are short, so the rest of a longer value is ignored.
_VALUE_CHARS = 2048
_SHOWN_CHARS = 60
_UNKNOWN_SHOWN = 2
# Only this much of the body is searched, because filters and gateways add their fields to the first
# events.
_BODY_CHARS = 32_768
# RFC 9110 does not limit the length of Via, but a real path has only a few hops.
_VIA_ELEMENTS = 64

_OUTERMOST: dict[Kind, int] = {
    "cdn": 0, "cloud": 1, "tunnel": 1, "gateway": 2, "proxy": 2, "inspector": 2, "filter": 2,
    "framework": 3, "server": 3, "client": 4,
}  # fmt: skip


def recognise(head: Head, *, tls_issuer: str | None = None, body: bytes = b"") -> tuple[str, ...]:
    """Return the names of the intermediaries whose fingerprints are in a response, outermost first.

    Via gives the order of the intermediaries in it (RFC 9110, 7.6.3: each appends itself). For the
    others, the assumed order is CDN, cloud edge, proxy, framework. Of two of the same kind, the one
    in the Server header comes first, because it replaced the value of the other.

    An origin's own name (``Server: uvicorn``) and intermediaries without fingerprints are not
    reported, so an empty result does not mean that there is no intermediary.

    Args:
        tls_issuer: issuer of the server's certificate, which identifies an inspecting proxy.
        body: the beginning of the body, which may contain fields of a content filter.
    """
    seen: dict[str, bool] = {}
    by_via: list[str] = []
    for header, value in _fields(head, tls_issuer, body):
        for sign, pattern, name in _signs_of(header):
            if not pattern.search(value):
                continue
            seen[name] = seen.get(name, False) or sign.certain
            if header == "via" and name not in by_via:
                by_via.append(name)
    found = [intermediary(name) for name in seen]
    inside = {outer.built_on for outer in found}
    kept = [known for known in found if seen[known.name] or known.name not in inside]
    return _in_order(kept, by_via)


def signatures_of(
    head: Head, *, tls_issuer: str | None = None, body: bytes = b""
) -> dict[str, str]:
    """Return the first fingerprint of each intermediary by name, as a clause for a message."""
    found: dict[str, str] = {}
    for header, value in _fields(head, tls_issuer, body):
        for _, pattern, name in _signs_of(header):
            match = pattern.search(value)
            if match is None or name in found:
                continue
            if header == TLS_ISSUER:
                text = f"it issued the certificate ({value[:_SHOWN_CHARS]})"
            elif header == BODY:
                text = f"the events contain {match[0][:_SHOWN_CHARS].strip(': ')}"
            else:
                title = "-".join(part.capitalize() for part in header.split("-"))
                text = f"it signed the response ({title}: {value[:_SHOWN_CHARS]})"
            found[name] = text
    return found


def unknown_via(head: Head) -> tuple[str, ...]:
    """Return the elements of Via that belong to no known intermediary, outermost first."""
    values = [value for header, value in _fields(head) if header == "via" and value]
    signs = _signs_of("via")
    unknown = [value for value in values if not any(p.search(value) for _, p, _ in signs)]
    return tuple(dict.fromkeys(value[:_SHOWN_CHARS] for value in unknown))[:_UNKNOWN_SHOWN]


def versions_of(head: Head) -> dict[str, Version]:
    """Return the versions in the fingerprints of ``head``, by intermediary name."""
    found: dict[str, Version] = {}
    for header, value in _fields(head):
        for _, pattern, name in _signs_of(header):
            match = pattern.search(value)
            text = match.groupdict().get("version") if match else None
            version = Version.parse(text) if text else None
            if version is not None:
                found.setdefault(name, version)
    return found


def _fields(
    head: Head, tls_issuer: str | None = None, body: bytes = b""
) -> Iterator[tuple[str, str]]:
    """Yield (lower-case header, value); the values of the outermost hop come first."""
    if tls_issuer:
        yield TLS_ISSUER, tls_issuer[:_VALUE_CHARS]
    if body:
        yield BODY, body[:_BODY_CHARS].decode("latin-1")
    for value in reversed(head.all("server")):
        yield "server", value[:_VALUE_CHARS]
    elements: list[str] = []
    for value in reversed(head.all("via")):
        # The last element of Via belongs to the outermost hop.
        elements += reversed(value[-_VALUE_CHARS:].split(","))
        if len(elements) >= _VIA_ELEMENTS:
            break
    for element in elements[:_VIA_ELEMENTS]:
        yield "via", element.strip()
    for name, value in reversed(head.headers):
        header = name.lower()
        if header not in ("server", "via"):
            yield header, value[:_VALUE_CHARS]


@cache
def _sign_table() -> dict[str, tuple[tuple[Sign, re.Pattern[str], str], ...]]:
    """Return all fingerprints by header; patterns are compiled on first use, not on import."""
    table: dict[str, tuple[tuple[Sign, re.Pattern[str], str], ...]] = {}
    for known in INTERMEDIARIES:
        for sign in known.signs:
            entry = (sign, re.compile(sign.pattern, re.IGNORECASE), known.name)
            table[sign.header] = (*table.get(sign.header, ()), entry)
    return table


def _signs_of(header: str) -> tuple[tuple[Sign, re.Pattern[str], str], ...]:
    return _sign_table().get(header, ())


def _in_order(kept: list[Intermediary], by_via: list[str]) -> tuple[str, ...]:
    """Sort by usual position, then apply the order of Via to the names that Via contains."""
    names = [known.name for known in sorted(kept, key=lambda known: _OUTERMOST[known.kind])]
    from_via = iter([name for name in by_via if name in names])
    return tuple(next(from_via) if name in by_via else name for name in names)
