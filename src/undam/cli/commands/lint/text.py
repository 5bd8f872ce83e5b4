"""Findings as text: each with its line, a caret under the word, and what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from undam.cli.commands.lint.fix_text import changed_lines
from undam.cli.ui.sanitize import one_line, plain
from undam.lint import Diagnostic, Safety, Source
from undam.lint.runner import Report
from undam.rules import Severity

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}

# Configurations keep to 100 columns; of longer lines the part around the word is shown.
_WIDTH = 100
_BEFORE = 30
_TAB = "    "
_CUT = "…"
_MARGIN = " " * 5


Piece = tuple[str, str]
"""Text that is safe to show, and its style."""


def print_report(report: Report, out: Console) -> None:
    """Findings, then what was not read, then one line that sums up."""
    from rich.text import Text  # noqa: PLC0415 (only when there is something to show)

    for one in report.diagnostics:
        # In one go: a console takes as long for a word as for a page.
        out.print(Text.assemble(*_pieces(one, report.source(one))), end="")
    for unread in report.unread:
        place = f"{unread.path}:{unread.line}"
        out.print(one_line(f"{place}: not read: {unread.what}"), style="dim")
    if report.diagnostics or report.unread:
        out.print()
    out.print(_summary(report))


def _pieces(one: Diagnostic, source: Source) -> Iterator[Piece]:
    colour = COLOURS[one.severity]
    yield one_line(f"{one.path}:{one.line}:{one.column}"), "bold"
    yield f" {one.rule.code}", colour
    yield f" {one.rule.slug}: {one_line(one.message)}\n", ""
    line, before, under = _marked(source.line(one.line), one.column, one.length)
    yield f"{one.line:>5} | {line}\n{_MARGIN} | {' ' * before}", ""
    yield f"{'^' * under}\n", colour
    yield from _fix(one, source)


def _fix(one: Diagnostic, source: Source) -> Iterator[Piece]:
    lines = changed_lines(source, one)
    if not lines:
        yield f"{_MARGIN} = no edit mends it: undam explain {one.rule.code}\n", "dim"
        return
    kind = "fix, unsafe (undam fix --unsafe)" if one.rule.safety is Safety.UNSAFE else "fix"
    line, _ = source.position(min(edit.start for edit in one.edits))
    where = "" if abs(line - one.line) <= 1 else f", at line {line}"
    yield f"{_MARGIN} = {kind}{where}:\n", ""
    for sign, text in ((line[0], line[1:]) for line in lines):
        shown, _, _ = _marked(text, 1, 1)
        yield f"{_MARGIN} {sign} {shown}\n", "green" if sign == "+" else "red"


def _marked(line: str, column: int, length: int) -> tuple[str, int, int]:
    """A line as it can be shown, and in cells: what stands before the word, and the word."""
    from rich.cells import cell_len  # noqa: PLC0415 (only when there is something to show)

    start = max(0, column - 1 - _BEFORE) if len(line) > _WIDTH else 0
    end = start + _WIDTH
    before, word, after = (
        plain(part.replace("\t", _TAB))
        for part in (
            line[start : column - 1],
            line[column - 1 : min(end, column - 1 + length)],
            line[column - 1 + length : end],
        )
    )
    before = _CUT + before if start else before
    shown = f"{before}{word}{after}{_CUT if end < len(line) else ''}"
    return shown, cell_len(before), max(1, cell_len(word))


def _summary(report: Report) -> str:
    files = len({path for root in report.roots for path in root.files})
    if not files:
        return "no configuration that undam knows" if not report.problems else "nothing was linted"
    read = counted(files, "file")
    if not report.diagnostics:
        return f"no findings in {read}"
    kinds = Counter(one.severity for one in report.diagnostics)
    told = ", ".join(counted(kinds[kind], kind.value) for kind in Severity if kinds[kind])
    return f"{counted(len(report.diagnostics), 'finding')} in {read} ({told}){_mending(report)}"


def _mending(report: Report) -> str:
    safe = _mendable(report.diagnostics, Safety.SAFE)
    unsafe = _mendable(report.diagnostics, Safety.UNSAFE)
    if not safe and not unsafe:
        return ""
    more = f", {unsafe} more with --unsafe" if safe and unsafe else ""
    how = "undam fix" if safe else "undam fix --unsafe"
    return f"; {how} mends {safe or unsafe}{more}"


def _mendable(diagnostics: Iterable[Diagnostic], safety: Safety) -> int:
    return sum(bool(one.edits) and one.rule.safety is safety for one in diagnostics)


def counted(number: int, noun: str) -> str:
    """ "1 file", "2 files"; "2 info" stays as it is."""
    return f"{number} {noun}{'s' if number != 1 and noun != 'info' else ''}"
