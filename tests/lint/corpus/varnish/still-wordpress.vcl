vcl 4.1;

import std;
import directors;

acl purge {
    "localhost";
    "10.0.0.0"/8;
    ! "10.0.0.7";
}

probe up {
    .url = "/healthz";
    .interval = 5s;
    .timeout = 1s;
    .window = 5;
    .threshold = 3;
}

backend web1 {
    .host = "10.0.0.11";
    .port = "8080";
    .first_byte_timeout = 20s;
    .between_bytes_timeout = 2s;
    .probe = up;
}
backend web2 { .host = "10.0.0.12"; .port = "8080"; .probe = { .url = "/"; .interval = 10s; } }

sub vcl_init {
    new farm = directors.round_robin();
    farm.add_backend(web1);
    farm.add_backend(web2);
}

sub vcl_recv {
    set req.backend_hint = farm.backend();
    set req.url = std.querysort(req.url);
    if (req.method == "PURGE") {
        if (!client.ip ~ purge) {
            return (synth(405, "Not allowed."));
        }
        return (purge);
    }
    /* Nothing is kept for those who are logged in. */
    if (req.http.Cookie ~ "wordpress_logged_in" || req.url ~ "^/wp-(login|admin)") {
        return (pass);
    } elsif (req.url ~ "\.(css|js|png|gif|jpe?g|svg|woff2?)(\?.*)?$") {
        unset req.http.Cookie;
        return (hash);
    }
    call normalise;
}

sub normalise {
    set req.http.Host = regsub(req.http.Host, ":[0-9]+", "");
}

sub vcl_backend_response {
    set beresp.grace = 6h;
    set beresp.do_esi = true;
    if (beresp.http.Content-Type ~ "text|javascript|json") {
        set beresp.do_gzip = true;
    }
    if (beresp.http.Content-Length ~ "[0-9]{8,}") {
        set beresp.do_stream = false;
    }
}

sub vcl_synth {
    synthetic({"<!DOCTYPE html><title>"} + resp.reason + {"</title>"});
    return (deliver);
}
