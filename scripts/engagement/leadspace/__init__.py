"""Leadspace: what a provider knows about our customers."""
