"""What `make bench` runs: a made-up tenant of 1 to 100 million message copies, and what everything costs on it."""
