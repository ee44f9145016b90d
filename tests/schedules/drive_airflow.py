"""Runs the DAGs of a file in Airflow itself, by a Python of its own; the first argument is the file.

Prints what Airflow found and, for each DAG, the state in which its task ended. Airflow keeps all that it
keeps under AIRFLOW_HOME, which is made where it is not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb


def main(file: str) -> None:
    initdb()
    bag = DagBag(dag_folder=str(Path(file).parent), safe_mode=False)
    found = {"errors": sorted(bag.import_errors.values()), "dags": {}}
    for name, dag in sorted(bag.dags.items()):
        run = dag.test()
        found["dags"][name] = {
            "schedule": dag.schedule,
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "tasks": {task.task_id: str(task.state) for task in run.get_task_instances()},
        }
    print("\nFOUND " + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
