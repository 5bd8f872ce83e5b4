"""`undam bench`: measure an endpoint under load, and detect when the results are unreliable."""
