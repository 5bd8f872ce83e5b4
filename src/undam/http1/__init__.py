"""HTTP/1.1 parts that several packages share: chunked coding, request parser, headers, sockets."""
