"""Processes with a clock: how long one took, its processor time and its most memory, and the services beside it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import msgspec

from benchmarks.prepared import BEGIN, FIGURES

SCRIPTS = Path(__file__).resolve().parents[1]
START_SECONDS = 300.0
# The unit of ru_maxrss: kilobytes, on macOS bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
MEGABYTE = 1_000_000


class BenchError(Exception):
    """A measurement that says nothing: a process failed, or the results differ."""


class Figures(msgspec.Struct):
    """What the service says of itself."""

    cpu_seconds: float
    requests: int
    messages: int
    bytes: int
    first_page_at: float | None
    last_page_at: float | None


@dataclass(frozen=True)
class Process:
    """One process that ended well, with those that it started and waited for."""

    began: float
    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Process:
    """Runs a process to its end. BenchError with its last lines where it fails.

    Memory is the largest of a process and those that it started, not their sum.
    """
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        # Of this process alone: the usage of all children would add the service and what was run before.
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if process.returncode != 0:
        raise BenchError(f"{' '.join(command[1:4])} ended with {process.returncode}: {errors[-2000:]}")
    return Process(
        began,
        seconds,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss * _RSS_UNIT / MEGABYTE,
        output,
    )


def own_peak_mb() -> float:
    """The most memory of this process, which is where the peak of each that it starts begins."""
    try:
        # Unlike ru_maxrss, without that of the process which started this one.
        status = Path("/proc/self/status").read_text("ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MEGABYTE
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / MEGABYTE


def python_path() -> str:
    """Where a process finds the package and the benchmarks."""
    return os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH", "")]))


def environment_of(folder: Path) -> dict[str, str]:
    """What the command needs beside the addresses and secrets of its services, and nothing of the machine's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AZURE_", "ENGAGEMENT_", "LEADSPACE_"))
    }
    return kept | {
        "PYTHONPATH": python_path(),
        "ENGAGEMENT_CONFIG": str(folder / "enrichments.yml"),
        "ENGAGEMENT_DATA_DIR": str(folder / "data"),
        "ENGAGEMENT_PROJECT_DIR": str(SCRIPTS.parent),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@dataclass(frozen=True)
class Service:
    """A prepared service that runs as a process of its own."""

    url: str
    mailboxes: int
    messages_each: int

    @property
    def messages(self) -> int:
        return self.mailboxes * self.messages_each

    def figures(self, *, begin: bool = False) -> Figures:
        """Totals since the service started; `begin` forgets the times of the pages."""
        # A proxy of the machine must not get between the two.
        with build_opener(ProxyHandler({})).open(
            self.url + FIGURES + (f"?{BEGIN}" if begin else ""), timeout=60
        ) as answer:
            return msgspec.json.decode(answer.read(), type=Figures)


@contextmanager
def service(mailboxes: int, messages_each: int) -> Iterator[Service]:
    """Starts a prepared service, waits until everything is prepared, and ends it."""
    with tempfile.TemporaryDirectory(prefix="prepared-") as folder:
        url_file = Path(folder) / "url"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.prepared", "--url-file", str(url_file)),
                *("--mailboxes", str(mailboxes), "--messages", str(messages_each)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": python_path()},
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not url_file.exists():
                if process.poll() is not None:
                    raise BenchError(f"the prepared service ended with {process.returncode}")
                if time.monotonic() > deadline:
                    raise BenchError(f"the prepared service did not start in {START_SECONDS:.0f} s")
                time.sleep(0.02)
            yield Service(url_file.read_text(encoding="utf-8"), mailboxes, messages_each)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Run:
    """One measured process and what the service saw of it."""

    who: str
    messages: int
    rows: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    seconds_to_first_page: float
    service_cpu_seconds: float
    requests: int

    @property
    def rate(self) -> float:
        """Messages a second, from the start of the process to its end."""
        return self.messages / self.seconds

    @property
    def cpu_per_million(self) -> float:
        """Processor seconds for a million messages."""
        return self.cpu_seconds / self.messages * 1_000_000

    @property
    def service_share(self) -> float:
        """The service's share of the processor time that both took."""
        return self.service_cpu_seconds / (self.service_cpu_seconds + self.cpu_seconds)
