"""Who is in which segment, and why."""
