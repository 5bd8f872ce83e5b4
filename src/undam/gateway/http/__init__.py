"""HTTP/1.1 for the gateway: parsing, response writing and upstream connections."""
