"""Analysis of streams: arrivals and response heads in, verdicts and findings out. Pure."""
