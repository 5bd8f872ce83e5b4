"""Text report: each diagnostic with its line, carets under the offending text, and the fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from undam.cli.commands.lint.chain_output import chain_lines
from undam.cli.ui.numbers import plural
from undam.cli.ui.sanitize import one_line, sanitize
from undam.lint import Diagnostic, LintReport, RouteOutcome, Safety
from undam.lint.discovery.passed_over import NO_DIALECT, PassedOver
from undam.rules import Severity

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}

# A longer line is shortened to the part around the offending text.
_WIDTH = 100
_CONTEXT_BEFORE = 30
_TAB = "    "
_ELLIPSIS = "…"
_MARGIN = " " * 5


Piece = tuple[str, str]
"""Text without control characters, and its style."""


def print_report(report: LintReport, out: Console) -> None:
    """Print the diagnostics, the parts that were not read, and a summary of what was read."""
    from rich.text import Text  # noqa: PLC0415 (only when there is something to show)

    for one in report.diagnostics:
        pieces = _pieces(one, report)
        if out.is_terminal:
            # Print each diagnostic with one call, because each call of the console is expensive.
            out.print(Text.assemble(*pieces), end="")
        else:
            # Without styles, write directly, because the console is slow for large reports.
            out.file.write("".join(text for text, _ in pieces))
    for unread in report.unread:
        position = f"{unread.path}:{unread.line}"
        out.print(one_line(f"{position}: not read: {unread.what}"), style="dim")
    if report.diagnostics or report.unread:
        out.print()
    for line in chain_lines(report.chains):
        out.print(f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}", soft_wrap=True)
    for line in _coverage(report):
        out.print(one_line(line), style="dim")
    out.print(_summary(report))
    for file, restrictions in report.restrictions.items():
        text = f"settings of {file}: {restrictions} (other settings: --config FILE)"
        out.print(one_line(text), style="dim")


def _pieces(one: Diagnostic, report: LintReport) -> Iterator[Piece]:
    colour = COLOURS[one.severity]
    yield one_line(f"{one.path}:{one.line}:{one.column}"), "bold"
    yield f" {one.rule.code}", colour
    yield f" {one.rule.slug}: {one_line(one.message)}\n", ""
    line, before, width = _excerpt(report.source(one).line(one.line), one.column, one.length)
    yield f"{one.line:>5} | {line}\n{_MARGIN} | {' ' * before}", ""
    yield f"{'^' * width}\n", colour
    yield from _fix(one, report)


def _fix(one: Diagnostic, report: LintReport) -> Iterator[Piece]:
    lines = report.fix_lines(one)
    if not lines:
        yield f"{_MARGIN} = no automatic fix; see: undam explain {one.rule.code}\n", "dim"
        return
    kind = "fix, unsafe (undam fix --unsafe)" if one.rule.safety is Safety.UNSAFE else "fix"
    line, _ = report.source(one).position(min(edit.start for edit in one.edits))
    where = "" if abs(line - one.line) <= 1 else f", at line {line}"
    yield f"{_MARGIN} = {kind}{where}:\n", ""
    for sign, text in ((line[0], line[1:]) for line in lines):
        shown, _, _ = _excerpt(text, 1, 1)
        yield f"{_MARGIN} {sign} {shown}\n", "green" if sign == "+" else "red"


def _excerpt(line: str, column: int, length: int) -> tuple[str, int, int]:
    """Return the part of a source line that the report shows.

    Returns:
        The text, and the widths in cells of the text before the mark and of the marked text.
    """
    from rich.cells import cell_len  # noqa: PLC0415 (only when there is something to show)

    start = max(0, column - 1 - _CONTEXT_BEFORE) if len(line) > _WIDTH else 0
    end = start + _WIDTH
    before, marked, after = (
        sanitize(part.replace("\t", _TAB))
        for part in (
            line[start : column - 1],
            line[column - 1 : min(end, column - 1 + length)],
            line[column - 1 + length : end],
        )
    )
    before = _ELLIPSIS + before if start else before
    shown = f"{before}{marked}{after}{_ELLIPSIS if end < len(line) else ''}"
    return shown, cell_len(before), max(1, cell_len(marked))


def _coverage(report: LintReport) -> Iterator[str]:
    """Yield lines about the files read, the routes by outcome, and the files skipped."""
    if report.files:
        dialects = Counter(report.dialects[path].title for path in report.files)
        kinds = ", ".join(f"{number} {title}" for title, number in sorted(dialects.items()))
        streaming, maybe = report.count(RouteOutcome.STREAMS), report.count(RouteOutcome.MAYBE)
        unknown = report.count(RouteOutcome.UNKNOWN)
        yield (
            f"read {plural(len(report.files), 'file')} ({kinds}): "
            f"{plural(len(report.routes), 'route')}, {streaming} streaming, "
            f"{maybe} possibly streaming, {unknown} unknown"
        )
    by_kind: dict[tuple[str, bool], list[PassedOver]] = {}
    for one in report.passed_over:
        by_kind.setdefault((one.kind, one.reason == NO_DIALECT), []).append(one)
    for (kind, is_known), same in sorted(by_kind.items()):
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        what = f"{kind}, recognised but not read" if is_known else f"{kind}, {same[0].reason}"
        yield f"passed over: {same[0].path}{more} ({what})"
    if report.routes and not report.count(RouteOutcome.STREAMS):
        yield "no route is known to stream; name those that do with --stream PREFIX"


def _summary(report: LintReport) -> str:
    if not report.files:
        return (
            "no configuration of a known dialect" if not report.problems else "nothing was linted"
        )
    read = plural(len(report.files), "file")
    if not report.diagnostics:
        is_clean = report.count(RouteOutcome.STREAMS) > 0
        return f"clean: no findings in {read}" if is_clean else f"no findings in {read}"
    kinds = Counter(one.severity for one in report.diagnostics)
    severities = ", ".join(plural(kinds[kind], kind.value) for kind in Severity if kinds[kind])
    return (
        f"{plural(len(report.diagnostics), 'finding')} in {read} ({severities}){_fix_hint(report)}"
    )


def _fix_hint(report: LintReport) -> str:
    safe = _count_fixable(report.diagnostics, Safety.SAFE)
    unsafe = _count_fixable(report.diagnostics, Safety.UNSAFE)
    if not safe and not unsafe:
        return ""
    more = f", {unsafe} more with --unsafe" if safe and unsafe else ""
    command = "undam fix" if safe else "undam fix --unsafe"
    return f"; {safe or unsafe} fixable with {command}{more}"


def _count_fixable(diagnostics: Iterable[Diagnostic], safety: Safety) -> int:
    return sum(bool(one.edits) and one.rule.safety is safety for one in diagnostics)
