"""What `make bench-extract` runs: our extraction of mail beside dlt's, from one prepared service."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from benchmarks import prepared
from benchmarks.measure import BenchError, Process, Service, python_path, run, service
from emulators.tenant import Tenant

OURS, DLT = "engagement", "dlt"


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


def environment(url: str, folder: Path) -> dict[str, str]:
    """What an extraction of all mailboxes of a service needs, and nothing of the machine's own."""
    tenant = Tenant(now=prepared.NOW)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AZURE_", "ENGAGEMENT_", "LEADSPACE_"))
    }
    return kept | {
        "PYTHONPATH": python_path(),
        "ENGAGEMENT_CONFIG": str(folder / "enrichments.yml"),
        "ENGAGEMENT_DATA_DIR": str(folder / "data"),
        "ENGAGEMENT_PROJECT_DIR": str(Path(__file__).resolve().parents[2]),
        "ENGAGEMENT_AUTHORITY_URL": url,
        "ENGAGEMENT_GRAPH_URL": url,
        "ENGAGEMENT_RETRY_SECONDS": "5",
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def configure(folder: Path, mailboxes: int) -> None:
    """Writes enrichments.yml, the list of people, and customer files with one account."""
    (folder / "people.csv").write_text(
        "address\n" + "".join(f"{prepared.address_of(number)}\n" for number in range(mailboxes)), "utf-8"
    )
    (folder / "accounts.csv").write_text("account_id,name\nA1,Contoso\n", "utf-8")
    (folder / "contacts.csv").write_text("contact_id,account_id,email\nC1,A1,kim@contoso.example\n", "utf-8")
    consent = {"by": "Benchmark", "on": date(2026, 1, 5)}
    configuration = {
        "reporting": {"time_zone": "UTC"},
        "customers": {
            "accounts": {"path": "accounts.csv", "id": "account_id", "name": "name"},
            "contacts": {
                "path": "contacts.csv",
                "id": "contact_id",
                "account": "account_id",
                "email": "email",
            },
        },
        "enrichments": [
            {
                "type": "office",
                "name": "Account engagement",
                "output_table": "Office",
                "consent": consent,
                "tenant_consent": consent,
                "addresses": {"path": "people.csv"},
                # The shortest that is allowed: the days over which the messages are spread, and one.
                "retention": f"{prepared.DAYS + 1} days",
            }
        ],
    }
    (folder / "enrichments.yml").write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")


# In a process of its own: the database's memory must not become ours, which the next process would begin with.
_COUNT = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(*connection.execute(f"select count(*), count(distinct {sys.argv[3]}) from {sys.argv[2]}").fetchone())
"""


def counted(python: str, file: Path, table: str, key: str, folder: Path) -> tuple[int, int]:
    """Rows of a table, and distinct keys among them."""
    process = run([python, "-c", _COUNT, str(file), table, key], os.environ, folder)
    rows, distinct = process.output.split()
    return int(rows), int(distinct)


def measured(who: str, source: Service, work: Callable[[Path], tuple[Process, int, int]]) -> Run:
    """Runs something against a service; BenchError unless it landed every message once."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{who}-") as name:
        before = source.figures(begin=True)
        process, rows, distinct = work(Path(name))
        after = source.figures()
    if not rows == distinct == source.messages:
        raise BenchError(
            f"{who} landed {rows:,} rows with {distinct:,} distinct ids; {source.messages:,} messages were prepared"
        )
    assert after.first_page_at is not None
    return Run(
        who=who,
        messages=distinct,
        rows=rows,
        seconds=process.seconds,
        cpu_seconds=process.cpu_seconds,
        peak_mb=process.peak_mb,
        seconds_to_first_page=after.first_page_at - process.began,
        service_cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        requests=after.requests - before.requests,
    )


def ours(source: Service) -> Run:
    """One extraction by our command into a new private file."""

    def work(folder: Path) -> tuple[Process, int, int]:
        configure(folder, source.mailboxes)
        process = run(
            [sys.executable, "-m", "engagement", "extract", "office"],
            environment(source.url, folder),
            folder,
        )
        file = folder / "data" / "private.duckdb"
        return process, *counted(
            sys.executable, file, "raw.office_messages", "(mailbox_id, item_key)", folder
        )

    return measured(OURS, source, work)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=10)
    parser.add_argument("--messages", type=int, default=20_000, help="of each mailbox")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ours-only", action="store_true", help="without dlt")
    given = parser.parse_args(arguments)
    with service(given.mailboxes, given.messages) as source:
        for _ in range(given.repeat):
            one = ours(source)
            print(
                f"{one.rate:,.0f} messages/s, {one.cpu_per_million:.1f} CPU s/million, {one.peak_mb:.0f} MB,"
                f" {one.seconds:.2f} s ({one.seconds_to_first_page:.2f} s to the first page),"
                f" service {one.service_share:.0%} of the CPU, {one.requests:,} requests",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
