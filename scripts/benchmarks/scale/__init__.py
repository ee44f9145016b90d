"""What `make bench` runs: a made-up tenant of 1, 10 and 100 million message copies, and how long everything takes on it."""
