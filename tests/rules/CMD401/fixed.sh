#!/bin/sh
python manage.py migrate
exec gunicorn --worker-class gthread --threads 32 --bind 0.0.0.0:8000 --workers 4 litellm_chat.wsgi:application
