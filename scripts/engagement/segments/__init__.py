"""Segments at the command: made, shown, frozen, and what they have in common or apart."""
