# expected: nothing
import asyncio

from aiohttp import web


async def stream(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(10):
        await response.write(f"data: {number}\n\n".encode())
        await asyncio.sleep(1)
    return response
