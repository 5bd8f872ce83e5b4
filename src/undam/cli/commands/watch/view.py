"""How `undam watch` shows a stream: as text with marks, or as events with a clock.

Nothing of what a model says reaches a terminal as a command: see undam.cli.ui.sanitize.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TextIO

from undam.apis import CHAT, Api, Kind
from undam.apis.meaning import mapping
from undam.cli.ui.sanitize import sanitize
from undam.client.deltas import Delta, Reasoning, Text, ToolCall, deltas_of, readable
from undam.client.heartbeats import is_heartbeat
from undam.client.timing import STALL_MS
from undam.sse import Comment, Event

# A speculative decoder accepts up to five tokens a step; more in one read were held by something.
_BURST_EVENTS = 6

# Joiners make one picture of several (families, flags); escaped they would spoil every emoji.
_KEPT = "\n\t\u200c\u200d"

_DIM, _PLAIN = "\x1b[2m", "\x1b[22m"


class View(Protocol):
    """What shows a stream; times count from the request, in ns."""

    def show(self, at_ns: int, items: Sequence[Event | Comment]) -> None:
        """One read brought these."""
        ...

    def show_bytes(self, at_ns: int, data: bytes) -> None:
        """One read of a body that holds no events."""
        ...

    def finish(self) -> None:
        """End what is shown with a line's end."""
        ...


class TextView:
    """The answer's text and nothing else; on a terminal also marks, and reasoning, dim.

    Args:
        marked: show marks and all that is no answer.
        dim: the sequences around these.
        beat: the sign of a heartbeat.
    """

    def __init__(
        self,
        out: TextIO,
        api: Api,
        *,
        marked: bool = False,
        dim: tuple[str, str] = ("", ""),
        beat: str = ".",
    ) -> None:
        self._out = out
        self._api = api
        self._marked = marked
        self._dim = dim
        self._beat = beat
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._last_ns: int | None = None
        self._line_is_open = False

    @classmethod
    def on(cls, out: TextIO, api: Api, environ: Mapping[str, str] = os.environ) -> Self:
        """The view that ``out`` can show: marked on a terminal, plain in a pipe."""
        if not out.isatty():
            return cls(out, api)
        escapes = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        utf8 = "utf" in (out.encoding or "").lower()
        return cls(
            out,
            api,
            marked=True,
            dim=(_DIM, _PLAIN) if escapes else ("", ""),
            beat="·" if utf8 else ".",
        )

    def show(self, at_ns: int, items: Sequence[Event | Comment]) -> None:
        """Write at once what the read brought."""
        parts: list[str] = []
        contents = 0
        for item in items:
            if isinstance(item, Comment) or is_heartbeat(item):
                parts += self._mark(self._beat)
                continue
            said, has_content = self._said(item)
            parts += said
            contents += has_content
        if contents:
            parts = self._marks_before(at_ns, contents) + parts
            self._last_ns = at_ns
        self._write("".join(parts))

    def show_bytes(self, at_ns: int, data: bytes) -> None:
        """Write the text in ``data``."""
        self._write(sanitize(self._decoder.decode(data), keep=_KEPT))

    def finish(self) -> None:
        """Close the last line."""
        if self._line_is_open:
            self._write("\n")

    def _said(self, event: Event) -> tuple[list[str], bool]:
        meaning = self._api.read(event.event, event.data)
        parts: list[str] = []
        if self._api.name in readable():
            for delta in deltas_of(self._api, event.event, meaning.payload):
                parts += self._piece(delta)
        elif "choices" in mapping(meaning.payload):
            for delta in deltas_of(CHAT, event.event, meaning.payload):
                parts += self._piece(delta)
        elif meaning.kind is Kind.CONTENT:
            parts.append(sanitize(meaning.text, keep=_KEPT) + "\n")
        return parts, meaning.kind is Kind.CONTENT

    def _piece(self, delta: Delta) -> list[str]:
        match delta:
            case Text(text=text):
                return [sanitize(text, keep=_KEPT)]
            case Reasoning(text=text):
                return self._aside(sanitize(text, keep=_KEPT))
            case ToolCall(name=name, arguments=arguments):
                called = f"{name}: " if name else ""
                return self._aside(sanitize(called + arguments, keep=_KEPT))
            case _:
                return []

    def _marks_before(self, at_ns: int, contents: int) -> list[str]:
        marks: list[str] = []
        if self._last_ns is not None and at_ns - self._last_ns >= STALL_MS * 1e6:
            marks += self._mark(f"[{(at_ns - self._last_ns) / 1e9:.1f} s]")
        if contents >= _BURST_EVENTS:
            marks += self._mark(f"[x{contents}]")
        return marks

    def _mark(self, text: str) -> list[str]:
        return self._aside(text)

    def _aside(self, text: str) -> list[str]:
        return [f"{self._dim[0]}{text}{self._dim[1]}"] if self._marked and text else []

    def _write(self, text: str) -> None:
        if text:
            _write(self._out, text)
            self._line_is_open = not text.endswith("\n")


class RawView:
    """Events and comments as lines, each block with the time at which it arrived."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._id = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self, at_ns: int, items: Sequence[Event | Comment]) -> None:
        """Write a block for each."""
        for item in items:
            self._block(at_ns, [f": {item.text}"] if isinstance(item, Comment) else self._of(item))

    def show_bytes(self, at_ns: int, data: bytes) -> None:
        """Write the text of the read as it is."""
        self._block(at_ns, self._decoder.decode(data).splitlines() or [""])

    def finish(self) -> None:
        """Every block ends its line by itself."""

    def _of(self, event: Event) -> list[str]:
        lines = [] if event.id == self._id else [f"id: {event.id}"]
        self._id = event.id
        if event.event != "message":
            lines.append(f"event: {event.event}")
        return lines + [f"data: {line}" for line in event.data.split("\n")]

    def _block(self, at_ns: int, lines: Sequence[str]) -> None:
        clock = f"{at_ns / 1e9:10.4f} s  "
        first, *rest = (sanitize(line, keep="\t\u200c\u200d") for line in lines)
        indent = " " * len(clock)
        text = "".join([f"{clock}{first}\n", *(f"{indent}{line}\n" for line in rest)])
        _write(self._out, text)


def _write(out: TextIO, text: str) -> None:
    # Flushed at once: that is what watching is.
    out.write(text)
    out.flush()
