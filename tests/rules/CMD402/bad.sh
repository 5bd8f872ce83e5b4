#!/bin/sh
exec uwsgi --http-socket :8000 --master --harakiri 30 --module chat.wsgi
