"""Selection of a model if the user did not specify one."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from undam.apis import MESSAGES, PLAIN
from undam.errors import UndamError
from undam.probe.fetch import fetch, with_timeout
from undam.probe.options import CheckOptions, Place, api_of, client_for, data_for, request_for

_MODELS_S = 3.0
# Lists also contain models that cannot be asked for text.
_NO_CHAT = re.compile(
    r"(?i)embed|rerank|whisper|\btts\b|dall-e|moderation|transcribe|\bimage\b|\bbge\b|\bclip\b"
)


async def first_model(options: CheckOptions, place: Place | None = None) -> str | None:
    """Return the first chat model that the server lists; an unknown name would return 404.

    A gateway has names of its own, so the list is requested from each place.
    """
    place = place or options.edge
    api = api_of(place)
    given = options.model or place.model
    if given or data_for(options, place) is not None or api in {PLAIN, MESSAGES}:
        return None
    root = place.url.partition("?")[0].rstrip("/").removesuffix("/completions")
    url = root.removesuffix("/chat").removesuffix("/responses") + "/models"
    request = replace(request_for(options, place), url=url, method="GET", body=b"")
    try:
        config = with_timeout(client_for(options, place), min(_MODELS_S, options.client.timeout_s))
        exchange = await fetch(request, config, hop=place.name, api=PLAIN.name)
        body = json.loads(b"".join(arrival.data for arrival in exchange.arrivals))
        names = [name for one in body["data"] if isinstance(name := one["id"], str)]
        return next((name for name in names if not _NO_CHAT.search(name)), names[0])
    except (UndamError, ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
