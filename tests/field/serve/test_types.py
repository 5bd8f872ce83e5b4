"""Source types: mypy accepts types that can be sent and reports types that cannot.

The checks are made by ``make check``: an unused ``type: ignore`` is an error there.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypedDict

import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from undam.asgi import Event, EventStream, Raw, Source
from undam.asgi.starlette import EventStreamResponse
from undam.errors import UsageError


class _Model(BaseModel):
    a: int


@dataclasses.dataclass
class _Point:
    x: int


class _Row(TypedDict):
    a: int


class _Token:
    text = "a"


async def _strings() -> AsyncIterator[str]:
    yield "a"


async def _models() -> AsyncIterator[_Model | ChatCompletionChunk]:
    yield _Model(a=1)


async def _points() -> AsyncIterator[_Point | None]:
    yield _Point(1)


async def _rows() -> AsyncIterator[_Row]:
    yield {"a": 1}


async def _mixed() -> AsyncIterator[Event | Raw | dict[str, Any] | list[int] | datetime.date]:
    yield Event("a")


def _plain() -> Iterator[tuple[int, str]]:
    yield 1, "a"


async def _tokens() -> AsyncIterator[_Token]:
    yield _Token()


async def _functions() -> AsyncIterator[Callable[[], None]]:
    yield print


async def _coroutine() -> str:
    return "a"


def _text_of(item: _Token) -> str:
    return item.text


def test_sources_of_sendable_items_are_accepted() -> None:
    sources: list[Source] = [_strings, _models, _points, _rows, _mixed, _plain]
    streams: list[EventStream | EventStreamResponse] = [EventStream(one) for one in sources]
    streams += [EventStreamResponse(one) for one in sources]
    streams += [EventStream(_models), EventStream(_rows), EventStream(_tokens, encode=_text_of)]
    streams.append(EventStreamResponse(_tokens(), encode=_text_of))
    assert len(streams) == 2 * len(sources) + 4


def test_sources_of_other_items_are_reported_by_type_checkers() -> None:
    EventStream(_tokens)  # type: ignore[arg-type]
    EventStreamResponse(_tokens())  # type: ignore[arg-type]
    EventStream(_functions)  # type: ignore[arg-type]
    EventStream(_coroutine)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        EventStream("a string", task_scope=_coroutine)  # type: ignore[call-overload]
