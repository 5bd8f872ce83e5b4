from quart import Quart, make_response

app = Quart(__name__)
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-transform", "X-Accel-Buffering": "no"}


@app.get("/v1/events")
async def events_of_model():
    async def events():
        async for event in model.stream("hi"):
            yield event.sse()

    response = await make_response(events(), HEADERS)
    response.timeout = None
    return response
