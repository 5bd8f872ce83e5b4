"""HTTP/2 (RFC 9113) without sockets: frames, header blocks, flow control and the client side."""
