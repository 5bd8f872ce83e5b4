# expected: nothing
from django.http import StreamingHttpResponse


async def stream(request):
    async def events():
        async for event in model.stream(request.GET["q"]):
            yield event.sse()

    response = StreamingHttpResponse(events(), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response
