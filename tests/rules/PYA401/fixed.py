import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

client = httpx.AsyncClient(base_url="http://vllm:8000", timeout=httpx.Timeout(5, read=300))


async def relayed(body):
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        async for chunk in response.aiter_raw():
            yield chunk


@app.post("/v1/chat/completions")
async def chat(body: dict):
    return StreamingResponse(relayed(body), media_type="text/event-stream", headers=HEADERS)
