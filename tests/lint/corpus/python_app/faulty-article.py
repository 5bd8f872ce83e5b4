# expected: PYA201 PYA202 PYA203 PYA602
import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()
async def stream_tokens(prompt: str):
    async for token in model.stream(prompt):
        yield f"data: {token}\n\n".encode("utf-8")
        # The crucial line. Without it, asyncio buffers 64 KB.
        await asyncio.sleep(0)
@app.post("/v1/stream")
async def stream(prompt: str):
    return StreamingResponse(
        stream_tokens(prompt),
        media_type="text/event-stream",
        headers={
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            "Connection": "keep-alive",
        },
    )
