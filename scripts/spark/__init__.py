"""The project on Apache Spark (docs/spark.md)."""
