from fastapi import Body, FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@app.post("/v1/stream")
async def stream(prompt: str = Body(embed=True)):
    async def events():
        async for event in model.stream(prompt):
            yield event.sse()

    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
