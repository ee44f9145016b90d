"""What makes pages out of the project: the star of docs/bi.md, and dbt's documentation as one file."""
