"""Measurements of what the command does; never imported by the package."""
