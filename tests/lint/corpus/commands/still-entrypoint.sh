#!/usr/bin/env bash
# Starts the shop: migrations first, then the server.
set -euo pipefail
python manage.py migrate --noinput
python manage.py collectstatic --noinput
exec gunicorn shop.wsgi:application --bind 0.0.0.0:8000 --workers "${WORKERS:-3}" --timeout 30
