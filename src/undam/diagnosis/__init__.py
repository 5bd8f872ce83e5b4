"""Analysis of streams: verdicts and findings from arrivals and response heads, without I/O."""
