from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class Prompt(BaseModel):
    prompt: str


@app.post("/v1/stream")
async def stream(body: Prompt):
    async def events():
        async for event in model.stream(body.prompt):
            yield event.sse()

    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
