# expected: nothing
import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

app = FastAPI()
client = httpx.AsyncClient(base_url="http://vllm:8000", timeout=httpx.Timeout(10, read=None))


@app.post("/v1/chat/completions")
async def proxy(request: Request):
    sent = client.build_request("POST", "/v1/chat/completions", content=request.stream())
    response = await client.send(sent, stream=True)
    return StreamingResponse(
        response.aiter_raw(),
        status_code=response.status_code,
        media_type=response.headers.get("content-type"),
        background=BackgroundTask(response.aclose),
    )
