"""The hub: what can be enriched, what is, and how the runs went."""
