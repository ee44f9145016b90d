"""`make release-sample`: keeps a private file as this release makes it, for the tests of `engagement upgrade`.

A whole run of a small made-up company, of which the raw tables and the published file are kept, in the format of the
DuckDB that is installed, in tests/fixtures/releases/<version of the private file>. To be called once for each version,
when it is released; a sample that is there is never written over, since what it stands for does not change either.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

from conftest import ROOT, Workspace, small_tenant
from emulators.firmographics import Company
from emulators.graph import running
from emulators.leadspace import running as running_leadspace
from engagement.versions import current_version, layout

SAMPLES = ROOT / "tests" / "fixtures" / "releases"
# That of every sample, so that a run can go on from one.
HASH_KEY = "the hash key of every kept sample"
PRIVATE, PUBLISHED = "private.duckdb", "engagement.duckdb"
COMPANIES = [Company("Contoso Limited", "contoso.example", "Germany", industry="Chemicals")]


def keep(private_file: Path, published_file: Path, folder: Path) -> None:
    """Keeps the raw tables of a private file, without what dbt has made of them, and the published file as it is."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="sample-") as work:
        copy = Path(work) / PRIVATE
        with duckdb.connect(str(copy)) as connection:
            connection.execute(f"attach '{private_file}' as source (read_only)")
            connection.execute("create schema raw")
            for table, columns in layout(connection, database="source").items():
                listed = ", ".join(f'"{name}" {data_type}' for name, data_type in columns.items())
                connection.execute(f'create table raw."{table}" ({listed})')
                connection.execute(f'insert into raw."{table}" from source.raw."{table}"')
            connection.execute("checkpoint")
        for path, name in ((copy, PRIVATE), (published_file, PUBLISHED)):
            # Without a time, so that the same content gives the same file.
            with (
                (folder / f"{name}.gz").open("wb") as file,
                gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
            ):
                packed.write(path.read_bytes())


def unpack(version: int, name: str, target: Path) -> Path:
    """PRIVATE or PUBLISHED as the release with this version of the private file made it, at `target`."""
    with gzip.open(SAMPLES / str(version) / f"{name}.gz", "rb") as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
    target.chmod(0o600)
    return target


def refreshed(folder: Path) -> Workspace:
    """A workspace after a whole run: mail, calendars and company data."""
    workspace = Workspace(folder)
    workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY

    with running(small_tenant()) as graph, running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        workspace.connect_to(graph)
        workspace.enrich_companies(leadspace.url, office={})
        done = workspace.run("run", "--json")
    assert done.exit_code == 0, done.output
    return workspace


def main() -> None:
    version = current_version(ROOT)
    folder = SAMPLES / str(version)
    if folder.exists():
        sys.exit(
            f"release-sample: there is one of version {version} already; a new version comes first (docs/upgrading.md)"
        )
    with tempfile.TemporaryDirectory(prefix="release-") as made:
        workspace = refreshed(Path(made) / "workspace")
        keep(workspace.private_file, workspace.published_file, folder)
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder.relative_to(ROOT)}: {size_bytes:,} bytes; commit it")


if __name__ == "__main__":
    main()
