# expected: PYA202 PYA204
import flask

app = flask.Flask(__name__)


@app.get("/stream")
def stream():
    def generate():
        for number in range(int(flask.request.args["count"])):
            yield f"data: {number}\n\n"

    return flask.Response(generate(), mimetype="text/event-stream")
