#!/bin/sh
cat > /etc/nginx/conf.d/app.conf <<NGINX
server {
    listen 80;
    location /sse {
        proxy_pass http://app:8000;
    }
}
NGINX
exec nginx -g 'daemon off;'
