"""Prompts of a load test, read from a file, and the request bodies made from prompts.

Each line of a prompts file is a JSON object. It has `prompt` (a string), `messages` (a conversation
in the format of the chat API) or `turns` (the user's messages of a conversation), and optionally
`max_tokens` and `model`. For a replay it also has `timestamp` (seconds) or `timestamp_ms`. Any
other key is a field of the request body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.errors import ConfigSyntaxError, UsageError

# Timestamps that span more than this are probably dates, or in another unit.
_MAX_TRACE_S = 31 * 86_400

# vLLM and OpenAI limit the completions API to 16 tokens by default.
_COMPLETION_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Args:
        text: a plain prompt; "" if there are ``messages``.
        messages: a conversation.
        max_tokens: maximum number of tokens in the response.
        at_ns: when to send it, relative to the earliest prompt.
        model: the model to ask; ``None`` means that of the load test.
        body: further fields of the request body.
        session: number of the conversation to which it belongs; ``None`` for a single request.
    """

    text: str = ""
    messages: tuple[Mapping[str, object], ...] = ()
    max_tokens: int | None = None
    at_ns: int | None = None
    model: str | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    session: int | None = None


def read_prompts(lines: Iterable[str], path: str) -> list[Prompt]:
    """Read the prompts from a file.

    Times are relative to the earliest one, and prompts with a time are sorted by it.

    Args:
        path: name of the file, for messages only.

    Raises:
        ConfigSyntaxError: a line is invalid or has an unknown key.
        UsageError: the file contains no prompts, or only some prompts have a time.
    """
    prompts: list[Prompt] = []
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                prompts += _parse_line(line, path, number)
    except UnicodeDecodeError as error:
        raise ConfigSyntaxError("not UTF-8", path=path, line=number + 1, column=1) from error
    if not prompts:
        raise UsageError(f"{path}: the file contains no prompts")
    return in_order(prompts, path)


def request_bodies(
    api: Api,
    prompts: Sequence[Prompt],
    *,
    models: Sequence[str],
    max_tokens: int | None,
    fields: Mapping[str, object] | None = None,
    streams: bool = True,
) -> tuple[bytes, ...]:
    """Return the request body for each prompt.

    A prompt's own ``max_tokens`` and ``model`` take precedence over the arguments.

    Args:
        models: the model of each prompt, repeated as needed.
        fields: fields to add to each body; ``REMOVED`` removes a field. They take precedence.
        streams: whether to request a stream instead of one document.

    Raises:
        UsageError: the API has no prompts, or does not accept conversations.
    """
    bodies = []
    for prompt, model in zip(prompts, cycle(models)):
        tokens = prompt.max_tokens or max_tokens
        body = _request_body(api, prompt, prompt.model or model, tokens)
        if not streams:
            body.pop("stream_options", None)
            if "stream" in body:
                body["stream"] = False
        for name, value in {**prompt.body, **(fields or {})}.items():
            body[name] = value
        kept = {name: value for name, value in body.items() if value is not REMOVED}
        bodies.append(json.dumps(kept).encode())
    return tuple(bodies)


def sessions_in(prompts: Sequence[Prompt]) -> tuple[tuple[int, int], ...]:
    """Return the index of the first prompt and the number of turns of each conversation.

    A prompt without a conversation counts as a conversation of a single turn. Without
    conversations, the result is empty.
    """
    if all(prompt.session is None for prompt in prompts):
        return ()
    found: list[tuple[int, int]] = []
    for index, prompt in enumerate(prompts):
        before = prompts[index - 1].session if index else None
        if found and prompt.session is not None and prompt.session == before:
            found[-1] = found[-1][0], found[-1][1] + 1
        else:
            found.append((index, 1))
    return tuple(found)


REMOVED = object()
"""Value of a field that is removed from the request body."""


def _request_body(
    api: Api, prompt: Prompt, model: str, max_tokens: int | None
) -> dict[str, object]:
    if api.request is None:
        raise UsageError(
            "this URL belongs to no known API and is fetched as given; set its body with --data"
        )
    if api is COMPLETIONS and max_tokens is None:
        max_tokens = _COMPLETION_TOKENS
    body = dict(api.request(model, prompt.text, max_tokens))
    if prompt.messages:
        body.update(_conversation(api, prompt.messages))
    if api in {CHAT, COMPLETIONS}:
        # Without this option, the server does not report token counts.
        body["stream_options"] = {"include_usage": True}
    return body


def _conversation(api: Api, messages: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    if api is RESPONSES:
        return {"input": list(messages)}
    if api is CHAT:
        return {"messages": list(messages)}
    if api is not MESSAGES:
        name = "completions" if api is COMPLETIONS else api.name
        raise UsageError(f"the {name} API takes a prompt, not messages")
    # Anthropic's API has no system role; the system prompt is a separate field.
    system = [message.get("content") for message in messages if message.get("role") == "system"]
    rest = [message for message in messages if message.get("role") != "system"]
    text = "\n".join(content for content in system if isinstance(content, str))
    return {"messages": rest, **({"system": text} if text else {})}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_conversation(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, dict) and isinstance(item.get("role"), str) for item in value)


