"""What a request is, as far as decisions depend on it. No I/O."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, Api, api_for_path
from undam.gateway.request import Head
from undam.gateway.seams import RawHeaders, RequestFacts

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110, 9.2.2: sent twice they do what they do once."""

_ASKS_A_MODEL: frozenset[str] = frozenset({CHAT.name, COMPLETIONS.name, MESSAGES.name})
# What may stand in a log and in a header of somebody else's without being looked at again.
_SOUND_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_MODEL_CHARS = 200


def read_facts(
    head: Head, headers: RawHeaders, body: bytes, *, client: str, whole: bool
) -> RequestFacts:
    """The facts of one request.

    Args:
        headers: those of the head that may go on.
        whole: ``body`` is all of it; of a part nothing is read.
    """
    api = api_for_path(head.target.partition("?")[0]) if head.method == "POST" else PLAIN
    said: Mapping[str, object] = _json(body) if api is not PLAIN and whole else {}
    model = said.get("model")
    facts = RequestFacts(
        method=head.method,
        target=head.target,
        headers=headers,
        api=api,
        streams=said.get("stream") is True,
        model=model[:_MODEL_CHARS] if isinstance(model, str) else "",
        repeatable=False,
        body_bytes=len(body),
        request_id="",
        client=client,
    )
    facts.repeatable = whole and _repeatable(facts, said)
    given = facts.get(b"x-request-id")
    if given is not None and _SOUND_ID.fullmatch(given):
        facts.request_id = given.decode("ascii")
    else:
        facts.request_id = os.urandom(16).hex()
    return facts


def _repeatable(facts: RequestFacts, said: Mapping[str, object]) -> bool:
    if facts.method in _SAFE_METHODS or facts.get(b"idempotency-key") is not None:
        return True
    kept = said.get("store") or said.get("background")
    return _asks_a_model(facts.api) and bool(said) and not kept


def _asks_a_model(api: Api) -> bool:
    return api.name in _ASKS_A_MODEL


def _json(body: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
