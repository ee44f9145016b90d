"""Dagster: two scheduled jobs, in a code location on the machine of the data, as the user who owns data/.

The secrets stand in the environment of that code location. An op that is ended ends the command with SIGTERM, and the
next run goes on from there. There are no retries: a run that failed is due again at the next tick.
"""

# No `from __future__ import annotations`: Dagster takes no context whose type is a string.
import subprocess

import dagster as dg

PROJECT = "/srv/engagement"
COMMAND = ".venv/bin/engagement"

DONE = 0
# Another run is going on, or somebody has the private file open.
BUSY = 8
# Done and published, with a warning: mailboxes that were not read, an export that failed.
WARNINGS = (9, 15)


def engagement(*arguments: str) -> int:
    """Run the command, what it says going to the op's own output, and give its exit code."""
    with subprocess.Popen([COMMAND, *arguments], cwd=PROJECT) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


@dg.op
def run(context: dg.OpExecutionContext) -> None:
    """Refresh account engagement where it is due."""
    code = engagement("run", "--if-due")
    if code == BUSY:
        context.log.info("busy; the next run tries again")
    elif code in WARNINGS:
        context.log.warning(f"done and published, with a warning: exit code {code} (docs/errors.md)")
    elif code != DONE:
        raise dg.Failure(f"exit code {code} (docs/errors.md)", allow_retries=False)


@dg.op
def watch() -> None:
    """Tell of refreshes that failed, were killed, are overdue or do not end: those fail the op, with 13."""
    if (code := engagement("watch")) != DONE:
        raise dg.Failure(f"exit code {code} (docs/errors.md)", allow_retries=False)


@dg.job(executor_def=dg.in_process_executor)
def engagement_run() -> None:
    run()


@dg.job(executor_def=dg.in_process_executor)
def engagement_watch() -> None:
    watch()


def none_going_on(context: dg.ScheduleEvaluationContext, job: str) -> bool:
    """Whether no run of the job is under way, or waits for its turn."""
    under_way = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    return not context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=under_way), limit=1)


@dg.schedule(
    job=engagement_run,
    cron_schedule="*/15 * * * *",
    should_execute=lambda context: none_going_on(context, "engagement_run"),
)
def every_quarter_of_an_hour() -> dg.RunRequest:
    return dg.RunRequest()


@dg.schedule(
    job=engagement_watch,
    cron_schedule="*/5 * * * *",
    should_execute=lambda context: none_going_on(context, "engagement_watch"),
)
def every_five_minutes() -> dg.RunRequest:
    return dg.RunRequest()


defs = dg.Definitions(schedules=[every_quarter_of_an_hour, every_five_minutes])
