"""HTTP/1.1 of the gateway: parsing, writing, upstream connections."""
