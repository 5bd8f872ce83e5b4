vcl 4.1;

backend origin {
    .host = "127.0.0.1:9000";
}

sub vcl_recv {
    if (req.url ~ "^/v1/chat/") {
        return (pass);
    }
}

sub vcl_backend_response {
    # what every response gets
    set beresp.grace = 1h;
    if (bereq.url ~ "^/files/") {
        set beresp.do_stream = false;
    }
}
