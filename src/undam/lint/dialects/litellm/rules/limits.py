"""Rules LIT401-LIT402: limits on the whole response and on the time to the first chunk."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.litellm.parser import seconds_of
from undam.lint.dialects.litellm.routes import LiteLlmModel, total_limits
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node
from undam.textfiles.tree_edit import replace_value

TIMEOUT = ConfigRule(
    code="LIT401",
    slug="total-timeout",
    severity=Severity.WARNING,
    message="{name} {limit:g} cuts off each answer that takes longer than {limit:g} s",
    safety=Safety.UNSAFE,
    what="""
        `timeout` of a model or of the router limits the duration of the call. If neither is set,
        `request_timeout` applies. LiteLLM's default for this limit is 6000 s. For /v1/messages and
        /v1/responses, `request_timeout` limits the wait for each chunk instead.
    """,
    why="A long answer is cut off while tokens are still arriving, even if heartbeats are sent.",
    detection="""
        The limit on the whole call is below one hour. A limit of at most one minute is an error; a
        higher limit is a warning. A model's `timeout` takes precedence over the router's `timeout`
        and over `request_timeout`.
    """,
    measured="The limit is documented, but was not measured.",
    fix="""
        Raise the limit, and use `stream_timeout` to limit the wait for the first chunk.

            timeout: 3600
            stream_timeout: 300
    """,
    source="docs.litellm.ai, proxy/timeout (2026-10-10); LiteLLM 1.110.2; accessed 2026-11",
)

FIRST_CHUNK = ConfigRule(
    code="LIT402",
    slug="short-stream-timeout",
    severity=Severity.WARNING,
    message=(
        "stream_timeout {limit:g} aborts a stream whose first chunk takes longer than {limit:g} s"
    ),
    safety=Safety.UNSAFE,
    what="`stream_timeout` limits the wait for the first chunk of a stream.",
    why="""
        A model may need longer than the limit for its first token, because the request is queued,
        the prompt is long, or the model is reasoning. The request then fails, or is retried on
        another deployment, which processes the whole prompt again.
    """,
    detection="The `stream_timeout` of a model, or of the router, is below one minute.",
    measured="The limit is documented, but was not measured.",
    fix="""
        Raise `stream_timeout`, unless a retry on another deployment is intended.

            stream_timeout: 300
    """,
    source="docs.litellm.ai, proxy/timeout (2026-10-10); accessed 2026-11",
)

RULES = (TIMEOUT, FIRST_CHUNK)

# Model servers send the first token within a minute, so a longer limit does no harm.
_SLOW_FIRST_CHUNK_S = 60.0


def find(model: LiteLlmModel, source: Source) -> Iterator[Diagnostic]:
    """Find limits in the settings of one model."""
    if model.parameters is not None:
        yield from _find_total(model.parameters.entry("timeout"), source)
        yield from _find_first(model.parameters.entry("stream_timeout"), source)


def find_global(root: Node, models: list[LiteLlmModel], source: Source) -> Iterator[Diagnostic]:
    """Find limits that apply to all models without a limit of their own."""
    own = [one.parameters is not None and bool(one.parameters.entry("timeout")) for one in models]
    if not all(own):
        for entry in list(total_limits(root))[:1]:
            yield from _find_total(entry, source)
    router = root.get("router_settings")
    if router is not None:
        yield from _find_first(router.entry("stream_timeout"), source)


def _find_total(entry: Entry | None, source: Source) -> Iterator[Diagnostic]:
    limit = seconds_of(entry)
    severity = total_limit_severity(limit) if limit is not None else None
    if entry is not None and severity is not None:
        edit = replace_value(source, entry.value, "3600")
        yield diagnostic_at(
            TIMEOUT,
            source,
            (entry.key.start, entry.value.end),
            *((edit,) if edit is not None else ()),
            severity=severity,
            name=entry.key.text,
            limit=limit,
        )


def _find_first(entry: Entry | None, source: Source) -> Iterator[Diagnostic]:
    limit = seconds_of(entry)
    if entry is not None and limit is not None and 0 < limit < _SLOW_FIRST_CHUNK_S:
        edit = replace_value(source, entry.value, "300")
        span = entry.key.start, entry.value.end
        edits = (edit,) if edit is not None else ()
        yield diagnostic_at(FIRST_CHUNK, source, span, *edits, limit=limit)
