import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events():
    for token in ["a", "b", "c"]:
        await asyncio.sleep(1)
        yield f"data: {token}\n\n"


@app.get("/v1/events")
async def events_of_model():
    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
