from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events():
    async for token in model.stream("hi"):
        yield f"data: {token.model_dump_json()}\n\n"


@app.get("/v1/events")
async def events_of_model():
    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
