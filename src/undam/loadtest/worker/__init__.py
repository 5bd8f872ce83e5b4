"""Worker of a load test: sends requests and reads responses with kernel timestamps."""
