"""The Spark cluster of scripts/spark/cluster.py: it answers, listens on loopback alone, survives the loss of a worker
and leaves nothing running.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from project_fixtures import ROOT
from spark.cluster import WORKERS, Cluster, When, running

SPARK_PYTHON = Path(os.environ.get("ENGAGEMENT_SPARK_PYTHON", ROOT / ".venv-spark" / "bin" / "python"))

needs_spark = pytest.mark.skipif(
    not SPARK_PYTHON.is_file() or shutil.which("java") is None,
    reason="needs Java 17 and the environment of `make .venv-spark/installed`",
)


@pytest.mark.parametrize(
    ("when", "line", "has_come"),
    [
        ("40", "12:00:01  40 of 70 START sql table model marts.days ...... [RUN]", False),
        ("40", "12:00:01  41 of 70 START sql table model marts.days ...... [RUN]", True),
        ("40", "12:00:01  41 of 70 OK created sql table model marts.days ...... [OK in 1.2s]", False),
        ("0", "12:00:01  1 of 5 START hook: customer_engagement.on-run-start.0 .... [RUN]", False),
        ("0", "12:00:01  1 of 70 START seed file seeds.score_bands .... [RUN]", True),
        ("days", "12:00:01  3 of 70 START sql table model marts.office_days .... [RUN]", False),
        ("days", "12:00:01  3 of 70 START sql table model marts.days .... [RUN]", True),
        ("days", "12:00:01  3 of 70 OK created sql table model marts.days .... [OK in 1.2s]", False),
        ("0", "12:00:01  Running with dbt=1.11.16", False),
        ("30s", "12:00:01  41 of 70 START sql table model marts.days ...... [RUN]", False),
    ],
)
def test_a_worker_is_killed_at_the_line_of_dbt_that_was_named(when: str, line: str, has_come: bool) -> None:
    assert When.parsed(when).has_come(line) is has_come


def test_an_environment_without_spark_is_said_in_one_line(tmp_path: Path) -> None:
    asked = subprocess.run(
        [
            sys.executable,
            "-m",
            "spark.cluster",
            "--dir",
            tmp_path,
            "--python",
            sys.executable,
            "run",
            "--",
            "true",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
    )
    assert asked.returncode == 4
    assert asked.stderr.startswith("spark.cluster: error: ")
    assert len(asked.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("spark"), python=str(SPARK_PYTHON)) as started:
        yield started


def members(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def listening(pids: list[int]) -> set[str]:
    """The addresses, as /proc has them, on which processes listen."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(descriptor))
            except OSError:
                continue
    return {
        fields[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and f"socket:[{fields[9]}]" in inodes
    }


@pytest.mark.long
@needs_spark
def test_it_listens_on_loopback_alone_and_its_files_are_its_owners(cluster: Cluster) -> None:
    cluster.query("create table probe using parquet as select id from range(10)")
    groups = [server.process.pid for server in cluster.servers.values()]
    pids = [pid for group in groups for pid in members(group)]
    # four servers and the executor of each worker
    assert len(pids) == 6
    found = listening(pids)
    # the last byte of an address stands first: 7F is 127, also where it is wrapped into one of IPv6
    assert found and all(address.endswith("7F") for address in found), found
    files = [path for path in cluster.folder.rglob("*") if path.exists()]
    assert any(path.suffix == ".parquet" for path in files)
    assert not [path for path in files if path.stat().st_mode & 0o077]


@pytest.mark.long
@needs_spark
def test_a_query_goes_on_without_the_worker_that_it_ran_on(cluster: Cluster) -> None:
    """What the lost worker had written for the next stage is computed again, and nothing is counted twice."""
    sql = (
        "select count(*), sum(n), sum(h) from (select k, count(*) as n, sum(hash(id) % 1000) as h from"
        " (select id, id % 200000 as k from range(0, 20000000, 1, 24)) group by k)"
    )

    def tasks_done(host: str = "") -> int:
        return sum(
            executor["completedTasks"]
            for executor in cluster.executors()
            if executor["hostPort"].startswith(host)
        )

    before = tasks_done()
    expected = cluster.query(sql)
    assert expected[0][:2] == [200000, 20000000]
    done, there = tasks_done(), tasks_done(WORKERS[0])
    needed = done - before
    answers: list[list[list[object]]] = []
    asking = threading.Thread(target=lambda: answers.append(cluster.query(sql, seconds=240)))
    asking.start()
    # until it has written something that the next stage needs
    while asking.is_alive() and tasks_done(WORKERS[0]) < there + 3:
        time.sleep(0.05)
    told = cluster.kill_worker(because="in a test")
    asking.join()
    assert told["active_tasks"] >= 1
    assert answers == [expected]
    # What was lost has been done again.
    assert tasks_done() - done > needed
    states = {worker["host"]: worker["state"] for worker in cluster.workers()}
    assert states == {WORKERS[0]: "DEAD", WORKERS[1]: "ALIVE"}
    lost = [executor for executor in cluster.executors() if not executor["isActive"]]
    assert [executor["hostPort"].split(":")[0] for executor in lost] == [WORKERS[0]]
    # and the one that is left still answers
    assert cluster.query(sql) == expected


@pytest.mark.long
@needs_spark
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    """Also what it runs ends with it."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "spark.cluster", "--dir", tmp_path, "--python", SPARK_PYTHON, "run", "--",
            sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    groups = [int(child) for child in children]
    assert len(groups) == 5 and all(members(group) for group in groups)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    until = time.monotonic() + 30
    while time.monotonic() < until and any(members(group) for group in groups):
        time.sleep(0.2)
    assert not [pid for group in groups for pid in members(group)]


@pytest.mark.long
@needs_spark
def test_a_command_runs_with_the_clusters_address_and_its_end_is_passed_on(tmp_path: Path) -> None:
    asked = subprocess.run(
        [
            sys.executable, "-m", "spark.cluster", "--dir", tmp_path, "--python", SPARK_PYTHON, "run",
            "--report", tmp_path / "report.json", "--",
            sys.executable, "-c", "import os; print(os.environ['ENGAGEMENT_SPARK_PORT']); raise SystemExit(3)",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
    )  # fmt: skip
    assert asked.returncode == 3
    assert f"Thrift server at 127.0.0.1:{asked.stdout.strip()}," in asked.stderr
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["exit_code"] == 3 and report["killed"] == []
    assert [worker["state"] for worker in report["workers"]] == ["ALIVE", "ALIVE"]
