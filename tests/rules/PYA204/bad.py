from flask import Flask, Response, request

app = Flask(__name__)
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@app.post("/v1/chat")
def chat():
    def events():
        for event in model.stream(request.json["prompt"]):
            yield event.sse()

    return Response(events(), mimetype="text/event-stream", headers=HEADERS)
