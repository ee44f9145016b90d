"""The original's columns with Spark on this machine alone: one script of SQL (spark.sql) over Parquet.

    python -m benchmarks.scale.rivals.rival_spark --raw raw --result spark.parquet

Three quarters of the memory are the heap of Java, since Spark takes more beside it. It spills beside the result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from benchmarks.scale.rivals.window import PERSONAL_MAIL_DOMAINS, Steps, Window, run, window_of
from benchmarks.scale.script import steps_of

SCRIPT = Path(__file__).with_name("spark.sql")
MEMORY_LIMIT_MB = 5000
RAW_TABLES = (
    "accounts",
    "contacts",
    "office_addresses",
    "office_mailboxes",
    "office_meetings",
    "office_messages",
    "office_units",
    "settings",
)


def session(memory_limit_mb: int, threads: int, folder: Path) -> SparkSession:
    """Spark in this process's own Java, with everything that it writes in one folder."""
    options = {
        "spark.driver.memory": f"{memory_limit_mb * 3 // 4}m",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        # adaptive execution puts small ones together; its default of 200 is for clusters
        "spark.sql.shuffle.partitions": str(16 * threads),
        "spark.sql.autoBroadcastJoinThreshold": "64m",
    }
    builder = SparkSession.builder.master(f"local[{threads}]").appName("rival")
    for name, value in options.items():
        builder = builder.config(name, value)
    made: SparkSession = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def stop(spark: SparkSession) -> None:
    """Stop Spark and wait for its Java, which otherwise outlives this process a little and is counted to nobody."""
    gateway: Any = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def window_of_raw(spark: SparkSession) -> Window:
    """The window of the raw tables."""

    def rows(query: str) -> list[Any]:
        return [tuple(row) for row in spark.sql(query).collect()]

    return window_of(
        rows("select enrichment_id, key, value from settings"),
        rows("select enrichment_id, mailbox_id, state, monitored_to from office_mailboxes"),
        rows(
            "select mailbox_id, kind, max(least(read_to, read_at)) from office_units group by mailbox_id, kind"
        ),
    )


def make_views(spark: SparkSession, window: Window) -> None:
    """The small views that say what is counted."""

    def view(name: str, schema: str, rows: Sequence[tuple[Any, ...]]) -> None:
        spark.createDataFrame(rows, schema).coalesce(1).createOrReplaceTempView(name)
        spark.sql(f"cache table {name}")

    view(
        "as_of",
        "time_zone string, as_of_on date, ends_before string",
        [(window.time_zone, window.as_of_on, str(window.ends_before_at))],
    )
    # of an instant Python would think that it is of the machine's time zone
    spark.sql(
        "select time_zone, as_of_on, cast(ends_before as timestamp) as ends_before_at from as_of"
    ).createOrReplaceTempView("as_of")
    view(
        "enrichments",
        "enrichment_no int, enrichment_id string, matches_domains boolean",
        [(number, *enrichment) for number, enrichment in enumerate(window.enrichments)],
    )
    view(
        "periods",
        "period_no int, level string, starts_on date, counts_to_on date",
        [(period.number, period.level, period.starts_on, period.counts_to_on) for period in window.periods],
    )
    view(
        "days",
        "day_on date, period_no int",
        [(day, period.number) for period in window.periods for day in period.days],
    )
    view("pieces", "day_on date, piece_no int", window.pieces)
    spark.read.csv(str(PERSONAL_MAIL_DOMAINS), header=True).createOrReplaceTempView("personal_mail_domains")


def compute(raw: Path, result_file: Path, memory_limit_mb: int | None, threads: int) -> Steps:
    """Write the result's Parquet file, and give the seconds of each step."""
    steps = Steps()
    with tempfile.TemporaryDirectory(dir=result_file.parent) as folder:
        spark = session(memory_limit_mb or MEMORY_LIMIT_MB, threads, Path(folder))
        try:
            for table in RAW_TABLES:
                spark.read.parquet(str(raw / table)).createOrReplaceTempView(table)
            steps.done("start")
            make_views(spark, window_of_raw(spark))
            steps.done("settings")
            for step, statements in steps_of(SCRIPT):
                for statement in statements:
                    spark.sql(statement)
                steps.done(step)
            written = Path(folder) / "result"
            spark.sql("select * from result").coalesce(1).write.parquet(str(written))
            [part] = written.glob("*.parquet")
            part.replace(result_file)
            steps.done("write")
        finally:
            stop(spark)
    return steps


if __name__ == "__main__":
    run(__doc__, compute)
