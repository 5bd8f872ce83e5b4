import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
client = httpx.AsyncClient(
    base_url=os.environ["OPENAI_BASE_URL"], timeout=httpx.Timeout(10, read=600)
)


@app.post("/chat")
async def chat(request: Request) -> StreamingResponse:
    body = await request.body()

    async def events() -> AsyncIterator[bytes]:
        async with client.stream("POST", "/chat/completions", content=body) as answer:
            async for chunk in answer.aiter_raw():
                yield chunk

    return StreamingResponse(events(), media_type="text/event-stream")
