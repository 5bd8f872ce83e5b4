#!/bin/sh
exec uwsgi --http-socket :8000 --master --harakiri 3600 --module chat.wsgi
