"""What is asked in a load test: prompts from a file or made here, and the bodies of requests.

A line of a prompts file is one JSON object: `prompt` (text) or `messages` (a conversation as the
chat API writes it), perhaps `max_tokens`, and for a replay `timestamp` (seconds) or `timestamp_ms`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.errors import ConfigSyntaxError, UsageError

_KNOWN = frozenset({"prompt", "messages", "max_tokens", "timestamp", "timestamp_ms"})

# A trace of a month; beyond it a time is rather a date, or in another unit.
_LONGEST_TRACE_S = 31 * 86_400

# vLLM and OpenAI answer the completions API with 16 tokens where nothing is said.
_COMPLETION_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask.

    Args:
        text: of a plain prompt; "" where there are ``messages``.
        max_tokens: its own bound of the answer.
        at_ns: when it is to be sent, from the first one's time.
    """

    text: str = ""
    messages: tuple[Mapping[str, object], ...] = ()
    max_tokens: int | None = None
    at_ns: int | None = None


def read_prompts(lines: Iterable[str], path: str) -> list[Prompt]:
    """The prompts of a file; times count from the earliest, and are then in order.

    Args:
        path: the file's name, for messages only.

    Raises:
        ConfigSyntaxError: a line that is none, with its place; a key that nobody reads.
        UsageError: no prompt, or only some with a time.
    """
    found: list[Prompt] = []
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                found.append(_prompt(line, path, number))
    except UnicodeDecodeError as error:
        raise ConfigSyntaxError("not UTF-8", path=path, line=number + 1, column=1) from error
    if not found:
        raise UsageError(f"{path}: holds no prompt")
    timed = [one for one in found if one.at_ns is not None]
    if timed and len(timed) < len(found):
        raise UsageError(
            f"{path}: {len(timed)} of {len(found)} lines have a timestamp: a replay needs all"
        )
    return _from_first(found) if timed else found


def request_bodies(
    api: Api, prompts: Sequence[Prompt], *, model: str, max_tokens: int | None
) -> tuple[bytes, ...]:
    """The request body of each prompt, in the API's streaming form.

    A prompt's own ``max_tokens`` goes before the command's.

    Raises:
        UsageError: the API takes no prompt, or no conversation.
    """
    return tuple(_body(api, one, model, one.max_tokens or max_tokens) for one in prompts)


def _body(api: Api, prompt: Prompt, model: str, max_tokens: int | None) -> bytes:
    if api.request is None:
        raise UsageError("this URL is fetched as given: its body is --data, not prompts")
    if api is COMPLETIONS and max_tokens is None:
        max_tokens = _COMPLETION_TOKENS
    body = dict(api.request(model, prompt.text, max_tokens))
    if prompt.messages:
        body.update(_conversation(api, prompt.messages))
    if api in {CHAT, COMPLETIONS}:
        # The tokens as the server counts them; without being asked it tells none.
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def _conversation(api: Api, messages: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    if api is COMPLETIONS:
        raise UsageError("the completions API takes a prompt, not messages")
    if api is RESPONSES:
        return {"input": list(messages)}
    if api is not MESSAGES:
        return {"messages": list(messages)}
    # Anthropic's API has no system role: what has it stands beside the messages.
    system = [one.get("content") for one in messages if one.get("role") == "system"]
    rest = [one for one in messages if one.get("role") != "system"]
    texts = "\n".join(one for one in system if isinstance(one, str))
    return {"messages": rest, **({"system": texts} if texts else {})}


def _prompt(line: str, path: str, number: int) -> Prompt:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"no JSON: {error.msg}", path=path, line=number, column=error.colno
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigSyntaxError(f"no JSON: {error}", path=path, line=number, column=1) from None

    def refuse(key: str, why: str) -> ConfigSyntaxError:
        at = max(line.find(json.dumps(key)), line.find(f'"{key}"'), 0) + 1
        return ConfigSyntaxError(why, path=path, line=number, column=at)

    if not isinstance(row, dict):
        raise refuse("", "expected an object with `prompt` or `messages`")
    if odd := sorted(set(row) - _KNOWN):
        raise refuse(odd[0], f"unknown key {odd[0]!r}; there are {', '.join(sorted(_KNOWN))}")
    if ("prompt" in row) == ("messages" in row):
        raise refuse("messages", "expected `prompt` or `messages`, one of them")
    text, messages = row.get("prompt", ""), row.get("messages", [])
    if "prompt" in row and not (isinstance(text, str) and text):
        raise refuse("prompt", "`prompt` is to be a text")
    if "messages" in row and not _is_conversation(messages):
        raise refuse("messages", "`messages` is to be a list of objects with `role`")
    tokens = row.get("max_tokens")
    if tokens is not None and not (type(tokens) is int and tokens > 0):
        raise refuse("max_tokens", "`max_tokens` is to be a whole number above 0")
    for key in ("timestamp", "timestamp_ms"):
        if key in row and not _is_time(row[key]):
            raise refuse(key, f"`{key}` is to be a number, not negative")
    if "timestamp" in row and "timestamp_ms" in row:
        raise refuse("timestamp_ms", "`timestamp` (seconds) and `timestamp_ms` exclude each other")
    return Prompt(text, tuple(messages), tokens, _at_ns(row))


def _is_conversation(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in value)


def _is_time(value: object) -> bool:
    # NaN fails the comparison; 1e12 s leaves room for a date in milliseconds by mistake.
    return type(value) in {int, float} and 0 <= value < 1e15  # type: ignore[operator]


def _at_ns(row: Mapping[str, object]) -> int | None:
    for key, unit in (("timestamp", 1_000_000_000), ("timestamp_ms", 1_000_000)):
        if key in row:
            value = row[key]
            assert isinstance(value, int | float)
            return round(value * unit)
    return None


def _from_first(prompts: list[Prompt]) -> list[Prompt]:
    timed = sorted(prompts, key=lambda one: one.at_ns or 0)
    first, last = timed[0].at_ns or 0, timed[-1].at_ns or 0
    if last - first > _LONGEST_TRACE_S * 1_000_000_000:
        raise UsageError(
            f"the timestamps span {(last - first) / 1e9:.0f} s: `timestamp` is in seconds, "
            f"`timestamp_ms` in milliseconds"
        )
    return [
        Prompt(one.text, one.messages, one.max_tokens, (one.at_ns or 0) - first) for one in timed
    ]
