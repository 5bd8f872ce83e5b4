# expected: PYA201 PYA202 PYA402 PYA602
import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()
async def stream_tokens(prompt: str):
    loop = asyncio.get_event_loop()
    yield b": ping\n\n"   # SSE comment, ignored by clients
    last = loop.time()
    async for token in model.stream(prompt):
        now = loop.time()
        if now - last > 15:
            yield b": ping\n\n"
            last = now
        yield f"data: {token}\n\n".encode()
        await asyncio.sleep(0)
@app.get("/v1/stream")
async def stream(prompt: str):
    return StreamingResponse(stream_tokens(prompt), media_type="text/event-stream")
