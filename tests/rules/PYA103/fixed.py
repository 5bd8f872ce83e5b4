from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class Stamp:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


app.add_middleware(Stamp)


@app.get("/v1/events")
async def events_of_model():
    async def events():
        async for event in model.stream():
            yield event.sse()

    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
