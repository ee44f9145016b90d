"""Segments at the command: what is published of them, new ones as files of the project, and frozen ones."""