def _are_turns(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(map(_is_text, value))


def _is_token_limit(value: object) -> bool:
    return value is None or (type(value) is int and value > 0)


def _is_time(value: object) -> bool:
    # NaN fails the comparison. Dates in milliseconds are below the limit, even if they are given as
    # seconds, so that a later check reports the wrong unit.
    return type(value) in {int, float} and 0 <= value < 1e15  # type: ignore[operator]


_KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "prompt": (_is_text, "a non-empty string"),
    "messages": (_is_conversation, "a list of objects with `role`"),
    "turns": (_are_turns, "a list of non-empty strings"),
    "model": (_is_text, "a non-empty string"),
    "max_tokens": (_is_token_limit, "an integer above 0"),
    "timestamp": (_is_time, "a number of at least 0"),
    "timestamp_ms": (_is_time, "a number of at least 0"),
}
"""Keys of a line: check of the value, and what the value must be. Others are body fields."""

_NS_PER_UNIT = {"timestamp": 1_000_000_000, "timestamp_ms": 1_000_000}


def _parse_line(line: str, path: str, number: int) -> list[Prompt]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg}"
        raise ConfigSyntaxError(message, path=path, line=number, column=error.colno) from None
    except (ValueError, RecursionError) as error:
        message = f"not valid JSON: {error}"
        raise ConfigSyntaxError(message, path=path, line=number, column=1) from None
    problem = _find_problem(row)
    if problem is not None:
        key, message = problem
        column = max(line.find(json.dumps(key)), line.find(f'"{key}"'), 0) + 1
        raise ConfigSyntaxError(message, path=path, line=number, column=column)
    one = Prompt(
        text=row.get("prompt", ""),
        messages=tuple(row.get("messages", ())),
        max_tokens=row.get("max_tokens"),
        at_ns=_time_ns(row),
        model=row.get("model"),
        body={name: value for name, value in row.items() if name not in _KEYS},
    )
    if "turns" not in row:
        return [one]
    return [
        replace(one, messages=_history(row["turns"][:count]), session=number)
        for count in range(1, len(row["turns"]) + 1)
    ]


# Placeholder for the model's answer to an earlier turn.
_EARLIER_ANSWER = "I have answered this."


def _history(turns: Sequence[str]) -> tuple[Mapping[str, object], ...]:
    messages: list[Mapping[str, object]] = []
    for turn in turns:
        if messages:
            messages.append({"role": "assistant", "content": _EARLIER_ANSWER})
        messages.append({"role": "user", "content": turn})
    return tuple(messages)


def _find_problem(row: object) -> tuple[str, str] | None:
    """Return the invalid key and an error message, or ``None`` if the line is valid."""
    if not isinstance(row, dict):
        return "", "expected an object with `prompt`, `messages` or `turns`"
    if len(row.keys() & {"prompt", "messages", "turns"}) != 1:
        return "messages", "expected one of `prompt`, `messages` and `turns`"
    for key, (is_valid, expected) in _KEYS.items():
        if key in row and not is_valid(row[key]):
            return key, f"`{key}` must be {expected}"
    if "timestamp" in row and "timestamp_ms" in row:
        return "timestamp_ms", "use either `timestamp` (seconds) or `timestamp_ms`, not both"
    return None


def _time_ns(row: Mapping[str, float]) -> int | None:
    for key, ns_per_unit in _NS_PER_UNIT.items():
        if key in row:
            return round(row[key] * ns_per_unit)
    return None


def in_order(prompts: list[Prompt], path: str) -> list[Prompt]:
    """Sort prompts by time, and make their times relative to the earliest, if they have times.

    Raises:
        UsageError: only some prompts have a time, or the times span more than a month, so their
            unit is wrong.
    """
    with_time = sum(prompt.at_ns is not None for prompt in prompts)
    if not with_time:
        return prompts
    if with_time < len(prompts):
        raise UsageError(
            f"{path}: {with_time} of {len(prompts)} lines have a timestamp; a replay needs one "
            f"in each line"
        )
    timed = sorted(prompts, key=lambda prompt: prompt.at_ns or 0)
    first_ns, last_ns = timed[0].at_ns or 0, timed[-1].at_ns or 0
    if last_ns - first_ns > _MAX_TRACE_S * 1_000_000_000:
        raise UsageError(
            f"the timestamps span {(last_ns - first_ns) / 1e9:.0f} s: `timestamp` is in seconds, "
            f"`timestamp_ms` in milliseconds"
        )
    return [replace(prompt, at_ns=(prompt.at_ns or 0) - first_ns) for prompt in timed]
