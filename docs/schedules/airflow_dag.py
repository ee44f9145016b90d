"""Airflow 3: two DAGs for the worker on the machine of the data, which runs as the user who owns data/.

The secrets stand in the environment of that worker; BashOperator hands it on as it is. A task that is ended gets
SIGTERM, and the next run goes on from there. There are no retries: a run that failed is due again at the next tick.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = "/srv/engagement"
# The queue of the worker on that machine.
QUEUE = "engagement"

# Another run is going on, or somebody has the private file open.
BUSY = 8
# Done and published, with a warning (9, 15): green, and a line in the log.
RUN = """
code=0
.venv/bin/engagement run --if-due || code=$?
case $code in
    9 | 15) echo "warning: done and published, with exit code $code (docs/errors.md)" ;;
    *) exit "$code" ;;
esac
"""
# 13, a run that needs attention, fails the task, and so does what Airflow has for that.
WATCH = ".venv/bin/engagement watch "

with DAG(
    "engagement_run",
    description="Refreshes account engagement where it is due",
    schedule="*/15 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    BashOperator(task_id="run", bash_command=RUN, cwd=PROJECT, queue=QUEUE, retries=0, skip_on_exit_code=BUSY)

with DAG(
    "engagement_watch",
    description="Tells of refreshes that failed, were killed, are overdue or do not end",
    schedule="*/5 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    BashOperator(
        task_id="watch",
        bash_command=WATCH,
        cwd=PROJECT,
        queue=QUEUE,
        retries=0,
        execution_timeout=timedelta(minutes=2),
    )
