from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events():
    async for chunk in client.stream("hi"):
        yield "event: chunk\n"
        yield f"data: {chunk.model_dump_json()}\n"
        yield "\n"


@app.get("/v1/events")
async def events_of_model():
    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
