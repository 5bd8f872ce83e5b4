FROM python:3.12-slim
COPY . /app
HEALTHCHECK CMD curl -f http://localhost:8000/health || exit 1
CMD uvicorn chat.main:app --host 0.0.0.0 --port 8000 --timeout-keep-alive 5 \
    --timeout-graceful-shutdown 60
