# expected: nothing
import json

from flask import Flask, Response, request, stream_with_context

app = Flask(__name__)


@app.route("/stream", methods=["POST"])
def stream():
    question = request.json["question"]

    def generate():
        for token in model.generate(question):
            yield f"data: {json.dumps(token)}\n\n"

    response = Response(stream_with_context(generate()), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    return response
