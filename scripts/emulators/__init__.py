"""Loopback emulators of the services that the extractors talk to: for the demo and for tests only."""
