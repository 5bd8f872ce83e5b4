"""HTTP in reassembled TCP data: requests, and streamed responses with the times of their bytes."""
