# expected: nothing
from fastapi import FastAPI
from sse_starlette.sse import EventSourceResponse

app = FastAPI()


@app.get("/stream")
async def stream(q: str):
    async def events():
        async for token in llm.astream(q):
            yield {"event": "token", "data": token.content}

    return EventSourceResponse(events(), ping=15)
