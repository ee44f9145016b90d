"""The project at the size of a whole tenant, beside hand-written SQL and what people would use instead."""
