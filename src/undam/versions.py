"""Version numbers, version ranges, and releases in which a default changed.

`undam.intermediaries` and `undam.lint` both use this module. A fact such as "nginx speaks HTTP/1.1
to its upstream since 1.29.7" therefore has the same boundary in `explain`, `check` and `lint`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

# Versions are short. The limit bounds the cost of parsing a hostile `Server` header.
_MAX_CHARS = 64
_NUMBERS = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Release, or series of releases: ``1.29`` includes every ``1.29.x``."""

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the first version in ``text`` (``v2.11``, ``nginx/1.22.1``, ``3.5-dev5``).

        Suffixes of packagers and pre-releases are ignored. Return ``None`` if there is no number.
        """
        found = _NUMBERS.search(text[:_MAX_CHARS])
        if found is None:
            return None
        return cls(tuple(int(part) for part in found.group().split(".")))

    def after(self) -> Version:
        """Return the first version after this release or series: ``1.30`` for ``1.29``."""
        return Version((*self.numbers[:-1], self.numbers[-1] + 1))

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Releases from ``since`` (inclusive) to ``until`` (exclusive); "" means no limit."""

    since: str = ""
    until: str = ""

    def contains(self, version: Version) -> bool:
        """Return whether all releases of ``version`` are within the range."""
        since, until = Version.parse(self.since), Version.parse(self.until)
        if since is not None and version < since:
            return False
        return until is None or version.after() <= until

    def overlaps(self, version: Version) -> bool:
        """Return whether at least one release of ``version`` is within the range."""
        since, until = Version.parse(self.since), Version.parse(self.until)
        return (since is None or since < version.after()) and (until is None or version < until)

    def __str__(self) -> str:
        if self.since and self.until:
            return f"from {self.since}, before {self.until}"
        if self.since:
            return f"from {self.since}"
        return f"before {self.until}" if self.until else "every version"


EVERY_VERSION = VersionRange()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultChange:
    """Release in which a program's default behaviour changed.

    Args:
        program: its name in `undam.intermediaries` and in the settings of lint.
        since: the first release with the new behaviour.
        what: the new behaviour, as a sentence.
        source: reference for the change.
    """

    program: str
    since: str
    what: str
    source: str

    @property
    def before(self) -> VersionRange:
        """Range of releases before the change."""
        return VersionRange(until=self.since)

    @property
    def onwards(self) -> VersionRange:
        """Range of releases with the change."""
        return VersionRange(since=self.since)


NGINX_UPSTREAM_HTTP2 = DefaultChange(
    program="nginx",
    since="1.29.4",
    what="`proxy_http_version 2` exists.",
    source="nginx.org, CHANGES 1.29.4",
)
NGINX_UPSTREAM_HTTP11 = DefaultChange(
    program="nginx",
    since="1.29.7",
    what="nginx speaks HTTP/1.1 to its upstream by default and keeps the connection open.",
    source="nginx.org, CHANGES 1.29.7; nginx/nginx commit 6bb27a631 (2026-03-24)",
)
HAPROXY_SSE_UNDELAYED = DefaultChange(
    program="haproxy",
    since="3.4.7",
    what="Event streams are sent without the delay of about 200 ms.",
    source="haproxy mailing list, announcement of 3.4.7 (2026-10-14); not measured",
)
CADDY_NO_BUFFER_RESPONSES = DefaultChange(
    program="caddy",
    since="2.8",
    what="`buffer_responses` is refused; `response_buffers SIZE` holds SIZE bytes.",
    source="caddyserver/caddy commit 9f97df227 (2024-04-22), first tag 2.8.0",
)
CADDY_ENCODE_FLUSHES = DefaultChange(
    program="caddy",
    since="2.9",
    what="`encode` flushes what it has compressed after each event.",
    source="caddyserver/caddy, modules/caddyhttp/encode of v2.9.1",
)
CADDY_HEAD_AT_ONCE = DefaultChange(
    program="caddy",
    since="2.11.7",
    what="`encode` sends the head of an event stream at once.",
    source="caddyserver/caddy#7905 (df44d6c38, 2026-07-31)",
)
LIGHTTPD_INCREMENTAL = DefaultChange(
    program="lighttpd",
    since="1.4.83",
    what="`Incremental: ?1` of the origin turns the buffering of the response off.",
    source="lighttpd commit 3d30de28 (2025-10-29), first tag 1.4.83",
)
TRAFFICSERVER_RECORDS_YAML = DefaultChange(
    program="trafficserver",
    since="10",
    what="Settings are read from records.yaml; records.config is gone.",
    source="apache/trafficserver 10.2, upgrading.en.rst",
)

CHANGES: tuple[DefaultChange, ...] = (
    NGINX_UPSTREAM_HTTP2,
    NGINX_UPSTREAM_HTTP11,
    HAPROXY_SSE_UNDELAYED,
    CADDY_NO_BUFFER_RESPONSES,
    CADDY_ENCODE_FLUSHES,
    CADDY_HEAD_AT_ONCE,
    LIGHTTPD_INCREMENTAL,
    TRAFFICSERVER_RECORDS_YAML,
)
"""All changes on which claims and lint rules depend."""
