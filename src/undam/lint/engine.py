"""Linting and fixing of texts in any dialect, without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from undam.lint.diagnostics import Diagnostic, Safety, with_unread_part
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, no_includes
from undam.lint.evidence.assessment import AssessedRoute, RouteOutcome
from undam.lint.settings import Settings
from undam.lint.suppressions import Suppressions
from undam.rules import Severity
from undam.textfiles.edits import apply_edits, choose_edits
from undam.textfiles.source import Source
from undam.textfiles.templates import OPAQUE, with_placeholders
from undam.versions import EVERY_VERSION, Version

# A fix can reveal another diagnostic, and overlapping fixes are applied in separate rounds. This
# limit stops two fixes that keep undoing each other.
_MAX_ROUNDS = 8

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def lint_source(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    open_include: IncludeOpener = no_includes,
) -> LintResult:
    """Return the diagnostics that are enabled by the settings and not suppressed by a comment.

    Diagnostics of ``source`` come first, then those of each included file, in text order.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    result = dialect.lint(source, settings, open_include)
    suppressions = Suppressions((*result.included, source))
    kept = [
        one
        for one in result.diagnostics
        if settings.is_enabled(one.rule.code, one.rule.slug, one.path)
        and not suppressions.covers(one)
    ]
    held = _for_version(kept, dialect, settings.target(dialect.name))
    unread = () if result.knows_scopes else (*result.unopened, *_holes(source))
    certain = [_limited_by_unread(one, unread) for one in held]
    reported = _merge_uncertain_routes(map(_without_placeholders, certain))
    reported.sort(key=lambda one: (one.path != source.path, one.path, one.line, one.column))
    sources = {one.path: one for one in (*result.included, source)}
    return _as_written(replace(result, diagnostics=tuple(reported)), sources)


def _as_written(result: LintResult, sources: Mapping[str, Source]) -> LintResult:
    """Return a result whose texts show template placeholders as they are in the files."""

    def shown(text: str, path: str) -> str:
        return with_placeholders(text, sources[path]) if path in sources else text

    def shown_route(one: AssessedRoute) -> AssessedRoute:
        evidence = tuple(shown(phrase, one.path) for phrase in one.assessment.evidence)
        return replace(
            one,
            name=shown(one.name, one.path),
            upstream=shown(one.upstream, one.path),
            hint=shown(one.hint, one.path),
            assessment=replace(one.assessment, evidence=evidence),
        )

    return replace(
        result,
        diagnostics=tuple(
            replace(
                one,
                message=shown(one.message, one.path),
                route=shown_route(one.route) if one.route else None,
            )
            for one in result.diagnostics
        ),
        routes=tuple(map(shown_route, result.routes)),
        unread=tuple(replace(one, what=shown(one.what, one.path)) for one in result.unread),
    )


def _for_version(
    diagnostics: Iterable[Diagnostic], dialect: Dialect, version: Version | None
) -> Iterator[Diagnostic]:
    """Drop diagnostics that do not apply to the version; qualify those that may not apply."""
    for one in diagnostics:
        if one.affected == EVERY_VERSION or (version and one.affected.contains(version)):
            yield one
        elif version is None or one.affected.overlaps(version):
            severity = Severity.WARNING if one.severity is Severity.ERROR else one.severity
            condition = f"{dialect.title} {one.affected}"
            message = f"{one.message} (holds for {condition}; --target {dialect.name}=VERSION)"
            yield replace(one, severity=severity, message=message)


def _holes(source: Source) -> Iterator[str]:
    for start, end in source.holes:
        yield f"{source.written[start:end]} at line {source.position(start)[0]}"


def _limited_by_unread(one: Diagnostic, unread: tuple[str, ...]) -> Diagnostic:
    """Downgrade a diagnostic whose fix only inserts lines that an unread part may contain."""
    if unread and one.edits and all(edit.start == edit.end for edit in one.edits):
        return with_unread_part(one, unread[0])
    return one


def _without_placeholders(one: Diagnostic) -> Diagnostic:
    """Remove a fix that would insert a template placeholder as literal text."""
    return replace(one, edits=()) if any(OPAQUE in edit.text for edit in one.edits) else one


def _merge_uncertain_routes(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Merge the diagnostics for each route that may stream into one remark about the worst one."""
    reported: list[Diagnostic] = []
    uncertain: dict[AssessedRoute, list[Diagnostic]] = {}
    for one in diagnostics:
        if one.route is None or one.outcome is RouteOutcome.STREAMS:
            reported.append(one)
        else:
            uncertain.setdefault(one.route, []).append(one)
    for route, found in uncertain.items():
        worst = min(found, key=lambda one: _RANK[one.severity])
        codes = sorted({one.rule.code for one in found} - {worst.rule.code})
        more = f"; also {', '.join(codes)}" if codes else ""
        message = (
            f"if {route.name} streams: {worst.message}{more}; state it with --stream {route.hint}"
        )
        remark = replace(worst, severity=Severity.INFO, message=message, edits=())
        reported.append(remark)
    return reported


def fix_source(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    *,
    unsafe: bool = False,
    open_include: IncludeOpener = no_includes,
) -> str:
    """Return the text of ``source`` after applying every possible fix.

    Args:
        unsafe: also apply fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    changed = fix_sources(dialect, source, settings, unsafe=unsafe, open_include=open_include)
    return changed.get(source.path, source.text)


def fix_sources(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    *,
    unsafe: bool = False,
    open_include: IncludeOpener = no_includes,
) -> dict[str, str]:
    """Return the new text of each file that the fixes change, keyed by path.

    The fixes can change ``source`` and the files that it includes.

    Args:
        unsafe: also apply fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    changed: dict[str, str] = {}

    def current(one: Source) -> Source:
        return one.with_written(changed[one.path]) if one.path in changed else one

    def open_current(pattern: str) -> list[Source]:
        opened = open_include(pattern)
        return type(opened)(map(current, opened))

    for _ in range(_MAX_ROUNDS):
        root = current(source)
        result = lint_source(dialect, root, settings, open_current)
        files = {one.path: one for one in (*result.included, root)}
        before = dict(changed)
        for path, fixable in _fixable(result.diagnostics, unsafe=unsafe).items():
            edits = choose_edits(one.edits for one in fixable)
            text = apply_edits(files[path].written, edits)
            if text != files[path].written:
                changed[path] = text
        if changed == before:
            break
    return changed


def _fixable(diagnostics: tuple[Diagnostic, ...], *, unsafe: bool) -> dict[str, list[Diagnostic]]:
    """Return the diagnostics whose fixes may be applied, grouped by path."""
    allowed = {Safety.SAFE, Safety.UNSAFE} if unsafe else {Safety.SAFE}
    fixable: dict[str, list[Diagnostic]] = {}
    for one in diagnostics:
        if one.rule.safety in allowed and one.edits:
            fixable.setdefault(one.path, []).append(one)
    return fixable
