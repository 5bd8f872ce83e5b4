# expected: nothing
import csv
import io

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse

app = FastAPI()
app.add_middleware(GZipMiddleware)


@app.get("/export")
async def export():
    def rows():
        for row in database.rows():
            buffer = io.StringIO()
            csv.writer(buffer).writerow(row)
            yield buffer.getvalue()

    return StreamingResponse(rows(), media_type="text/csv")


@app.get("/files/{name}")
async def download(name: str):
    return StreamingResponse(open(name, "rb"), media_type="application/octet-stream")
