# expected: PYA109 PYA202
from django.conf import settings
from django.http import StreamingHttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"],
)


def stream(request):
    def events():
        for event in model.stream(request.GET["q"]):
            yield event.sse()

    return StreamingHttpResponse(events(), content_type="text/event-stream")


urlpatterns = [path("stream", stream)]
