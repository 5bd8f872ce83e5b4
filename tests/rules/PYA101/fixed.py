from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


async def answers(prompt):
    async for item in model.stream(prompt):
        yield item.model_dump_json() + "\n"


@app.get("/v1/generate")
async def generate():
    return StreamingResponse(answers("hi"), media_type="application/x-ndjson")
