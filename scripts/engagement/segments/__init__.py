"""Segments of accounts: what the commands under `engagement segment` do."""
