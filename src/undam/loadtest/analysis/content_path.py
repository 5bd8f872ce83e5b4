"""Reader for streams of an unknown API, given the path of the text in an event's JSON. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from undam.apis import Kind, Meaning
from undam.apis.meaning import count, error_text, load, mapping, text
from undam.apis.plain import PLAIN


def content_reader(path: str) -> Callable[[str, str], Meaning]:
    """Return a reader for events whose text is at ``path``, for example ``message.content``.

    List items are numbered, as in ``choices.0.text``. An event is content if the path leads to a
    non-empty string or a number. ``[DONE]`` and a true ``done`` at the top level (Ollama) end the
    response.
    """
    steps = path.split(".")

    def read(event: str, data: str) -> Meaning:
        plain = PLAIN.read(event, data)
        if plain.kind in {Kind.DONE, Kind.HEARTBEAT, Kind.ERROR}:
            return plain
        try:
            payload = load(data)
        except ValueError:
            return Meaning(Kind.MALFORMED, data[:200])
        top = mapping(payload)
        ends = top.get("done") is True or plain.ends
        tokens = count(top.get("eval_count")) if ends else None
        found = _at(payload, steps)
        shown = text(found) or ("" if isinstance(found, bool) else _number(found))
        if shown:
            return Meaning(Kind.CONTENT, shown, ends, tokens, payload)
        error = error_text(top)
        if error is not None:
            return Meaning(Kind.ERROR, error, payload=payload)
        return Meaning(Kind.FINISH if ends else Kind.EMPTY, "", ends, tokens, payload)

    return read


def _at(payload: object, steps: list[str]) -> object:
    value = payload
    for step in steps:
        if isinstance(value, list):
            index = int(step) if step.isascii() and step.isdigit() else len(value)
            value = value[index] if index < len(value) else None
        else:
            value = mapping(value).get(step)
    return value


def _number(value: object) -> str:
    return str(value) if isinstance(value, int | float) else ""
