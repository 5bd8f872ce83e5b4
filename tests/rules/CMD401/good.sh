#!/bin/sh
exec gunicorn --bind 0.0.0.0:8000 -k uvicorn.workers.UvicornWorker --timeout 30 chat.main:app
exec gunicorn --timeout 0 chat.wsgi:application
