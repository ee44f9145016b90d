"""Runs the jobs of a file in Dagster itself, by a Python of its own; the first argument is the file.

Prints, for each schedule, whether it asks for a run while none is under way and while one is, and how a run of its job
ends; Dagster's log goes to stderr. Dagster keeps all that it keeps under DAGSTER_HOME.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime

import dagster as dg


def main(file: str) -> None:
    spec = importlib.util.spec_from_file_location("definitions", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    definitions = module.defs
    dg.Definitions.validate_loadable(definitions)
    found = {}
    with dg.DagsterInstance.get() as instance:
        for schedule in definitions.schedules:
            job = definitions.get_job_def(schedule.job_name)

            def is_asked(schedule=schedule) -> bool:
                with dg.build_schedule_context(
                    instance=instance, scheduled_execution_time=datetime(2026, 7, 1, tzinfo=UTC)
                ) as context:
                    return bool(schedule.evaluate_tick(context).run_requests)

            alone = is_asked()
            under_way = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
            beside = is_asked()
            instance.delete_run(under_way.run_id)
            ended = job.execute_in_process(instance=instance, raise_on_error=False)
            found[schedule.job_name] = {
                "cron": schedule.cron_schedule,
                "asked_alone": alone,
                "asked_beside_another": beside,
                "success": ended.success,
            }
    print("\nFOUND " + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
