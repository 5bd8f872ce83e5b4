import requests
from flask import Flask, Response

app = Flask(__name__)
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@app.post("/v1/chat/completions")
def chat():
    upstream = requests.post("http://vllm:8000/v1/chat/completions", json={"stream": True}, stream=True)
    chunks = upstream.iter_content(chunk_size=1)
    return Response(chunks, mimetype="text/event-stream", headers=HEADERS)
