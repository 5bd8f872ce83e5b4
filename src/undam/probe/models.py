"""Selection of a model if the user did not specify one."""

from __future__ import annotations

import json
from dataclasses import replace

from undam.apis import MESSAGES, PLAIN
from undam.errors import UndamError
from undam.probe.fetch import fetch, with_timeout
from undam.probe.options import CheckOptions, Place, api_of, client_for, data_for, request_for

_MODELS_S = 3.0


async def first_model(options: CheckOptions, place: Place | None = None) -> str | None:
    """Return the first model that the server at ``place`` lists; unknown names would return 404.

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
        name = body["data"][0]["id"]
    except (UndamError, ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return name if isinstance(name, str) else None
