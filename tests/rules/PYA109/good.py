from django.http import StreamingHttpResponse
from django.views.decorators.gzip import gzip_page

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def events(prompt):
    async for event in model.stream(prompt):
        yield event.sse()


@gzip_page
def chat(request):
    return StreamingHttpResponse(
        events("hi"), content_type="text/event-stream", headers=HEADERS
    )
