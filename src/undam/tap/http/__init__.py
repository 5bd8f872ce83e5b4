"""HTTP in reassembled TCP data: requests, and streamed responses with their arrival times."""
