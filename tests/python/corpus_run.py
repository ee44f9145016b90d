"""Runs `engagement run` as a user would, on a corpus in an emulator process, and compares what it published.

Both are processes of their own, so that their time and memory are what they would be outside the tests.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from emulators.leadspace import TOKEN as LEADSPACE_TOKEN
from emulators.tenant import Tenant

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON_PATH = os.pathsep.join([str(CHECKOUT / "scripts"), str(Path(__file__).parent)])
START_SECONDS = 120.0
# what would make a run read or write something of another installation
FOREIGN_VARIABLES = (
    "ENGAGEMENT_PRIVATE_FILE",
    "ENGAGEMENT_PUBLISHED_FILE",
    "ENGAGEMENT_HASH_KEY",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CorpusRun:
    """One finished run; sizes in bytes, memory (peak resident) in MB, times in seconds."""

    folder: Path
    exit_code: int
    output: str
    facts: dict[str, Any]  # what `engagement run --json` printed
    emulator_start_seconds: float
    run_seconds: float
    run_cpu_seconds: float  # tells a slow run from a busy machine
    emulator_memory_mb: int
    run_memory_mb: int

    @property
    def private_file(self) -> Path:
        return self.folder / "data" / "private.duckdb"

    @property
    def published_file(self) -> Path:
        return self.folder / "data" / "engagement.duckdb"

    def measurements(self) -> dict[str, Any]:
        """Give what a note about the run states."""
        return {
            "messages": self.facts["office"]["messages"],
            "meetings": self.facts["office"]["meetings"],
            "slices": self.facts["office"]["slices"],
            "steps_seconds": self.facts["steps"],
            "run_seconds": round(self.run_seconds, 1),
            "run_cpu_seconds": round(self.run_cpu_seconds, 1),
            "emulator_start_seconds": round(self.emulator_start_seconds, 1),
            "run_memory_mb": self.run_memory_mb,
            "emulator_memory_mb": self.emulator_memory_mb,
            "private_file_mb": round(self.private_file.stat().st_size / 1e6, 1),
            "published_file_mb": round(self.published_file.stat().st_size / 1e6, 1),
        }

    def query(self, file: Path, sql: str) -> list[tuple[Any, ...]]:
        """Query one of the two files, read-only."""
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def run_corpus(
    tenant: str, write_files: Callable[[Path], Path], folder: Path, *, companies: Path | None = None
) -> CorpusRun:
    """Serve a tenant (`module:function`), run `engagement run --json` on it in a folder, stop the service.

    With `companies` the rows of that file stand behind Leadspace. The exit code is reported, not judged; the
    facts are empty where the run failed.
    """
    configuration = write_files(folder)
    began = time.monotonic()
    with ExitStack() as stack:
        leadspace_url = "http://127.0.0.1:9"
        if companies is not None:
            leadspace_url, _ = stack.enter_context(
                emulator("emulators.leadspace", "--companies", str(companies), folder=folder)
            )
        url, graph = stack.enter_context(emulator("emulators.graph", "--tenant", tenant, folder=folder))
        ready = time.monotonic()
        with (folder / "stdout").open("w+b") as stdout, (folder / "stderr").open("w+b") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "engagement", "run", "--json"],
                env=environment_of(url, leadspace_url, folder, configuration),
                cwd=folder,
                stdout=stdout,
                stderr=stderr,
            )
            # of all ways to wait only this one tells the memory of that one process and its children
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            ended = time.monotonic()
            for file in (stdout, stderr):
                file.seek(0)
            printed, complaints = stdout.read().decode(), stderr.read().decode()
        memory = _peak_memory_mb(graph.pid)
    return CorpusRun(
        folder=folder,
        exit_code=process.returncode,
        output=printed + complaints,
        facts=json.loads(printed) if process.returncode == 0 else {},
        emulator_start_seconds=ready - began,
        run_seconds=ended - ready,
        run_cpu_seconds=usage.ru_utime + usage.ru_stime,
        emulator_memory_mb=memory,
        run_memory_mb=usage.ru_maxrss // 1024,
    )


@contextmanager
def emulator(module: str, *arguments: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve with one of the emulators in a process of its own; its address and the process."""
    url_file = folder / f"{module}.url"
    log_file = folder / f"{module}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", module, *arguments),
                *("--url-file", str(url_file), "--until-input-ends"),
            ],
            env={**os.environ, "PYTHONPATH": PYTHON_PATH},
            # it ends when this process does, however that ends
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not url_file.exists():
            assert process.poll() is None, log_file.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, f"the emulator did not start in {START_SECONDS:.0f} s"
            time.sleep(0.05)
        yield url_file.read_text(encoding="utf-8"), process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def environment_of(url: str, leadspace_url: str, folder: Path, configuration: Path) -> dict[str, str]:
    """Give the environment of a command that works in `folder`, with nothing of another installation."""
    tenant = Tenant(now=datetime.now(UTC))  # for its ids and its secret
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return environ | {
        "PYTHONPATH": PYTHON_PATH,
        "ENGAGEMENT_PROJECT_DIR": str(CHECKOUT),
        "ENGAGEMENT_DATA_DIR": str(folder / "data"),
        "ENGAGEMENT_CONFIG": str(configuration),
        "ENGAGEMENT_AUTHORITY_URL": url,
        "ENGAGEMENT_GRAPH_URL": url,
        "ENGAGEMENT_LEADSPACE_URL": leadspace_url,
        "LEADSPACE_TOKEN": LEADSPACE_TOKEN,
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        # a proxy of the machine must not get between the two
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def _peak_memory_mb(process_id: int) -> int:
    """Give the peak of a running process, 0 where the system does not tell."""
    status = Path(f"/proc/{process_id}/status")
    if not status.exists():
        return 0
    lines = dict(
        line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if ":" in line
    )
    return int(lines["VmHWM"].split()[0]) // 1024


# ---------------------------------------------------------------------------------------------------
# comparing


def published_year_rows(run: CorpusRun) -> dict[str, dict[str, Any]]:
    """Give the year rows under the original's column names, and `meetings_count` of the mart, by account."""
    return _year_rows(run.published_file, 'enrichment."Office"')


def rebuilt_year_rows(run: CorpusRun, day: date, folder: Path) -> dict[str, dict[str, Any]]:
    """Build the models for another day on a copy of what a run landed, and give the year rows of that day."""
    private_file = folder / "private.duckdb"
    shutil.copyfile(run.private_file, private_file)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dbt.cli.main", "run", "--vars", json.dumps({"as_of_date": str(day)})),
            *("--project-dir", str(CHECKOUT), "--profiles-dir", str(CHECKOUT), "--target", "private"),
        ],
        env={
            **os.environ,
            "ENGAGEMENT_PRIVATE_FILE": str(private_file),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return _year_rows(private_file, "marts.original_account_engagement")


def _year_rows(file: Path, table: str) -> dict[str, dict[str, Any]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        result = connection.execute(
            f"""
            select original.*, plain.meetings_count
            from {table} as original
            join marts.account_engagement as plain on plain.primary_key = original."PrimaryKey"
            where original."AggregationLevel" = 'year'
            """
        )
        names = [column[0] for column in result.description or ()]
        rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    by_account = {row["CustomerId"]: row for row in rows}
    assert len(by_account) == len(rows), "two year rows of one account"
    return by_account


def differing_cells(
    published: Mapping[str, Row], expected: Mapping[str, Row], accounts: set[str]
) -> list[str]:
    """Compare every expected column of every account; a row that only one side has is one difference."""
    assert set(published) | set(expected) <= accounts, "rows of accounts that the customer file does not have"
    differing: list[str] = []
    for account_id in sorted(accounts):
        have, want = published.get(account_id), expected.get(account_id)
        if have is None or want is None:
            if have is not want:
                differing.append(f"{account_id}: row {'missing' if have is None else 'not expected'}")
            continue
        differing += [
            f"{account_id} {column}: published {have[column]}, expected {value}"
            for column, value in want.items()
            if not _same(have[column], value)
        ]
    return differing


def _same(have: Any, want: Any) -> bool:
    if isinstance(want, float) and isinstance(have, float):
        return math.isclose(have, want, rel_tol=1e-9)
    return type(have) is type(want) and have == want


def comparison(
    published: Mapping[str, Row], expected: Mapping[str, Row], accounts: set[str]
) -> dict[str, Any]:
    """Give how much was compared and what differs, by column."""
    differing = differing_cells(published, expected, accounts)
    return {
        "accounts": len(accounts),
        "rows": len(expected),
        "cells": sum(len(row) for row in expected.values()),
        "cells_differing": len(differing),
        "by_column": dict(Counter(line.split()[1].rstrip(":") for line in differing)),
        "differing": differing,
    }
