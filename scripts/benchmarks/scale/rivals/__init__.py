"""What people would use instead: the same result by other tools, each a process of its own."""
