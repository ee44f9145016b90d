"""What one enrichment brought."""
