#!/bin/sh
python manage.py migrate
exec gunicorn --bind 0.0.0.0:8000 --workers 4 litellm_chat.wsgi:application
