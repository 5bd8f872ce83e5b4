import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events(queue):
    while True:
        try:
            event = await asyncio.wait_for(queue.get(), 15)
        except TimeoutError:
            yield ": ping\n\n"
            continue
        yield event.sse()


@app.get("/v1/events")
async def events_of_model():
    return StreamingResponse(events(QUEUE), media_type="text/event-stream", headers=HEADERS)
