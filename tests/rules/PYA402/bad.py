import time

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events():
    last = time.monotonic()
    async for event in model.stream("hi"):
        if time.monotonic() - last > 15:
            yield ": ping\n\n"
        last = time.monotonic()
        yield event.sse()


@app.get("/v1/events")
async def events_of_model():
    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
