# expected: PYA202 PYA602
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


async def answer(question):
    async for chunk in chain.astream(question):
        yield "data: " + chunk.content + "\n\n"


@app.get("/ask")
async def ask(question: str):
    return StreamingResponse(answer(question), media_type="text/event-stream")
