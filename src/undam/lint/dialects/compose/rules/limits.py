"""Rules CMP401-CMP402: limits on streams in the settings of a service."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.compose.routes import ServiceRoute
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree_edit import replace_value

STOP_GRACE = ConfigRule(
    code="CMP401",
    slug="short-stop-grace-period",
    severity=Severity.WARNING,
    message=(
        "stop_grace_period {limit}: each deployment cuts the streams that are still open after "
        "this time"
    ),
    safety=Safety.SAFE,
    what="""
        When a container is replaced, Docker sends SIGTERM and, after `stop_grace_period` (10 s by
        default), SIGKILL.
    """,
    why="""
        After SIGTERM, a server has at most `stop_grace_period` to finish its streams. Each
        deployment cuts answers that take longer than `stop_grace_period`.
    """,
    detection="""
        The image or the name of a service shows that the service streams, and its
        `stop_grace_period` is below the default. The default of 10 s is not reported, although it
        is too short for long answers.
    """,
    measured="No; the rule relies on documentation.",
    fix="""
        Set `stop_grace_period` to the usual duration of an answer. A server without open streams
        stops before `stop_grace_period` has passed.

            stop_grace_period: 2m
    """,
    source="compose-spec/compose-spec, 05-services.md, stop_grace_period; accessed 2026-11",
)

CLIENT_TIMEOUT = ConfigRule(
    code="CMP402",
    slug="application-total-timeout",
    severity=Severity.WARNING,
    message="{name}={limit:g}: {program} cuts each model answer after {limit:g} s",
    safety=Safety.UNSAFE,
    what="""
        Open WebUI's `AIOHTTP_CLIENT_TIMEOUT` and LiteLLM's `REQUEST_TIMEOUT` set the maximum
        duration of a request to the model, in seconds. Without these variables, Open WebUI has no
        limit, and LiteLLM has a limit of 6000 s.
    """,
    why="A long answer is cut off while tokens are still arriving; heartbeats do not help.",
    detection="""
        A service runs the Open WebUI or LiteLLM image and sets the corresponding variable to less
        than one hour. A limit of up to one minute is reported as an error, and a longer limit as a
        warning.
    """,
    measured="No; the rule relies on documentation.",
    fix="""
        Remove the variable, or set it to one hour.

            AIOHTTP_CLIENT_TIMEOUT: 3600
    """,
    source=(
        "open-webui/open-webui, env.py, AIOHTTP_CLIENT_TIMEOUT; docs.litellm.ai, proxy/timeout "
        "(2026-10-10); accessed 2026-11"
    ),
)

RULES = (STOP_GRACE, CLIENT_TIMEOUT)

_DURATION = re.compile(r"(?:\d{1,6}(?:\.\d{1,6})?(?:us|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DEFAULT_GRACE_S = 10.0
_VARIABLES = {"open-webui": "AIOHTTP_CLIENT_TIMEOUT", "litellm": "REQUEST_TIMEOUT"}


def find(route: ServiceRoute, source: Source) -> Iterator[Diagnostic]:
    """Find service settings with limits that cut off streams."""
    entry = route.service.node.entry("stop_grace_period")
    limit_s = _seconds(entry.value.text) if entry is not None else None
    if entry is not None and limit_s is not None and limit_s < _DEFAULT_GRACE_S:
        edit = replace_value(source, entry.value, "2m")
        span = entry.key.start, entry.value.end
        edits = (edit,) if edit is not None else ()
        yield diagnostic_at(STOP_GRACE, source, span, *edits, limit=entry.value.text)
    yield from _find_variable(route, source)


def _find_variable(route: ServiceRoute, source: Source) -> Iterator[Diagnostic]:
    name = _VARIABLES.get(route.profile.name)
    for one in route.service.settings(source, "environment"):
        text = one.value.text
        if one.key.text != name or not (text.isascii() and text.isdecimal() and len(text) < 9):
            continue
        severity = total_limit_severity(float(text))
        if severity is not None:
            edits = [Edit(*one.value.span, "3600")] if one.is_exact else []
            yield diagnostic_at(
                CLIENT_TIMEOUT,
                source,
                one.value.span,
                *edits,
                severity=severity,
                name=name,
                limit=float(text),
                program=route.profile.title,
            )


def _seconds(text: str) -> float | None:
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
