"""The customer card, and the list that leads to it."""
