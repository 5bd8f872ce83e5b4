from django.http import StreamingHttpResponse

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def events(prompt):
    for event in model.stream(prompt):
        yield event.sse()


def chat(request):
    return StreamingHttpResponse(
        events("hi"), content_type="text/event-stream", headers=HEADERS
    )
