"""`engagement digest`: what changed since the last one, for every owner of accounts."""
