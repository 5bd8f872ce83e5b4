"""Response formats for OpenAI's APIs: chat completions, completions and responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from undam.simulator.apis.response_format import ResponseContext, fragment, split_template

_PLACEHOLDER = "@"
_SSE = "text/event-stream; charset=utf-8"


def error(message: str, status: int) -> Mapping[str, object]:
    """Return an error body in the format of OpenAI's APIs."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _usage(answer: ResponseContext) -> Mapping[str, int]:
    prompt = answer.request.prompt_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer.tokens,
        "total_tokens": prompt + answer.tokens,
    }


class _Chunks:
    """Code that chat completions and completions share."""

    content_type = _SSE
    stamped = True
    terminator = b"\n\n"
    last = b"data: [DONE]\n\n"
    wrap = None

    def __init__(self, answer: ResponseContext, *, kind: str, prefix: str) -> None:
        self._answer = answer
        self._kind = kind
        self._prefix = prefix
        self._reason = "length" if answer.cut else "stop"

    def _payload(self, kind: str, choices: Sequence[Mapping[str, object]]) -> dict[str, object]:
        return {
            "id": f"{self._prefix}-{self._answer.number}",
            "object": kind,
            "created": self._answer.created_s,
            "model": self._answer.request.model,
            "choices": choices,
        }

    def _chunk(self, piece: Mapping[str, object], reason: str | None = None) -> dict[str, object]:
        return self._payload(self._kind, [{"index": 0, **piece, "finish_reason": reason}])

    def _usage_chunks(self) -> list[bytes]:
        if not self._answer.request.include_usage:
            return []
        return [fragment({**self._payload(self._kind, []), "usage": _usage(self._answer)})]

    def _whole(self, kind: str, piece: Mapping[str, object]) -> Mapping[str, object]:
        choices = [{"index": 0, **piece, "finish_reason": self._reason}]
        return {**self._payload(kind, choices), "usage": _usage(self._answer)}


class ChatFormat(_Chunks):
    """POST /v1/chat/completions."""

    def __init__(self, answer: ResponseContext) -> None:
        super().__init__(answer, kind="chat.completion.chunk", prefix="chatcmpl")
        self._before, self._after = split_template(
            self._chunk({"delta": {"content": _PLACEHOLDER}}), _PLACEHOLDER
        )

    def opening(self) -> Sequence[bytes]:
        """Return the chunk that sets the role."""
        return [fragment(self._chunk({"delta": {"role": "assistant", "content": ""}}))]

    def content(self, text: bytes, seq: int) -> bytes:
        """Return a content chunk."""
        return self._before + text + self._after

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return the chunk with the finish reason and, if requested, the usage chunk."""
        return [fragment(self._chunk({"delta": {}}, self._reason)), *self._usage_chunks()]

    def whole(self) -> Mapping[str, object]:
        """Return a chat.completion object."""
        text = self._answer.text.prefix(self._answer.tokens)
        return self._whole("chat.completion", {"message": {"role": "assistant", "content": text}})


class CompletionFormat(_Chunks):
    """POST /v1/completions."""

    def __init__(self, answer: ResponseContext) -> None:
        super().__init__(answer, kind="text_completion", prefix="cmpl")
        self._before, self._after = split_template(
            self._chunk({"text": _PLACEHOLDER, "logprobs": None}), _PLACEHOLDER
        )

    def opening(self) -> Sequence[bytes]:
        """Return no events, because this format does not send the role."""
        return ()

    def content(self, text: bytes, seq: int) -> bytes:
        """Return a text chunk."""
        return self._before + text + self._after

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return the chunk with the finish reason and, if requested, the usage chunk."""
        finish = self._chunk({"text": "", "logprobs": None}, self._reason)
        return [fragment(finish), *self._usage_chunks()]

    def whole(self) -> Mapping[str, object]:
        """Return a text_completion object."""
        text = self._answer.text.prefix(self._answer.tokens)
        return self._whole("text_completion", {"text": text, "logprobs": None})


class ResponsesFormat:
    """Format of POST /v1/responses, in which every event has a sequence_number."""

    content_type = _SSE
    stamped = True
    terminator = b"\n\n"
    last = b""
    wrap = None

    def __init__(self, answer: ResponseContext) -> None:
        self._answer = answer
        self._item = f"msg_{answer.number}"
        self._delta = b'event: %b\ndata: {"type":"%b","item_id":"%b",' % (
            _DELTA,
            _DELTA,
            self._item.encode(),
        )

    def opening(self) -> Sequence[bytes]:
        """Return the events from response.created to response.content_part.added."""
        started: Mapping[str, object] = {"response": self._response("in_progress")}
        item: Mapping[str, object] = {"output_index": 0, "item": self._message("in_progress", [])}
        part = {**self._position(), "part": _part("")}
        kinds: tuple[tuple[str, Mapping[str, object]], ...] = (
            ("response.created", started),
            ("response.in_progress", started),
            ("response.output_item.added", item),
            ("response.content_part.added", part),
        )
        return [self._event(kind, seq, rest) for seq, (kind, rest) in enumerate(kinds)]

    def content(self, text: bytes, seq: int) -> bytes:
        """Return a response.output_text.delta."""
        return b'%b"output_index":0,"content_index":0,"sequence_number":%d,"delta":"%b"' % (
            self._delta,
            seq,
            text,
        )

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return the events from response.output_text.done to response.completed or .incomplete."""
        text = self._answer.text.prefix(self._answer.tokens)
        status = "incomplete" if self._answer.cut else "completed"
        item = self._message(status, [_part(text)])
        kinds: tuple[tuple[str, Mapping[str, object]], ...] = (
            ("response.output_text.done", {**self._position(), "text": text}),
            ("response.content_part.done", {**self._position(), "part": _part(text)}),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            (f"response.{status}", {"response": self.whole()}),
        )
        return [self._event(kind, number, rest) for number, (kind, rest) in enumerate(kinds, seq)]

    def whole(self) -> Mapping[str, object]:
        """Return a finished response object."""
        answer = self._answer
        status = "incomplete" if answer.cut else "completed"
        text = _part(answer.text.prefix(answer.tokens))
        usage = {
            "input_tokens": answer.request.prompt_tokens,
            "output_tokens": answer.tokens,
            "total_tokens": answer.request.prompt_tokens + answer.tokens,
        }
        why = {"incomplete_details": {"reason": "max_output_tokens"}} if answer.cut else {}
        done = {"output": [self._message(status, [text])], "usage": usage}
        return {**self._response(status), **why, **done}

    def _event(self, kind: str, seq: int, rest: Mapping[str, object]) -> bytes:
        return fragment({"type": kind, "sequence_number": seq, **rest}, event=kind)

    def _position(self) -> Mapping[str, object]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _response(self, status: str) -> dict[str, object]:
        return {
            "id": f"resp_{self._answer.number}",
            "object": "response",
            "created_at": self._answer.created_s,
            "status": status,
            "model": self._answer.request.model,
            "output": [],
            "usage": None,
        }

    def _message(self, status: str, parts: list[Mapping[str, object]]) -> Mapping[str, object]:
        return {
            "id": self._item,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": parts,
        }


_DELTA = b"response.output_text.delta"


def _part(text: str) -> Mapping[str, object]:
    return {"type": "output_text", "text": text, "annotations": []}
