# expected: PYA104
import requests
from flask import Flask, Response, request

app = Flask(__name__)
SSE = {"Cache-Control": "no-transform", "X-Accel-Buffering": "no"}


@app.post("/api/chat")
def chat():
    reply = requests.post("http://ollama:11434/api/chat", json=request.json)
    return Response(reply.iter_content(1024), content_type="text/event-stream", headers=SSE)
