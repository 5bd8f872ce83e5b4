"""Views of `undam watch`: text with marks for pauses, or events with their arrival times.

Model output is sanitized, so that it cannot control the terminal; see undam.cli.ui.sanitize.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TextIO

from undam.apis import CHAT, PLAIN, Api, Kind, ShapeReader
from undam.apis.meaning import mapping
from undam.cli.ui.sanitize import sanitize
from undam.client.deltas import Delta, Reasoning, Text, ToolCall, deltas_of, readable
from undam.client.heartbeats import is_heartbeat
from undam.client.timing import STALL_MS
from undam.diagnosis.numbering import join_texts
from undam.sse import Comment, Event

# Speculative decoding emits up to five tokens per step. If a read contains more events, a hop held
# them.
_BURST_EVENTS = 6

# Zero-width joiners are not escaped: they combine emoji and shape letters, and are harmless.
_KEPT = "\n\t\u200c\u200d"

_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"


class View(Protocol):
    """View that displays a stream. Times are in ns since the request was sent."""

    def show(self, at_ns: int, items: Sequence[Event | Comment]) -> None:
        """Show the items of one read."""
        ...

    def show_bytes(self, at_ns: int, data: bytes) -> None:
        """Show one read of a body that is not an event stream."""
        ...

    def finish(self) -> None:
        """End the last output line."""
        ...


class TextView:
    """View of the response text. On a terminal, pauses are marked and reasoning is dimmed.

    Args:
        marked: show marks, reasoning and tool calls.
        dim: escape sequences before and after marked text.
        heartbeat_mark: the mark of a heartbeat.
    """

    def __init__(
        self,
        out: TextIO,
        api: Api,
        *,
        marked: bool = False,
        dim: tuple[str, str] = ("", ""),
        heartbeat_mark: str = ".",
    ) -> None:
        self._out = out
        self._api = api
        self._reader = ShapeReader(api)
        self._marked = marked
        self._dim = dim
        self._heartbeat_mark = heartbeat_mark
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._half = ""
        self._last_ns: int | None = None
        self._line_is_open = False

    @classmethod
    def on(cls, out: TextIO, api: Api, environ: Mapping[str, str] = os.environ) -> Self:
        """Create the view for an output stream; marks are shown only on a terminal."""
        if not out.isatty():
            return cls(out, api)
        escapes = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        utf8 = "utf" in (out.encoding or "").lower()
        return cls(
            out,
            api,
            marked=True,
            dim=(_DIM, _PLAIN) if escapes else ("", ""),
            heartbeat_mark="·" if utf8 else ".",
        )

    def show(self, at_ns: int, items: Sequence[Event | Comment]) -> None:
        """Write all items of one read together."""
        parts: list[str] = []
        contents = 0
        for item in items:
            if isinstance(item, Comment) or is_heartbeat(item):
                parts += self._mark(self._heartbeat_mark)
                continue
            text, has_content = self._text_of(item)
            parts += text
            contents += has_content
        if contents:
            parts = self._marks_before(at_ns, contents) + parts
            self._last_ns = at_ns
        self._write("".join(parts))

    def show_bytes(self, at_ns: int, data: bytes) -> None:
        """Write the text in ``data``."""
        self._write(sanitize(self._decoder.decode(data), keep=_KEPT))

    def finish(self) -> None:
        """End the last output line."""
        self._write(sanitize(self._half))
        if self._line_is_open:
            self._write("\n")

    def _text_of(self, event: Event) -> tuple[list[str], bool]:
        meaning = self._reader.read(event.event, event.data)
        self._api = self._reader.api
        parts: list[str] = []
        if self._api.name in readable():
            for delta in deltas_of(self._api, event.event, meaning.payload):
                parts += self._delta(delta)
        elif "choices" in mapping(meaning.payload):
            for delta in deltas_of(CHAT, event.event, meaning.payload):
                parts += self._delta(delta)
        elif meaning.kind is Kind.CONTENT:
            end = "\n" if self._api is PLAIN else ""
            parts.append(sanitize(meaning.text, keep=_KEPT) + end)
        return parts, meaning.kind is Kind.CONTENT

    def _delta(self, delta: Delta) -> list[str]:
        match delta:
            case Text(text=text):
                return [sanitize(self._joined(text), keep=_KEPT)]
            case Reasoning(text=text):
                return self._dimmed(sanitize(text, keep=_KEPT))
            case ToolCall(name=name, arguments=arguments):
                called = f"{name}: " if name else ""
                return self._dimmed(sanitize(called + arguments, keep=_KEPT))
            case _:
                return []

    def _joined(self, text: str) -> str:
        """Return the text with the halves of surrogate pairs joined; the last half waits."""
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return join_texts([text.removesuffix(self._half)])

    def _marks_before(self, at_ns: int, contents: int) -> list[str]:
        marks: list[str] = []
        if self._last_ns is not None and at_ns - self._last_ns >= STALL_MS * 1e6:
            marks += self._mark(f"[{(at_ns - self._last_ns) / 1e9:.1f} s]")
        if contents >= _BURST_EVENTS:
            marks += self._mark(f"[x{contents}]")
        return marks

    def _mark(self, text: str) -> list[str]:
        return self._dimmed(text)

    def _dimmed(self, text: str) -> list[str]:
        return [f"{self._dim[0]}{text}{self._dim[1]}"] if self._marked and text else []

    def _write(self, text: str) -> None:
        if text:
            _write(self._out, text)
            self._line_is_open = not text.endswith("\n")


class RawView:
    """View of events and comments as blocks of lines, each with its arrival time."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._id = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self, at_ns: int, items: Sequence[Event | Comment]) -> None:
        """Write one block per item."""
        for item in items:
            self._block(at_ns, [f": {item.text}"] if isinstance(item, Comment) else self._of(item))

    def show_bytes(self, at_ns: int, data: bytes) -> None:
        """Write the text of the read unchanged."""
        self._block(at_ns, self._decoder.decode(data).splitlines() or [""])

    def finish(self) -> None:
        """Do nothing, because every block ends with a complete line."""

    def _of(self, event: Event) -> list[str]:
        lines = [] if event.id == self._id else [f"id: {event.id}"]
        self._id = event.id
        if event.event != "message":
            lines.append(f"event: {event.event}")
        return lines + [f"data: {line}" for line in event.data.split("\n")]

    def _block(self, at_ns: int, lines: Sequence[str]) -> None:
        time = f"{at_ns / 1e9:10.4f} s  "
        first, *rest = (sanitize(line, keep="\t\u200c\u200d") for line in lines)
        indent = " " * len(time)
        text = "".join([f"{time}{first}\n", *(f"{indent}{line}\n" for line in rest)])
        _write(self._out, text)


def _write(out: TextIO, text: str) -> None:
    # Flush at once, so that the output shows when the data arrived.
    out.write(text)
    out.flush()
