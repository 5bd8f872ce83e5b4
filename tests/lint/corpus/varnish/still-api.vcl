vcl 4.0;

backend default {
    .host = "api.internal";
    .port = "80";
    .connect_timeout = 1s;
    .first_byte_timeout = 10s;
    .max_connections = 300;
}

sub vcl_backend_response {
    if (bereq.url ~ "^/v1/models" && beresp.status == 200) {
        set beresp.ttl = 5m;
        set beresp.do_gzip = true;
    }
    set beresp.http.X-Url = bereq.url;
}

sub vcl_deliver {
    if (obj.hits > 0) { set resp.http.X-Cache = "HIT"; } else { set resp.http.X-Cache = "MISS"; }
    unset resp.http.X-Url;
}
