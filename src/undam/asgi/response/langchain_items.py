"""LangChain and LangGraph message chunks, which are recognized by their class names."""

from __future__ import annotations

from typing import Any

_CHUNKS = frozenset({"AIMessage", "AIMessageChunk"})


def message_chunk(item: object) -> Any:
    """Return the message that an item from ``astream`` contains, or ``None``.

    LangGraph's mode ``messages`` yields pairs of a message and its metadata.
    """
    if isinstance(item, tuple) and len(item) == 2:
        item = item[0]
    names = {kind.__name__ for kind in type(item).__mro__}
    return item if names & _CHUNKS and hasattr(item, "content") else None


def text_of(message: Any) -> str:
    """Return the text of a message. Its content may be a list of blocks."""
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(
        block if isinstance(block, str) else str(block.get("text") or "")
        for block in content
        if isinstance(block, str) or block.get("type") in {"text", "text_delta"}
    )


def tool_call_deltas(message: Any) -> list[dict[str, Any]]:
    """Return the message's tool call fragments in OpenAI's format."""
    pieces = getattr(message, "tool_call_chunks", None) or ()
    deltas: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces):
        index = piece.get("index")
        delta: dict[str, Any] = {"index": number if index is None else index}
        function: dict[str, Any] = {"arguments": piece.get("args") or ""}
        if piece.get("name"):
            function["name"] = piece["name"]
        if piece.get("id"):
            delta |= {"id": piece["id"], "type": "function"}
        deltas.append({**delta, "function": function})
    return deltas
