"""The models on Apache Spark (docs/spark.md): what is needed beside dbt."""
