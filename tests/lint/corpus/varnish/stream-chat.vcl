vcl 4.1;

backend web {
    .host = "10.0.0.11:8080";
}
backend vllm {
    .host = "10.0.0.21";
    .port = "8000";
    .first_byte_timeout = 300s;
    .between_bytes_timeout = 10s;
}

sub vcl_recv {
    if (req.url ~ "^/v1/") {
        set req.backend_hint = vllm;
        return (pass);
    }
}

sub vcl_backend_response {
    if (beresp.http.Content-Type ~ "^text/html") {
        set beresp.do_esi = true;
    }
    if (beresp.http.Content-Type ~ "text") {
        set beresp.do_gzip = true;
    }
    if (bereq.url ~ "^/v1/chat") {
        set beresp.do_stream = true;
    } else {
        set beresp.do_stream = false;
    }
}
