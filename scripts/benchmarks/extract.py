"""What `make bench-extract` runs: our extraction of mail beside dlt's, from one prepared service."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import yaml

from benchmarks import dlt_pipeline, prepared, report
from benchmarks.goals import goals
from benchmarks.measure import (
    BenchError,
    Process,
    Run,
    Service,
    environment_of,
    own_peak_mb,
    python_path,
    run,
    service,
)
from benchmarks.report import DLT, OURS, Result
from emulators.tenant import Tenant


def environment(url: str, folder: Path) -> dict[str, str]:
    """What an extraction of all mailboxes of a service needs, and nothing of the machine's own."""
    tenant = Tenant(now=prepared.NOW)
    return environment_of(folder) | {
        "ENGAGEMENT_AUTHORITY_URL": url,
        "ENGAGEMENT_GRAPH_URL": url,
        "ENGAGEMENT_RETRY_SECONDS": "5",
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
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
    if process.peak_mb <= own_peak_mb():
        raise BenchError(f"the peak of {who} cannot be seen: the benchmark itself took as much")
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


def beside(python: Path, source: Service) -> Run:
    """The same mail by dlt into a new DuckDB file, with the interpreter of an environment that has dlt."""

    def work(folder: Path) -> tuple[Process, int, int]:
        process = run(
            [
                *(str(python), "-m", "benchmarks.dlt_pipeline", "--url", source.url),
                *("--folder", str(folder), "--mailboxes", str(source.mailboxes)),
            ],
            {**os.environ, "PYTHONPATH": python_path(), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
            folder,
        )
        table = f"{dlt_pipeline.DATASET}.{dlt_pipeline.TABLE}"
        return process, *counted(str(python), folder / dlt_pipeline.FILE, table, "id", folder)

    return measured(DLT, source, work)


def versions_of(python: Path, libraries: Sequence[str]) -> dict[str, str]:
    """Versions of an environment's libraries; BenchError where one is missing."""
    code = "import sys; from importlib.metadata import version as v; print(*map(v, sys.argv[1:]))"
    done = subprocess.run([python, "-c", code, *libraries], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{', '.join(libraries)} not installed there")
    return dict(zip(libraries, done.stdout.split(), strict=True))


def missing_dlt(given: argparse.Namespace) -> str | None:
    """Why dlt is not measured; None where it is."""
    if given.ours_only:
        return "--ours-only"
    try:
        versions_of(given.dlt_python, dlt_pipeline.LIBRARIES)
    except (OSError, BenchError) as error:
        reason = error if isinstance(error, BenchError) else "no such interpreter"
        return f"dlt is not installed where --dlt-python says ({reason}); `make bench-extract` installs it"
    return None


def measure(given: argparse.Namespace, without_dlt: str | None, say: Callable[[str], None]) -> Result:
    """All runs: ours and dlt's in turn, then few and many mailboxes in turn."""
    result = Result(without_dlt=without_dlt)

    def note(runs: list[Run], one: Run) -> None:
        runs.append(one)
        say(
            f"{one.who}: {one.messages:,} messages, {one.rate:,.0f}/s, {one.cpu_per_million:.1f} CPU s a million,"
            f" {one.peak_mb:.0f} MB, {one.seconds:.1f} s; service {one.service_share:.1%} of the CPU"
        )

    with service(given.mailboxes, given.messages) as source:
        result.message_bytes = source.figures().bytes / source.messages
        for _ in range(given.repeat):
            note(result.ours, ours(source))
            if without_dlt is None:
                note(result.dlt, beside(given.dlt_python, source))
    few, many = given.flat
    result.flat = (few, many)
    with (
        service(few, given.flat_messages // few) as small,
        service(many, given.flat_messages // many) as large,
    ):
        for _ in range(given.flat_repeat or given.repeat):
            note(result.few, ours(small))
            note(result.many, ours(large))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every goal is met, 1 where one is not or was not measured, 2 where nothing could be measured.

    With --ours-only what needs dlt is not asked for.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.extract", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=10)
    parser.add_argument("--messages", type=int, default=50_000, help="of each mailbox")
    parser.add_argument("--flat", type=int, nargs=2, default=(10, 1_000), metavar=("FEW", "MANY"))
    parser.add_argument(
        "--flat-messages", type=int, default=500_000, help="in all mailboxes, where memory is compared"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--flat-repeat", type=int, help="where memory is compared; else as --repeat")
    parser.add_argument("--dlt-python", type=Path, default=Path(".venv-bench/bin/python"))
    parser.add_argument("--ours-only", action="store_true", help="without dlt")
    parser.add_argument("--json", action="store_true", help="everything as one JSON object on stdout")
    parser.add_argument("--docs", action="store_true", help=f"write docs/{report.DOCUMENT.name}")
    given = parser.parse_args(arguments)
    # Not resolved: a link to the interpreter is what makes it that of its environment.
    given.dlt_python = given.dlt_python.absolute()
    without_dlt = missing_dlt(given)
    try:
        result = measure(given, without_dlt, lambda line: print(line, file=sys.stderr, flush=True))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result.versions = {
        OURS: versions_of(Path(sys.executable), report.LIBRARIES),
        DLT: {} if without_dlt else versions_of(given.dlt_python, dlt_pipeline.LIBRARIES),
    }
    found = goals(result.ours, result.dlt, result.few, result.many)
    if given.json:
        print(report.as_json(result, found))
    else:
        print(report.as_table(result, found))
    if given.docs:
        report.DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
        report.DOCUMENT.write_text(report.as_document(result, found), encoding="utf-8")
    asked = [goal for goal in found if goal.value is not None or not given.ours_only]
    return 0 if all(goal.met for goal in asked) else 1


if __name__ == "__main__":
    sys.exit(main())
