"""Renderer of a Starlette application that relays a stream."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return a program that relays the path to the upstream and returns 404 for other paths."""
    require_literal_values(request, "Python")
    host, _, port = request.listen.rpartition(":")
    prefix = request.path.rstrip("/")
    return f'''\
"""Relay a streaming route. Needs: pip install starlette httpx uvicorn"""

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

# The read timeout limits silences. Connecting has a short limit of its own.
timeout = httpx.Timeout(5, read={request.idle_s:g})
client = httpx.AsyncClient(base_url="{request.upstream}", timeout=timeout, trust_env=False)
DROPPED = {{"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}}


async def relay(request: Request) -> StreamingResponse:
    sent = [(name, value) for name, value in request.headers.items() if name not in DROPPED]
    url = httpx.URL(path=request.url.path, query=request.url.query.encode())
    upstream = client.build_request(request.method, url, headers=sent, content=await request.body())
    response = await client.send(upstream, stream=True)

    async def body():
        try:
            # Without a size, each read is forwarded as it arrives.
            async for chunk in response.aiter_raw():
                yield chunk
        finally:
            await response.aclose()

    headers = {{name: value for name, value in response.headers.items() if name not in DROPPED}}
    return StreamingResponse(body(), status_code=response.status_code, headers=headers)


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
app = Starlette(routes=[Route("{prefix}/{{rest:path}}", relay, methods=METHODS)])

if __name__ == "__main__":
    uvicorn.run(app, host="{host.strip("[]")}", port={port})
'''
