vcl 4.1;

backend default {
    .host = "wordpress";
    .port = "80";
    .between_bytes_timeout = 10s;
}
