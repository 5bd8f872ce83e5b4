import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events():
    async for event in model.stream("hi"):
        yield event.sse()
        await asyncio.sleep(0)


@app.get("/v1/events")
async def events_of_model():
    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
