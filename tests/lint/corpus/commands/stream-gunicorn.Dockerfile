FROM python:3.12-slim AS build
RUN pip wheel --wheel-dir /wheels .

FROM python:3.12-slim
COPY . /app
WORKDIR /app
ENV WEB_CONCURRENCY=4
EXPOSE 8000
ENTRYPOINT ["gunicorn"]
CMD ["--bind", "0.0.0.0:8000", "--timeout", "120", "openai_proxy.wsgi:app"]
