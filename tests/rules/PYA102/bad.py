from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@app.get("/v1/events")
async def events_of_model():
    async def events():
        async for event in model.stream():
            yield event.sse()

    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)


class LogBodies:
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        body = b""
        async for chunk in response.body_iterator:
            body += chunk
        log(body)
        return Response(body, status_code=response.status_code)
