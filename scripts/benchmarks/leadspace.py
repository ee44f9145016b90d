"""What `make bench-leadspace` runs: how near the extraction of company data comes to the service's documented limit.

An emulated Leadspace in a process of its own knows made-up companies by their exact names, and counts every call of
any one second strictly, submits and polls alike:

    bulk     100,000 customers: the time that so many calls take at 30 a second, against the time from the first call
             until the last answer was landed
    single   3,000 customers, each answered after 0.3 s: the same

What comes before and after (starting, planning, closing the file) is no matter of the limit and told beside. Both must
be within 5 %, with no more than one call in 200 answered 429 (a busy machine counts calls together that left apart), or
the exit code is 1. Beside them stands the promise of the original, Dynamics 365 Customer Insights: at least one minute
for 1,000 profiles.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import msgspec
import yaml

from benchmarks.measure import START_SECONDS, BenchError, environment_of, python_path, run
from emulators.firmographics import Company, Directory, Match
from emulators.leadspace import RESULTS_PATH, TOKEN, Emulator, Record, create_app
from emulators.leadspace_people import KnownPerson
from emulators.server import add_serving_options, serve

CALLS_PER_SECOND = 30
TOLERATED = 0.05
TOLERATED_REFUSALS = 0.005
# "At least one minute per 1,000 profiles" (Customer Insights' documentation of October 2020).
ORIGINAL_SECONDS_PER_CUSTOMER = 60 / 1_000
BULK, SINGLE = "bulk", "single"
COUNTRIES = ("Germany", "France", "Norway", "United States", "Japan")
TOPICS = ("Pumps", "Optics", "Foods", "Textiles", "Software", "Logistics")


# --- the service


def name_of(number: int) -> str:
    """The name of a made-up company."""
    return f"{TOPICS[number % len(TOPICS)]} {number:06d} Works"


def companies(count: int) -> list[Company]:
    """Made-up companies, the same on every call."""
    random = Random(7)
    return [
        Company(
            name_of(number),
            f"works{number:06d}.example",
            random.choice(COUNTRIES),
            city=f"City {random.randrange(900)}",
            street=f"{random.randrange(1, 200)} Main Street",
            postal_code=f"{random.randrange(100_000):05d}",
            industry=TOPICS[number % len(TOPICS)],
            sic=f"{random.randrange(10_000):04d}",
            employees=random.randrange(1, 90_000),
            revenue_usd=random.randrange(10**5, 10**10),
            description="Makes and sells " + " and ".join(random.sample(TOPICS, 3)),
            technologies=tuple(f"Technology {random.randrange(200)}" for _ in range(4)),
        )
        for number in range(count)
    ]


class ExactDirectory(Directory):
    """Finds a company by its exact name and nothing else, since matching is not what is measured."""

    def __init__(self, known: Sequence[Company]) -> None:
        self.companies = known
        self._by_name = {company.name: Match(company, "HIGH") for company in known}

    def match(self, name: str, website: str | None = None, country: str | None = None) -> Match | None:
        return self._by_name.get(name)


class PreparedEmulator(Emulator):
    """An emulator whose results were written before the first call came."""

    def prepare(self) -> None:
        """Writes the result of every company."""
        self._written: dict[str, bytes] = {}
        for company in self.directory.companies:
            result = super().result(Record(company.name, "", "", "", None), Match(company, "HIGH"), None)
            self._written[company.name] = msgspec.json.encode(result["data"])

    def result(self, record: Record, found: Match | KnownPerson | None, failing: int | None) -> Any:
        """What was written, under the id of this record."""
        written = self._written[record.name]
        return msgspec.Raw(
            b'{"status":"success","external_id":"%s","data":%s}'
            % ((record.external_id or "").encode(), written)
        )


def figures_of(emulator: Emulator) -> dict[str, Any]:
    """What the service saw: calls by kind and by status, and the most in any one second."""
    recent: deque[float] = deque()
    most = 0
    for request in emulator.requests:
        while recent and recent[0] <= request.at - 1.0:
            recent.popleft()
        recent.append(request.at)
        most = max(most, len(recent))
    polls = sum(request.path.startswith(RESULTS_PATH) for request in emulator.requests)
    return {
        "calls": len(emulator.requests),
        "polls": polls,
        "statuses": dict(Counter(str(request.status) for request in emulator.requests)),
        "most_in_a_second": most,
        "most_at_once": max((request.under_way for request in emulator.requests), default=0),
        "first_at": time.time() - time.monotonic() + emulator.requests[0].at if emulator.requests else 0.0,
        "cpu_seconds": time.process_time(),
        "spent": emulator.spent,
    }


def serve_prepared(arguments: Sequence[str]) -> None:
    """The service as a process: ends with its standard input, and leaves its figures behind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, required=True)
    parser.add_argument("--latency", type=float, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    add_serving_options(parser)
    given = parser.parse_args(arguments)
    app = create_app(
        ExactDirectory(companies(given.customers)),
        kind=PreparedEmulator,
        latency=given.latency,
        count_polls=True,
        calls_per_second=CALLS_PER_SECOND,
    )
    app.state.emulator.prepare()
    with contextlib.suppress(OSError):
        # A service that has to wait for a processor counts calls together that came one after another.
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    serve(app, given)
    given.figures.write_text(json.dumps(figures_of(app.state.emulator)), "utf-8")


# --- the measurement


@dataclass(frozen=True)
class Measured:
    """One extraction, as its process and as the service saw it. `seconds` are those from its first call to
    its last answer.
    """

    endpoint: str
    customers: int
    latency: float
    seconds: float
    command_seconds: float
    cpu_seconds: float
    peak_mb: float
    answered: int
    service: dict[str, Any]

    @property
    def allowed_seconds(self) -> float:
        """What the limit allows for so many calls."""
        return float(self.service["calls"]) / CALLS_PER_SECOND

    @property
    def over(self) -> float:
        """By what share it took longer."""
        return self.seconds / self.allowed_seconds - 1

    @property
    def faults(self) -> list[str]:
        """What is not as it must be."""
        found = []
        if self.over > TOLERATED:
            found.append(f"{self.endpoint}: {self.over:.1%} over the limit's time; at most {TOLERATED:.0%}")
        refused = self.service["statuses"].get("429", 0)
        if refused > TOLERATED_REFUSALS * self.service["calls"]:
            found.append(f"{self.endpoint}: {refused} calls were answered 429")
        if self.answered != self.customers or self.service["spent"] != self.customers:
            found.append(
                f"{self.endpoint}: {self.answered} of {self.customers} answered, {self.service['spent']} spent"
            )
        return found

    def lines(self) -> list[str]:
        """The figures for people."""
        original = self.customers * ORIGINAL_SECONDS_PER_CUSTOMER
        calls = self.service["calls"]
        return [
            f"{self.endpoint}: {self.customers:,} customers in {self.seconds:.1f} s, {calls:,} calls"
            f" ({self.service['polls']:,} polls) answered after {self.latency:g} s each",
            f"  the limit of {CALLS_PER_SECOND} a second allows {self.allowed_seconds:.1f} s: {self.over:+.1%};"
            f" most in any one second {self.service['most_in_a_second']}, most at once"
            f" {self.service['most_at_once']}, answered 429: {self.service['statuses'].get('429', 0)}",
            f"  the whole command {self.command_seconds:.1f} s with starting, planning and closing,"
            f" {self.cpu_seconds:.1f} s of processor, {self.peak_mb:,.0f} MB; the service"
            f" {self.service['cpu_seconds']:.1f} s of processor; load of the machine {os.getloadavg()[0]:.1f}",
            f"  the original promised {original:,.0f} s (a minute for 1,000 profiles):"
            f" {original / self.seconds:,.0f} times as long",
        ]


def configure(folder: Path, endpoint: str, customers: int) -> None:
    """Writes enrichments.yml and the customer files."""
    rows = "".join(f"A{number},{name_of(number)},works{number:06d}.example\n" for number in range(customers))
    (folder / "accounts.csv").write_text("account_id,name,website\n" + rows, "utf-8")
    (folder / "contacts.csv").write_text("contact_id,account_id,email\nC1,A0,kim@contoso.example\n", "utf-8")
    configuration = {
        "customers": {
            "accounts": {"path": "accounts.csv", "id": "account_id", "name": "name", "website": "website"},
            "contacts": {
                "path": "contacts.csv",
                "id": "contact_id",
                "account": "account_id",
                "email": "email",
            },
        },
        "enrichments": [
            {
                "type": "leadspace",
                "name": "Company data",
                "output_table": "Leadspace",
                "consent": {"by": "Benchmark", "on": date(2026, 1, 5)},
                "mapping": {"company_name": "name", "website": "website"},
                "endpoint": endpoint,
            }
        ],
    }
    (folder / "enrichments.yml").write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")


def measured(endpoint: str, customers: int, latency: float, folder: Path) -> Measured:
    """Starts a service, extracts from it, and ends it. BenchError where a process fails."""
    url_file, figures = folder / "url", folder / "figures.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.leadspace", "--serve", "--url-file", str(url_file)),
            *("--customers", str(customers), "--latency", str(latency), "--figures", str(figures)),
            "--until-input-ends",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not url_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the service did not start")
            time.sleep(0.02)
        configure(folder, endpoint, customers)
        given = environment_of(folder) | {
            "ENGAGEMENT_LEADSPACE_URL": url_file.read_text("utf-8"),
            "LEADSPACE_TOKEN": TOKEN,
        }
        command = [sys.executable, "-m", "engagement", "extract"]
        run([*command, "customers"], given, folder)
        done = run([*command, "leadspace", "--json"], given, folder)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)
        [result] = json.loads(done.output)["leadspace"]
        seen = json.loads(figures.read_text("utf-8"))
        with duckdb.connect(str(folder / "data" / "private.duckdb"), read_only=True) as connection:
            found = connection.execute("select epoch(max(settled_at)) from raw.leadspace_batches").fetchone()
        assert found is not None
        landed_at = float(found[0])
        return Measured(
            endpoint,
            customers,
            latency,
            landed_at - seen["first_at"],
            done.seconds,
            done.cpu_seconds,
            done.peak_mb,
            result["answered"],
            seen,
        )
    finally:
        process.kill()
        process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures both, prints the figures; 1 where a goal is missed, 2 where nothing could be measured."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if "--serve" in given:
        serve_prepared([argument for argument in given if argument != "--serve"])
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leadspace", description=__doc__)
    parser.add_argument("--bulk", type=int, default=100_000, metavar="CUSTOMERS", help="0 leaves it out")
    parser.add_argument("--single", type=int, default=3_000, metavar="CUSTOMERS", help="0 leaves it out")
    parser.add_argument("--bulk-latency", type=float, default=0.1, metavar="SECONDS")
    parser.add_argument("--single-latency", type=float, default=0.3, metavar="SECONDS")
    options = parser.parse_args(given)
    faults: list[str] = []
    for endpoint, customers, latency in (
        (BULK, options.bulk, options.bulk_latency),
        (SINGLE, options.single, options.single_latency),
    ):
        if not customers:
            continue
        with tempfile.TemporaryDirectory(prefix="bench-leadspace-") as folder:
            try:
                result = measured(endpoint, customers, latency, Path(folder))
            except BenchError as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
        print("\n".join(result.lines()), flush=True)
        faults += result.faults
    for fault in faults:
        print(f"missed: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
