"""How scores are spread, who moved, and whether the score earns its place."""
