"""Rule APA104: a cache that stores streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.apache.parser import ApacheScope
from undam.lint.dialects.apache.routes import MAX_COMPARED, ApacheRoute, settings_of
from undam.rules import Severity
from undam.textfiles.edits import insert_line_after

CACHED = ConfigRule(
    code="APA104",
    slug="cache-on-stream",
    severity=Severity.WARNING,
    message="mod_cache may store the streams of {path}",
    safety=Safety.SAFE,
    what="""
        mod_cache stores a complete response to a GET request if the response headers set a
        freshness lifetime. mod_cache then serves later requests for the same URL from the cache.
    """,
    why="""
        A cached stream is sent all at once. Users also receive the answer to another user's
        request.
    """,
    detection="""
        `CacheEnable` covers a streaming route, and no `CacheDisable` excludes the route. httpd
        searches the cache before it processes a <Location>. A CacheDisable inside a <Location>
        therefore does not affect a CacheEnable outside that section.
    """,
    measured="""
        httpd 2.4.71 with mod_cache_disk and a stream with `Cache-Control: max-age=60`: the first
        client received the events one by one. The second client received the whole stream at once.
        `CacheDisable on` in the <Location> had no effect. With `CacheDisable "/v1/"`, every client
        received the events one by one.
    """,
    fix="""
        Disable the cache for the streaming route. `undam fix` does not edit a CacheEnable inside a
        <Location>.

            CacheDisable "/v1/"
    """,
    source="measured on loopback with httpd 2.4.71; httpd.apache.org, mod_cache",
)

RULES = (CACHED,)


def find(route: ApacheRoute, scopes: list[ApacheScope]) -> Iterator[Diagnostic]:
    """Find CacheEnable directives that apply to a route."""
    prefix = route.prefix
    off = settings_of(scopes, "cachedisable")[-MAX_COMPARED:]
    if any(prefix.startswith(one.texts[0]) for one in off):
        return
    is_off_here = any(one.texts[0].lower() == "on" for one in off)
    for one in settings_of(scopes, "cacheenable")[-MAX_COMPARED:]:
        covered = one.texts[1] if len(one.texts) > 1 else ""
        inside = one.scope.kind.startswith("location")
        if inside and is_off_here:
            continue
        if not covered.startswith("/") or prefix.startswith(covered):
            text = f'CacheDisable "{prefix}"'
            indent = one.source.indent_at(one.start)
            edits = [] if inside else [insert_line_after(one.source, one.end - 1, text, indent)]
            yield diagnostic_at(CACHED, one.source, one.span, *edits, path=route.path)
