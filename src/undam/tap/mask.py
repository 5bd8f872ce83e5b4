"""Recorded exchanges with placeholder content and unchanged events, sizes and times.

Captured bodies belong to the users of a service. A record or a report of `undam tap` therefore
contains placeholders of equal size, from which every verdict can be derived again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from undam.diagnosis.reading import Reading, TimedEvent
from undam.record import Exchange
from undam.tap.placeholders import Placeholders
from undam.timing import Arrival

_CHUNK = '{"choices":[{"index":0,"delta":{"content":"%s"}}]%s}'
_PAD = ',"pad":"%s"'
_FINISH = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
_ROLE = '{"choices":[{"index":0,"delta":{}}]}'
_FRAME = len("data: \n\n")
_ID_LINE = len("id: \n")


def masked(reading: Reading, placeholders: Placeholders | None = None) -> Exchange:
    """Return the exchange with its content replaced by placeholders.

    The result is an event stream in OpenAI's form, whatever the form of the original.

    Args:
        placeholders: replacement of each text; the letter x by default.
    """
    exchange = reading.exchange
    cover = placeholders.text_for if placeholders is not None else _crosses
    body = "".join(_event(item, size, cover) for item, size in _sizes(reading)).encode()
    arrivals: list[Arrival] = []
    at = 0
    for arrival in exchange.arrivals:
        size = len(arrival.data)
        arrivals.append(replace(arrival, data=body[at : at + size], wire_bytes=None))
        at += size
    if at < len(body) and arrivals:
        arrivals[-1] = replace(arrivals[-1], data=arrivals[-1].data + body[at:])
    return replace(exchange, arrivals=tuple(arrivals), api="openai-chat")


def _sizes(reading: Reading) -> list[tuple[TimedEvent, int]]:
    """Return each event and comment with its size in bytes, blank line included.

    Events that the same read completed are taken as equally large.
    """
    consumed = total = 0
    by_read: dict[int, list[TimedEvent]] = {}
    for item in reading.items:
        by_read.setdefault(item.read, []).append(item)
    sized: list[tuple[TimedEvent, int]] = []
    for index, arrival in enumerate(reading.exchange.arrivals):
        total += len(arrival.data)
        pending = reading.pending[index] if index < len(reading.pending) else 0
        items = by_read.get(index, [])
        share = total - pending - consumed
        for left, item in zip(range(len(items), 0, -1), items, strict=True):
            size = share // left
            share -= size
            sized.append((item, size))
        if items:
            consumed = total - pending
    return sized


def _crosses(text: str) -> str:
    return "x" * len(text)


def _event(item: TimedEvent, size: int, cover: Callable[[str], str]) -> str:
    """Return a placeholder event of ``size`` bytes, or slightly more for a very small event."""
    if item.meaning is None:
        return ":" + "x" * (size - 3) + "\n\n"
    if item.is_content:
        return f"data: {_content(_plain(cover(item.text)), size - _FRAME)}\n\n"
    data = "[DONE]" if item.text == "[DONE]" else _FINISH if item.meaning.ends else _ROLE
    padding = size - len(data) - _FRAME - _ID_LINE
    return ("" if padding < 1 else f"id: {'x' * padding}\n") + f"data: {data}\n\n"


def _plain(text: str) -> str:
    """Return ``text`` with only ASCII letters and digits, which take one byte each in JSON."""
    return "".join(one if one.isascii() and one.isalnum() else "x" for one in text)


def _content(text: str, size: int) -> str:
    """Return the data of a content event with ``text``, or with the part of it that fits."""
    space = size - (len(_CHUNK) - 4)
    if space < 1:
        # The event is smaller than an OpenAI chunk, because it belongs to another API. Plain text
        # also counts as content.
        return (text + "x" * size)[: max(1, size)]
    padding = space - len(text) - (len(_PAD) - 2)
    if not text or padding < 1:
        return _CHUNK % ((text + "x" * space)[:space], "")
    return _CHUNK % (text, _PAD % ("x" * padding))
