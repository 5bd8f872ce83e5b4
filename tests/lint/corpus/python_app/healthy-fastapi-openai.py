# expected: nothing
import json

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

app = FastAPI()
client = AsyncOpenAI()
SSE = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@app.post("/chat")
async def chat(body: dict):
    async def generate():
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=body["messages"], stream=True
        )
        async for chunk in stream:
            content = chunk.choices[0].delta.content or ""
            yield f"data: {json.dumps({'content': content})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(generate(), media_type="text/event-stream", headers=SSE)
