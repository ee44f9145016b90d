"""A real standalone Spark cluster on loopback: a master, two workers and a Thrift server, from the wheel `pyspark`.

    python -m spark.cluster serve                                         until Ctrl-C
    python -m spark.cluster run -- dbt build --target spark               for as long as a command runs
    python -m spark.cluster run --kill-worker-after 40 -- dbt build ...   and a node dies in the midst of it

For tests and for trying; a company has its own cluster (docs/spark.md). It is the same software with the same parts in
processes of their own, on addresses of their own, so that what is lost with a node is lost here too. Every port is free
when it is taken, everything listens on loopback alone, and nothing is left running, whatever ends this process. What it
writes (warehouse, metastore, logs) lies in ENGAGEMENT_SPARK_DIR and is as private as the private file.

Runs in any Python 3.11; `pyspark` and PyHive are those of the environment that `--python` names, by default this one.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, TypeVar

T = TypeVar("T")

SPARK_DIR = "ENGAGEMENT_SPARK_DIR"
SPARK_HOST, SPARK_PORT = "ENGAGEMENT_SPARK_HOST", "ENGAGEMENT_SPARK_PORT"
# The master and the driver; each worker has an address of its own (all of 127.0.0.0/8 is loopback on Linux), since
# Spark forgets whatever lies on a host when a worker of that host is lost, and would take both workers for one node.
LOOPBACK = "127.0.0.1"
WORKERS = ("127.0.0.2", "127.0.0.3")
SECONDS_TO_START = 300
SECONDS_TO_STOP = 15
# dbt's line of a node: "12:00:00  3 of 70 OK created sql table model marts.account_scores ... [OK in 1.20s]"
_NODE = re.compile(r"\b(?P<number>\d+) of (?P<total>\d+) (?P<what>START|[A-Z]+)\b(?P<rest>.*)")
_PR_SET_PDEATHSIG = 1

CONF: Mapping[str, str] = {
    "spark.sql.catalogImplementation": "hive",
    # timestamps are instants in UTC, whatever the machine's zone
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
    "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
    # Hadoop gives files rights of its own and asks no umask: what is computed from mail is its owner's alone.
    "spark.hadoop.fs.permissions.umask-mode": "077",
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.driver.memory": "1g",
    # One executor on each worker, whole: when a worker is lost, what is left is a worker whose executor goes on, and
    # nothing has to be placed anew before work does.
    "spark.executor.cores": "1",
    "spark.executor.memory": "768m",
    "spark.cores.max": "2",
    # More partitions only cost here; on a real cluster this is two to three times the cores.
    "spark.sql.shuffle.partitions": "2",
    # --- what a lost node takes along, and what is done about it
    # Shuffle files lie on the node that wrote them. Without a shuffle service, which would lie on the same node, they
    # are gone with it; the stages that wrote them run again. Each such round is one more attempt of a stage: four in a
    # row is the default, and a node that dies in a long chain of joins must not use them up.
    "spark.shuffle.service.enabled": "false",
    "spark.stage.maxConsecutiveAttempts": "10",
    # A task that died with its node does not count as failed; one that was cut off while it fetched may.
    "spark.task.maxFailures": "8",
    # No node is shut out for failures: with two of them, shutting out the one that is left ends the build.
    "spark.excludeOnFailure.enabled": "false",
    # A peer that does not answer is asked again for a quarter of a minute, and not for the minutes that a network may
    # need to recover: on loopback, who does not answer is dead.
    "spark.shuffle.io.maxRetries": "3",
    "spark.shuffle.io.retryWait": "2s",
    "spark.network.timeout": "60s",
    # A task's files appear when the whole write is committed, and not as each task ends: half of a task that died,
    # or two attempts of one, are never seen.
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "1",
    "spark.speculation": "false",
    # By its interface is seen what runs where, and what was lost.
    "spark.ui.enabled": "true",
    "spark.ui.port": "0",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "false",
}


class ClusterError(Exception):
    """The cluster could not be started or went away: one line, with the log to read."""


def spark_dir() -> Path:
    """Where warehouse, metastore and logs lie: ENGAGEMENT_SPARK_DIR, else `spark` in the data folder."""
    given = os.environ.get(SPARK_DIR)
    return Path(given) if given else Path(os.environ.get("ENGAGEMENT_DATA_DIR", "data")) / "spark"


@dataclass
class Server:
    """One process of the cluster, in a group of its own: with a worker goes the executor that it started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        """What it has said so far."""
        return self.log.read_text("utf-8", errors="replace")

    def signal(self, number: int) -> None:
        """Sends a signal to it and to what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@dataclass
class Cluster:
    """A cluster that is running; made by `running`. `host` and `port` are the Thrift server's."""

    folder: Path
    python: str
    servers: dict[str, Server] = field(default_factory=dict)
    host: str = LOOPBACK
    port: int = 0
    master_url: str = ""
    master_web: str = ""
    killed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What dbt's target `spark` reads."""
        return {SPARK_HOST: self.host, SPARK_PORT: str(self.port), SPARK_DIR: str(self.folder)}

    def query(self, sql: str, *, seconds: float = 120) -> list[list[Any]]:
        """The rows of a statement, through the Thrift server. ClusterError where it does not answer."""
        answer = subprocess.run(
            [self.python, "-c", _QUERY, self.host, str(self.port), sql],
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if answer.returncode != 0:
            last = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ClusterError(f"Thrift server at {self.host}:{self.port}: {last[:300]}")
        rows: list[list[Any]] = json.loads(answer.stdout)
        return rows

    def workers(self) -> list[dict[str, Any]]:
        """The workers as the master knows them."""
        found: list[dict[str, Any]] = _fetched(f"{self.master_web}/json/")["workers"]
        return found

    def executors(self) -> list[dict[str, Any]]:
        """The executors as the driver knows them, lost ones too (Spark's REST interface)."""
        found: list[dict[str, Any]] = self._driver("allexecutors")
        return [executor for executor in found if executor["id"] != "driver"]

    def failed_stages(self) -> list[dict[str, Any]]:
        """Attempts of stages that failed: after a node was lost those that wanted what it had written."""
        found: list[dict[str, Any]] = self._driver("stages?status=failed")
        return found

    def kill_worker(self, *, because: str, seconds: float = 20) -> dict[str, Any]:
        """Kills a worker with all it runs, as if its machine had lost its power; what it was doing then.

        Waits for it to be doing something (`seconds` long), so that something is lost.
        """
        name, host = "worker 1", WORKERS[0]
        until = time.monotonic() + seconds
        doing: dict[str, Any] = {}
        while time.monotonic() < until:
            found = [e for e in self.executors() if e["isActive"] and e["hostPort"].startswith(f"{host}:")]
            doing = found[0] if found else {}
            if doing.get("activeTasks"):
                break
            time.sleep(0.02)
        self.servers[name].signal(signal.SIGKILL)
        self.servers[name].process.wait()
        self.killed.append(
            {
                "server": name,
                "host": host,
                "because": because,
                "executor": doing.get("id"),
                "active_tasks": doing.get("activeTasks", 0),
                "completed_tasks": doing.get("completedTasks", 0),
                "shuffle_bytes_written": doing.get("totalShuffleWrite", 0),
            }
        )
        return self.killed[-1]

    def _driver(self, what: str) -> Any:
        found = re.search(r"service 'SparkUI' on port (\d+)", self.servers["thrift"].text())
        if found is None:
            raise ClusterError(f"the driver has no interface; see {self.servers['thrift'].log}")
        applications_url = f"http://{LOOPBACK}:{found[1]}/api/v1/applications"
        return _fetched(f"{applications_url}/{_fetched(applications_url)[0]['id']}/{what}")


# In the environment that has PyHive, which this process need not.
_QUERY = """
import json, sys
from pyhive import hive
cursor = hive.connect(host=sys.argv[1], port=int(sys.argv[2]), auth="NONE", username="engagement").cursor()
cursor.execute(sys.argv[3])
print(json.dumps(cursor.fetchall() if cursor.description else [], default=str))
"""


@contextmanager
def running(
    folder: Path, *, python: str = sys.executable, conf: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A cluster that answers, with its files in `folder`; stopped at the end, whatever the end is.

    `python` is the interpreter of the environment with pyspark and PyHive; `conf` goes over `CONF`. Raises ClusterError
    where it does not come up.
    """
    folder = folder.resolve()
    home = spark_home(python)
    before = os.umask(0o077)
    try:
        logs, work = folder / "logs", folder / "work"
        # What a killed cluster spilled and shuffled.
        shutil.rmtree(work, ignore_errors=True)
        for made in (folder, logs, work, folder / "warehouse", folder / "conf"):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            **CONF,
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.hadoop.javax.jdo.option.ConnectionURL": (
                f"jdbc:derby:;databaseName={folder / 'metastore_db'};create=true"
            ),
            **(conf or {}),
        }
        (folder / "conf" / "spark-defaults.conf").write_text(
            "".join(f"{name} {value}\n" for name, value in settings.items()), "utf-8"
        )
        cluster = Cluster(folder, python)
        try:
            _start(cluster, home)
            yield cluster
        finally:
            _stop(cluster)
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.umask(before)


def spark_home(python: str) -> str:
    """The folder of the wheel `pyspark` in an environment. ClusterError where it, or Java, is not there."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise ClusterError(
            "Java is not installed; Spark 4.1 needs Java 17 or 21 (Debian: openjdk-17-jre-headless)"
        )
    found = subprocess.run(
        [python, "-c", "import os, pyhive, pyspark; print(os.path.dirname(pyspark.__file__))"],
        capture_output=True,
        text=True,
    )
    if found.returncode != 0:
        raise ClusterError(f"{python}: has no pyspark or no PyHive; run `make .venv-spark/installed`")
    return found.stdout.strip()


def _start(cluster: Cluster, home: str) -> None:
    folder = cluster.folder
    spark_class, spark_submit = f"{home}/bin/spark-class", f"{home}/bin/spark-submit"
    until = time.monotonic() + SECONDS_TO_START

    def server(name: str, command: Sequence[str], *, host: str = LOOPBACK) -> Server:
        log = folder / "logs" / f"{name.replace(' ', '-')}.log"
        local = folder / "work" / name.replace(" ", "-")
        local.mkdir(mode=0o700)
        environment = os.environ | {
            "SPARK_HOME": home,
            "SPARK_CONF_DIR": str(folder / "conf"),
            "SPARK_LOCAL_IP": host,
            "SPARK_LOCAL_DIRS": str(local),
            # The Thrift server's is spark.driver.memory, unless this is set.
            **({} if name == "thrift" else {"SPARK_DAEMON_MEMORY": "256m"}),
            "SPARK_NO_DAEMONIZE": "1",
            "TZ": "UTC",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                # Derby writes its log into the working folder.
                cwd=local,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        cluster.servers[name] = Server(name, process, log)
        return cluster.servers[name]

    def said(from_: Server, pattern: str) -> str:
        found = _wait(cluster, from_, until, lambda: re.search(pattern, from_.text()))
        assert found is not None
        return found[1]

    main = "org.apache.spark.deploy"
    master = server(
        "master",
        [spark_class, f"{main}.master.Master", "--host", LOOPBACK, "--port", "0", "--webui-port", "0"],
    )
    cluster.master_url = said(master, r"Starting Spark master at (spark://[\d.]+:\d+)")
    cluster.master_web = said(master, r"started at (http://[\d.]+:\d+)")
    for number, host in enumerate(WORKERS, 1):
        server(
            f"worker {number}",
            [
                spark_class, f"{main}.worker.Worker", "--host", host, "--port", "0", "--webui-port", "0",
                "--cores", "1", "--memory", "1g", "--work-dir", str(folder / "work" / f"worker-{number}"),
                cluster.master_url,
            ],
            host=host,
        )  # fmt: skip
    thrift = server(
        "thrift",
        [
            spark_submit, "--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
            "--master", cluster.master_url, "--name", "engagement",
            "--hiveconf", "hive.server2.thrift.port=0",
            "--hiveconf", f"hive.server2.thrift.bind.host={LOOPBACK}",
            "spark-internal",
        ],
    )  # fmt: skip
    _wait(
        cluster,
        cluster.servers["worker 1"],
        until,
        lambda: [worker["state"] for worker in cluster.workers()] == ["ALIVE"] * len(WORKERS),
    )
    cluster.port = int(said(thrift, r"ThriftBinaryCLIService on port (\d+)"))

    def answers() -> bool:
        # A query that runs on the workers, and both of them have their executor.
        with contextlib.suppress(ClusterError):
            cluster.query("select count(*) from range(0, 100, 1, 4)")
            return len([1 for executor in cluster.executors() if executor["isActive"]]) == len(WORKERS)
        return False

    _wait(cluster, thrift, until, answers)


def _die_with_parent() -> None:
    """In the new process: it is told to end when this one dies, also by a SIGKILL, which nobody can handle."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(cluster: Cluster, server: Server, until: float, asked: Callable[[], T]) -> T:
    """The first answer that is something. ClusterError where a server has ended or time is up."""
    while True:
        for one in cluster.servers.values():
            if one.process.poll() is not None:
                raise ClusterError(
                    f"Spark's {one.name} ended with {one.process.returncode} before it answered; see {one.log}"
                )
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if answer := asked():
                return answer
        if time.monotonic() > until:
            raise ClusterError(
                f"Spark's {server.name} did not answer in {SECONDS_TO_START} s; see {server.log}"
            )
        time.sleep(0.25)


def _stop(cluster: Cluster) -> None:
    """Ends all processes, those first that need the others; what does not end is killed."""
    for name in ("thrift", *(f"worker {number + 1}" for number in range(len(WORKERS))), "master"):
        if (server := cluster.servers.get(name)) is None:
            continue
        server.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(SECONDS_TO_STOP)
        # Its executors are of the same group, and may outlive it for a moment.
        server.signal(signal.SIGKILL)
        server.process.wait()


def _fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


# --- the command


@dataclass(frozen=True)
class When:
    """When a worker is killed: after `seconds`, after so many `nodes` of dbt's, or as dbt begins the node `name`."""

    seconds: float | None = None
    nodes: int | None = None
    name: str | None = None

    @staticmethod
    def parsed(text: str) -> When:
        """`30s`, `40` or the name of a node."""
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)s", text):
            return When(seconds=float(match[1]))
        return When(nodes=int(text)) if text.isdigit() else When(name=text)

    def has_come(self, line: str) -> bool:
        """Whether dbt's line says so."""
        if (match := _NODE.search(line)) is None:
            return False
        is_start = match["what"] == "START" and not match["rest"].startswith(" hook:")
        if self.name is not None:
            return is_start and re.search(rf"\b{re.escape(self.name)}\b", match["rest"]) is not None
        # Lines of nodes that run side by side come out of order: what is begun has the number before it behind it.
        return self.nodes is not None and is_start and int(match["number"]) > self.nodes


def run(cluster: Cluster, command: Sequence[str], *, kill: When | None = None, output: TextIO) -> int:
    """Runs a command with the cluster's environment, its output passed on; its exit code."""
    process = subprocess.Popen(
        command,
        env=os.environ | cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    assert process.stdout is not None
    pending = [kill] if kill is not None else []
    strikes: list[threading.Thread] = []

    def strike(because: str) -> None:
        if not pending:
            return
        pending.clear()
        told = cluster.kill_worker(because=because)
        _say(
            f"killed {told['server']} ({told['host']}) with SIGKILL {told['because']}: its executor {told['executor']}"
            f" was running {told['active_tasks']} tasks, had done {told['completed_tasks']} and had written"
            f" {told['shuffle_bytes_written']:,} bytes of shuffle files, all of it lost"
        )

    timer = None
    if kill is not None and kill.seconds is not None:
        timer = threading.Timer(kill.seconds, strike, [f"after {kill.seconds:g} s"])
        timer.daemon = True
        timer.start()
    try:
        for line in process.stdout:
            output.write(line)
            output.flush()
            if pending and not strikes and pending[0].has_come(line):
                # Beside, so that what dbt says is passed on while something to lose is waited for.
                what = re.sub(r"^.*?(?=\d+ of )|[\s.]*\[RUN\]\s*$", "", line)
                strikes.append(threading.Thread(target=strike, args=[f"at {what!r}"]))
                strikes[0].start()
        exit_code = process.wait()
        for thread in strikes:
            thread.join()
        return exit_code
    finally:
        if timer is not None:
            timer.cancel()
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_STOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _report(cluster: Cluster, exit_code: int) -> dict[str, Any]:
    """What was killed, and what Spark says became of it."""
    return {
        "exit_code": exit_code,
        "killed": cluster.killed,
        "executors": [
            {
                "id": executor["id"],
                "host": executor["hostPort"].split(":")[0],
                "is_active": executor["isActive"],
                "why_removed": executor.get("removeReason"),
                "completed_tasks": executor["completedTasks"],
                "failed_tasks": executor["failedTasks"],
            }
            for executor in cluster.executors()
        ],
        "failed_stages": [
            {
                "stage": stage["stageId"],
                "attempt": stage["attemptId"],
                "why": str(stage.get("failureReason"))[:200],
            }
            for stage in cluster.failed_stages()
        ],
        "workers": [{"host": worker["host"], "state": worker["state"]} for worker in cluster.workers()],
    }


def _say(text: str) -> None:
    print(f"spark.cluster: {text}", file=sys.stderr, flush=True)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code is that of what was run, 2 for wrong arguments and 4 where the cluster fails."""
    parser = argparse.ArgumentParser(
        prog="python -m spark.cluster", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--dir", type=Path, default=None, help=f"where its files lie (else {SPARK_DIR})")
    parser.add_argument("--python", default=sys.executable, help="interpreter with pyspark and PyHive")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="until Ctrl-C")
    run_parser = commands.add_parser("run", help="for as long as a command runs")
    run_parser.add_argument(
        "--kill-worker-after",
        metavar="NODES|SECONDSs|NAME",
        type=When.parsed,
        help="kill a worker when dbt has done so many nodes (40), after seconds (30s), or when dbt begins a node",
    )
    run_parser.add_argument("--report", type=Path, help="write what was killed and lost as JSON")
    run_parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ...")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _end)
    started = time.monotonic()
    try:
        with running(given.dir or spark_dir(), python=given.python) as cluster:
            _say(
                f"master {cluster.master_url}, workers {', '.join(WORKERS)}, Thrift server at"
                f" {cluster.host}:{cluster.port}, up after {time.monotonic() - started:.0f} s; files in"
                f" {cluster.folder}"
            )
            if given.command == "serve":
                print(" ".join(f"{name}={value}" for name, value in cluster.environment.items()), flush=True)
                while True:
                    for server in cluster.servers.values():
                        if server.process.poll() is not None:
                            raise ClusterError(f"Spark's {server.name} has ended; see {server.log}")
                    time.sleep(0.5)
            command = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
            if not command:
                run_parser.error("name what is to be run: -- dbt build --target spark")
            exit_code = run(cluster, command, kill=given.kill_worker_after, output=sys.stdout)
            if given.kill_worker_after is not None and not cluster.killed:
                raise ClusterError("the command ended before a worker was to be killed; kill one earlier")
            if given.report is not None:
                given.report.write_text(json.dumps(_report(cluster, exit_code), indent=2) + "\n", "utf-8")
            return exit_code
    except ClusterError as error:
        _say(f"error: {error}")
        return 4


if __name__ == "__main__":
    sys.exit(main())
