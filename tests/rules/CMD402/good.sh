#!/bin/sh
exec uwsgi --http-socket :8000 --master --threads 32 --module chat.wsgi
