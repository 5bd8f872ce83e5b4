"""Response format for Anthropic's messages API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from undam.simulator.apis.response_format import ResponseContext, fragment, split_template

_PLACEHOLDER = "@"


def error(message: str, status: int) -> Mapping[str, object]:
    """Return an error body in the format of Anthropic's API."""
    kinds = {404: "not_found_error", 413: "request_too_large"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


class MessagesFormat:
    """POST /v1/messages."""

    content_type = "text/event-stream; charset=utf-8"
    stamped = True
    terminator = b"\n\n"
    last = b""
    wrap = None

    def __init__(self, answer: ResponseContext) -> None:
        self._answer = answer
        delta = {"type": "text_delta", "text": _PLACEHOLDER}
        payload = {"type": "content_block_delta", "index": 0, "delta": delta}
        self._before, self._after = split_template(
            payload, _PLACEHOLDER, event="content_block_delta"
        )

    def opening(self) -> Sequence[bytes]:
        """Return message_start, content_block_start and ping."""
        block = {"index": 0, "content_block": {"type": "text", "text": ""}}
        return [
            _event("message_start", {"message": self._message([], None, 1)}),
            _event("content_block_start", block),
            _event("ping", {}),
        ]

    def content(self, text: bytes, seq: int) -> bytes:
        """Return a content_block_delta."""
        return self._before + text + self._after

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return content_block_stop, message_delta with the token usage, and message_stop."""
        delta = {"stop_reason": self._reason(), "stop_sequence": None}
        usage = {"output_tokens": self._answer.tokens}
        return [
            _event("content_block_stop", {"index": 0}),
            _event("message_delta", {"delta": delta, "usage": usage}),
            _event("message_stop", {}),
        ]

    def whole(self) -> Mapping[str, object]:
        """Return a message object."""
        text = self._answer.text.prefix(self._answer.tokens)
        content = [{"type": "text", "text": text}]
        return self._message(content, self._reason(), self._answer.tokens)

    def _reason(self) -> str:
        return "max_tokens" if self._answer.cut else "end_turn"

    def _message(
        self, content: list[dict[str, str]], reason: str | None, output_tokens: int
    ) -> Mapping[str, object]:
        prompt = self._answer.request.prompt_tokens
        return {
            "id": f"msg_{self._answer.number}",
            "type": "message",
            "role": "assistant",
            "model": self._answer.request.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {"input_tokens": prompt, "output_tokens": output_tokens},
        }


def _event(kind: str, rest: Mapping[str, object]) -> bytes:
    return fragment({"type": kind, **rest}, event=kind)
