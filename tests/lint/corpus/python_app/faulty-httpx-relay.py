# expected: PYA105 PYA401
import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
SSE = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@app.post("/v1/chat/completions")
async def proxy(request: Request):
    body = await request.body()

    async def relay():
        async with httpx.AsyncClient() as client:
            async with client.stream("POST", "http://vllm:8000/v1/chat/completions", content=body) as r:
                async for chunk in r.aiter_bytes(4096):
                    yield chunk

    return StreamingResponse(relay(), media_type="text/event-stream", headers=SSE)
