"""`engagement upgrade`: the private file of every release is brought to this one, and all of it is still there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Workspace, holding_open
from engagement import old_copies, versions, warehouse
from engagement.migrations import MIGRATIONS
from engagement.rebuild import OF_THE_NEWEST_REFRESH
from engagement.versions import VERSION, current_version
from other_duckdb import python_with_duckdb
from project_fixtures import run_dbt
from release_sample import HASH_KEY, PRIVATE, PUBLISHED, SAMPLES, unpack

pytestmark = pytest.mark.faults

CURRENT = current_version(ROOT)
RELEASES = sorted(int(path.name) for path in SAMPLES.iterdir())
# The last DuckDB of the line before, whose files are in a format of their own.
EARLIER_DUCKDB = "1.5.5"
KIM = "kim@contoso.example"

Rows = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


def of_release(folder: Path, version: int) -> Workspace:
    """A workspace with the private file of a release."""
    workspace = Workspace(folder)
    workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY
    workspace.private_file.parent.mkdir(mode=0o700)
    unpack(version, PRIVATE, workspace.private_file)
    return workspace


@pytest.fixture
def oldest(tmp_path: Path) -> Workspace:
    return of_release(tmp_path, RELEASES[0])


def rows_of(path: Path) -> Rows:
    """Every raw table with its columns and rows."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            table: (
                list(columns),
                connection.execute(f'select {", ".join(columns)} from raw."{table}" order by all').fetchall(),
            )
            for table, columns in versions.layout(connection).items()
        }


def said(workspace: Workspace) -> str:
    """The version that the private file says it is of."""
    ((value,),) = workspace.query(f"select value from raw.settings where key = '{VERSION}'")
    return str(value)


def says(path: Path, version: str) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"delete from raw.settings where key = '{VERSION}'")
        connection.execute(f"insert into raw.settings values ('', '{VERSION}', '{version}')")


# --- the samples


def test_there_is_a_sample_of_every_release() -> None:
    assert [migration.to for migration in MIGRATIONS] == list(range(2, CURRENT + 1))
    # That of the newest is kept when it is released.
    assert set(RELEASES) in (set(range(1, CURRENT)), set(range(1, CURRENT + 1)))
    assert sum(path.stat().st_size for path in SAMPLES.glob("*/*")) < 1_500_000


def test_the_page_has_every_version_with_its_words() -> None:
    text = (ROOT / "docs" / "upgrading.md").read_text("utf-8")
    told = dict(re.findall(r"^\| (\d+) \| (.+) \|$", text, re.MULTILINE))
    assert list(map(int, told)) == list(range(1, CURRENT + 1))


def test_the_raw_schema_changes_with_the_version_alone(tmp_path: Path) -> None:
    """What was released is in users' files: another column asks for another version, and so for a migration."""
    if CURRENT not in RELEASES:
        pytest.skip(f"version {CURRENT} is not released yet")
    workspace = Workspace(tmp_path)
    with warehouse.private_file(workspace.settings()) as connection:
        today = versions.layout(connection)
    with duckdb.connect(str(unpack(CURRENT, PRIVATE, tmp_path / "sample.duckdb"))) as connection:
        released = versions.layout(connection)
    different = [table for table in {*today, *released} if today.get(table) != released.get(table)]
    order = [table for table in today if list(today[table]) != list(released.get(table, ()))]
    assert not different and not order, (
        f"raw.{', raw.'.join(sorted({*different, *order}))}: other columns than version {CURRENT} was released with;"
        " raise private_file_version in models/staging/runs/_runs__sources.yml and add a migration (docs/upgrading.md)"
    )


@pytest.mark.parametrize("version", RELEASES)
def test_the_version_of_every_sample_is_known(version: int, tmp_path: Path) -> None:
    with duckdb.connect(str(unpack(version, PRIVATE, tmp_path / PRIVATE))) as connection:
        assert versions.version_of(connection) == version
        connection.execute(f"delete from raw.settings where key = '{VERSION}'")
        assert versions.version_of(connection) == version


@pytest.mark.parametrize("version", RELEASES)
def test_no_sample_names_a_place_or_holds_what_is_not_made_up(version: int, tmp_path: Path) -> None:
    with duckdb.connect(str(unpack(version, PRIVATE, tmp_path / PRIVATE)), read_only=True) as connection:
        for table, columns in versions.layout(connection).items():
            text = str(connection.execute(f'select {", ".join(columns)} from raw."{table}"').fetchall())
            assert not re.search(r"/(tmp|home|work|root|Users)/|127\.0\.0\.1|localhost", text), table
            assert not re.search(r"@(?!\w+\.example)", text), table


# --- upgrading


@pytest.mark.parametrize("version", [version for version in RELEASES if version < CURRENT])
def test_a_private_file_of_every_release_is_upgraded_with_all_its_rows(version: int, tmp_path: Path) -> None:
    workspace = of_release(tmp_path, version)
    before, bytes_before = rows_of(workspace.private_file), workspace.private_file.read_bytes()
    refused = workspace.run("extract", "customers")
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"error: private.duckdb: is of version {version}, this release works with version {CURRENT}: run `engagement"
        " upgrade`\n",
    )
    tried = workspace.run("upgrade", "--dry-run", "--json")
    assert tried.exit_code == 0 and json.loads(tried.stdout)["version"] == version
    # Neither has changed anything.
    assert workspace.private_file.read_bytes() == bytes_before

    done = workspace.run("upgrade", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["version"], facts["current_version"], facts["upgraded"]) == (version, CURRENT, True)
    after = rows_of(workspace.private_file)
    assert {table: columns for table, (columns, _) in after.items()} == {
        table: [name for name, _ in columns] for table, columns in warehouse.raw_schema(ROOT).items()
    }
    for table, (columns, rows) in before.items():
        if table in OF_THE_NEWEST_REFRESH:
            assert after[table][1] == []
            continue
        shared = [name for name in columns if name in after[table][0] and (table, name) != ("runs", "state")]
        assert selected(after, table, shared) == sorted(
            map(str, selected_rows(columns, rows, shared, without_version=table == "settings"))
        )
    assert said(workspace) == str(CURRENT)
    kept = workspace.private_file.with_name(f"private.duckdb.version-{version}.bak")
    assert kept.read_bytes() == bytes_before
    for path in (kept, workspace.private_file):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not list(workspace.private_file.parent.glob(".*"))
    # Another time there is nothing to do, and nothing is done.
    size = workspace.private_file.stat()
    again = workspace.run("upgrade")
    assert again.exit_code == 0 and "nothing to do" in again.stdout
    assert workspace.private_file.stat() == size
    # And every command works.
    assert workspace.run("extract", "customers").exit_code == 0
    assert said(workspace) == str(CURRENT)


def selected_rows(
    columns: list[str], rows: list[tuple[Any, ...]], names: list[str], *, without_version: bool
) -> list[tuple[Any, ...]]:
    places = [columns.index(name) for name in names]
    return [tuple(row[place] for place in places) for row in rows if not (without_version and VERSION in row)]


def selected(tables: Rows, table: str, names: list[str]) -> list[str]:
    columns, rows = tables[table]
    return sorted(map(str, selected_rows(columns, rows, names, without_version=table == "settings")))


def test_what_a_run_ended_as_is_told_in_todays_words(oldest: Workspace) -> None:
    with duckdb.connect(str(oldest.private_file)) as connection:
        ((run_id, state, chosen, read),) = connection.execute(
            "select run_id, state, mailboxes_selected, mailboxes_read from raw.runs"
        ).fetchall()
        assert (state, chosen, read) == ("extracted", 4, 4)
        connection.execute(
            "insert into raw.runs by name select 'b' as run_id, 'incomplete' as state, 4 as mailboxes_selected"
            " union all by name select 'c' as run_id, 'extracting' as state"
            " union all by name"
            " select 'd' as run_id, 'extracted' as state, 4 as mailboxes_selected, 3 as mailboxes_read"
        )
    assert oldest.run("upgrade").exit_code == 0
    assert oldest.query("select run_id, state from raw.runs order by all") == [
        (run_id, "done"),
        ("b", "failed"),
        ("c", "killed"),
        ("d", "done"),
    ]
    assert oldest.query(
        "select run_id, enrichment_id, state, selected, processed from raw.enrichment_runs order by all"
    ) == [
        (run_id, "account-engagement", "successful", 4, 4),
        ("b", "account-engagement", "failed", 4, None),
        ("d", "account-engagement", "completed_with_warnings", 4, 3),
    ]


def test_whose_mailboxes_a_run_read_is_not_guessed(oldest: Workspace) -> None:
    with duckdb.connect(str(oldest.private_file)) as connection:
        connection.execute(
            "insert into raw.office_mailboxes by name select * replace ('other' as enrichment_id)"
            " from raw.office_mailboxes limit 1"
        )
    assert oldest.run("upgrade").exit_code == 0
    assert oldest.query("select count(*) from raw.enrichment_runs") == [(0,)]


def test_a_file_that_plain_dbt_of_an_earlier_release_has_mended_is_upgraded(oldest: Workspace) -> None:
    """It added the columns and tables that were missing, at the end, and left what had gone."""
    with duckdb.connect(str(oldest.private_file)) as connection:
        connection.execute("alter table raw.runs add column error varchar")
        connection.execute("alter table raw.runs add column published_at timestamp")
        for table, columns in warehouse.raw_schema(ROOT).items():
            listed = ", ".join(f"{name} {data_type}" for name, data_type in columns)
            connection.execute(f"create table if not exists raw.{table} ({listed})")
    assert oldest.run("upgrade").exit_code == 0
    assert oldest.query("select state from raw.runs") == [("done",)]
    assert oldest.query("select count(*) from raw.enrichment_runs") == [(1,)]


def test_a_table_that_this_release_does_not_know_stays(oldest: Workspace) -> None:
    with duckdb.connect(str(oldest.private_file)) as connection:
        connection.execute("create table raw.of_somebody as select 1 as a, 'b' as c")
    assert oldest.run("upgrade").exit_code == 0
    assert oldest.query("from raw.of_somebody") == [(1, "b")]


def test_columns_in_another_order_are_brought_to_todays(workspace: Workspace) -> None:
    """Rows are appended by position."""
    with warehouse.private_file(workspace.settings()) as connection:
        connection.execute("insert into raw.contacts values ('C1', 'A1', 1, 'contoso.example')")
        connection.execute("alter table raw.contacts drop column account_id")
        connection.execute("alter table raw.contacts add column account_id varchar")
    refused = workspace.run("extract", "customers")
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"error: private.duckdb: is of version {CURRENT}, but 1 of its tables are not as that version has them"
        " (raw.contacts): run `engagement upgrade`\n"
    )
    done = workspace.run("upgrade")
    assert done.exit_code == 0 and "other columns: contacts" in done.stdout
    assert workspace.query("from raw.contacts") == [("C1", None, 1, "contoso.example")]
    assert workspace.private_file.with_name(f"private.duckdb.version-{CURRENT}.bak").exists()


# --- newer files, and DuckDB's formats


def test_a_private_file_of_a_newer_release_is_refused_and_not_touched(workspace: Workspace) -> None:
    with warehouse.private_file(workspace.settings()):
        pass
    says(workspace.private_file, str(CURRENT + 2))
    before = workspace.private_file.read_bytes()
    line = (
        f"error: private.duckdb: is of version {CURRENT + 2}, made by a newer release than this one, which works with"
        f" version {CURRENT}: install that release, or restore a backup (docs/backups.md)\n"
    )
    for command in (
        ["extract", "customers"],
        ["run"],
        ["upgrade"],
        ["upgrade", "--dry-run"],
        ["access", KIM],
        ["erase", KIM, "--yes"],
        ["remove", "account-engagement", "--yes"],
        ["backup", str(workspace.root / "backup")],
        ["diff"],
    ):
        if command[0] == "remove":
            workspace.configure(active=False)
        done = workspace.run(*command)
        assert (done.exit_code, done.stderr.splitlines(keepends=True)[-1:]) == (2, [line]), command
        assert workspace.private_file.read_bytes() == before, command
    # The published file and the state are looked at all the same.
    assert workspace.run("status").exit_code == 0


def in_format(path: Path, number: int) -> None:
    """Writes another number of the format into both places of a DuckDB file, with the checksums of the blocks."""

    def checksum(block: bytes) -> int:
        result = 5381
        for (word,) in struct.iter_unpack("<Q", block):
            result ^= (word * 0xBF58476D1CE4E5B9) % 2**64
        return result

    content = bytearray(path.read_bytes())
    # The main header has it at byte 12; the two of the database after six words of theirs.
    for begin, place in ((0, 12), (4096, 56), (8192, 56)):
        struct.pack_into("<Q", content, begin + place, number)
        struct.pack_into("<Q", content, begin, checksum(bytes(content[begin + 8 : begin + 4096])))
    path.write_bytes(content)


@pytest.mark.parametrize(("number", "said"), [(70, "newer one"), (63, "between the two")])
def test_fault_53_a_format_that_duckdb_does_not_read_is_refused_in_one_line(
    number: int, said: str, workspace: Workspace
) -> None:
    with warehouse.private_file(workspace.settings()):
        pass
    in_format(workspace.private_file, number)
    before = workspace.private_file.read_bytes()
    for command in (["upgrade"], ["extract", "customers"], ["access", KIM]):
        done = workspace.run(*command)
        assert done.exit_code == 2 and done.stderr.count("\n") == 1, done.output
        assert done.stderr.startswith(
            f"error: private.duckdb: is in format {number}, written by DuckDB v{duckdb.__version__}; DuckDB"
            f" {duckdb.__version__}, which is installed, reads the formats "
        )
        assert said in done.stderr
    assert workspace.private_file.read_bytes() == before


def test_the_patched_file_is_a_whole_one(workspace: Workspace) -> None:
    """What the test above changes is the number alone: with one that is read the file opens."""
    with warehouse.private_file(workspace.settings()):
        pass
    in_format(workspace.private_file, 69)
    assert workspace.query("select count(*) from raw.accounts") == [(0,)]


def in_older_format(path: Path) -> None:
    """The same content in the format of DuckDB 1.0."""
    other = path.with_name("other.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as source (read_only)")
        connection.execute(f"attach '{other}' as other (storage_version 'v1.0.0')")
        connection.execute("copy from database source to other")
    other.replace(path)


def format_of(path: Path) -> str:
    with duckdb.connect(str(path), read_only=True) as connection:
        return versions.storage_format(connection)


def test_fault_53_an_older_format_is_read_and_upgraded_to_that_of_the_installed_duckdb(
    workspace: Workspace,
) -> None:
    assert workspace.run("extract", "customers").exit_code == 0
    in_older_format(workspace.private_file)
    before = rows_of(workspace.private_file)
    # It hinders nobody.
    assert workspace.run("access", KIM).exit_code == 0
    done = workspace.run("upgrade")
    assert done.exit_code == 0
    assert f"version {CURRENT} to {CURRENT}, DuckDB format v1.0.0+ to v2.0.0+" in done.stdout
    assert format_of(workspace.private_file) == "v2.0.0+"
    assert rows_of(workspace.private_file) == before
    assert format_of(workspace.private_file.with_name(f"private.duckdb.version-{CURRENT}.bak")) == "v1.0.0+"


@pytest.mark.long
def test_a_private_file_that_an_earlier_duckdb_wrote_is_upgraded(oldest: Workspace, tmp_path: Path) -> None:
    """The raw tables of the oldest release, written by the line of DuckDB before ours."""
    python = python_with_duckdb(EARLIER_DUCKDB, tmp_path / "earlier")
    before = rows_of(oldest.private_file)
    parquet = tmp_path / "parquet"
    with duckdb.connect(str(oldest.private_file)) as connection:
        connection.execute(f"export database '{parquet}' (format parquet)")
    oldest.private_file.unlink()
    code = textwrap.dedent(
        """
        import duckdb, sys
        assert duckdb.__version__ == sys.argv[3]
        with duckdb.connect(sys.argv[1]) as c:
            c.execute("import database '" + sys.argv[2] + "'")
        """
    )
    subprocess.run([python, "-c", code, oldest.private_file, parquet, EARLIER_DUCKDB], check=True)
    assert rows_of(oldest.private_file) == before
    done = oldest.run("upgrade")
    assert done.exit_code == 0, done.output
    assert f"version 1 to {CURRENT}, DuckDB format v1.0.0+ to v2.0.0+" in done.stdout
    after = rows_of(oldest.private_file)
    assert {table: len(rows) for table, (_, rows) in before.items() if table != "settings"}.items() <= {
        table: len(rows) for table, (_, rows) in after.items()
    }.items()
    # What is kept is still one that the DuckDB before reads.
    read = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql('from raw.accounts').fetchall())"
    kept = old_copies.copy_name(oldest.private_file, "version-1")
    subprocess.run([python, "-c", read, kept], check=True, capture_output=True)


# --- plain dbt


def test_plain_dbt_refuses_another_version_and_changes_nothing(oldest: Workspace, tmp_path: Path) -> None:
    before = oldest.private_file.read_bytes()
    select = ("run", "--select", "stg_runs__runs")
    for version, line in (
        (None, f"the private file's tables are not those of version {CURRENT}.*run `engagement upgrade`"),
        (CURRENT - 1, f"is of version {CURRENT - 1}, this release works with version {CURRENT}: run `eng"),
        (CURRENT + 1, f"is of version {CURRENT + 1}, made by a newer release than this one"),
    ):
        if version is not None:
            shutil.copyfile(unpack(CURRENT, PRIVATE, tmp_path / "new.duckdb"), oldest.private_file)
            says(oldest.private_file, str(version))
        before = rows_of(oldest.private_file)
        with pytest.raises(AssertionError, match=line):
            run_dbt(*select, target=tmp_path / "target", private_file=oldest.private_file)
        assert rows_of(oldest.private_file) == before


def test_plain_dbt_writes_the_version_into_a_new_file(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.private_file.parent.mkdir()
    for _ in range(2):
        run_dbt(
            "run",
            "--select",
            "stg_runs__runs",
            target=tmp_path / "target",
            private_file=workspace.private_file,
        )
        assert said(workspace) == str(CURRENT)
    assert workspace.run("extract", "customers").exit_code == 0
    assert said(workspace) == str(CURRENT)


def built(workspace: Workspace) -> dict[str, Any]:
    """Every mart after `dbt build`, all data tests passed."""
    run_dbt(
        "build",
        "--exclude-resource-type",
        "unit_test",
        target=workspace.root / "target",
        private_file=workspace.private_file,
    )
    with duckdb.connect(str(workspace.private_file), read_only=True) as connection:
        return {
            table: connection.execute(f'from marts."{table}" order by all').fetchall()
            for (table,) in connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'marts'"
            ).fetchall()
        }


@pytest.mark.long
@pytest.mark.parametrize("version", [version for version in RELEASES if version < CURRENT])
def test_what_dbt_builds_of_it_is_that_of_a_new_file_with_the_same_rows(version: int, tmp_path: Path) -> None:
    upgraded = of_release(tmp_path / "upgraded", version)
    assert upgraded.run("upgrade").exit_code == 0
    marts = built(upgraded)
    assert len(marts["account_engagement"]) > 20
    assert upgraded.query("select is_complete, is_in_part from raw.refreshes") == [(True, False)]
    fresh = Workspace(tmp_path / "fresh")
    with warehouse.private_file(fresh.settings()) as connection:
        sample = unpack(version, PRIVATE, tmp_path / "sample.duckdb")
        connection.execute(f"attach '{sample}' as sample (read_only)")
        today = versions.layout(connection)
        for table, columns in versions.layout(connection, database="sample").items():
            shared = [name for name in columns if name in today[table]]
            if table in OF_THE_NEWEST_REFRESH or table == "runs":
                continue
            kept = f"where key != '{VERSION}'" if table == "settings" else ""
            connection.execute(
                f"insert into raw.{table} by name select {', '.join(shared)} from sample.raw.{table} {kept}"
            )
    expected = built(fresh)
    # Of runs the sample has other words than today's, which the migration turns.
    of_runs = {"run_history", "run_steps", "enrichments", "enriched_accounts_over_time"}
    assert {name: rows for name, rows in marts.items() if name not in of_runs} == {
        name: rows for name, rows in expected.items() if name not in of_runs
    }
    assert len(marts["run_history"]) == 1


# --- the published file of an older release


@pytest.mark.parametrize("version", RELEASES)
def test_status_tells_of_a_published_file_of_every_release(version: int, tmp_path: Path) -> None:
    workspace = of_release(tmp_path, version)
    unpack(version, PUBLISHED, workspace.published_file)
    done = workspace.run("status", "--json")
    assert done.exit_code == 0, done.output
    published = json.loads(done.stdout)["published"]
    assert published["is_readable"] and published["as_of_date"] == "2026-06-30"
    assert workspace.run("status").exit_code == 0


# --- whatever ends it


@pytest.fixture
def before_and_after(oldest: Workspace) -> Iterator[tuple[Workspace, bytes]]:
    yield oldest, oldest.private_file.read_bytes()


PLACES = (
    "old_copies.take_in_log",
    "upgrade._carry_over",
    "upgrade._migrate",
    "upgrade._lay_out",
    "upgrade._compare",
    "old_copies.keep",
    "fresh.replace",
    "durable.sync_folder",
)
KILLING = """
import os, signal, sys
from engagement import cli, durable, fresh, old_copies, upgrade
module, name = sys.argv[1].split(".")
module = {"upgrade": upgrade, "old_copies": old_copies, "fresh": fresh, "durable": fresh}[module]
act = getattr(module, name)
def kill(*arguments, **options):
    if sys.argv[2] == "after":
        act(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, kill)
cli.main(["upgrade"])
"""


@pytest.mark.parametrize(
    ("place", "when"),
    [
        pytest.param(
            place, when, marks=() if (place, when) in (("fresh.replace", "before"),) else pytest.mark.long
        )
        for place in PLACES
        for when in ("before", "after")
    ],
)
def test_killed_at_any_instant_the_old_or_the_new_file_is_there(
    place: str, when: str, oldest: Workspace
) -> None:
    before = oldest.private_file.read_bytes()
    killed = subprocess.run(
        [sys.executable, "-c", KILLING, place, when],
        env={**os.environ, **oldest.environment},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    has_replaced = (place, when) in (
        ("fresh.replace", "after"),
        ("durable.sync_folder", "before"),
        ("durable.sync_folder", "after"),
    )
    assert (oldest.private_file.read_bytes() == before) != has_replaced
    again = oldest.run("upgrade")
    assert again.exit_code == 0, again.output
    assert ("nothing to do" in again.stdout) == has_replaced
    assert said(oldest) == str(CURRENT)
    assert old_copies.copy_name(oldest.private_file, "version-1").read_bytes() == before
    assert oldest.run("extract", "customers").exit_code == 0
    assert not list(oldest.private_file.parent.glob(".*ing-*"))


def test_what_came_out_otherwise_is_not_put_in_place(
    oldest: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engagement import upgrade

    before = oldest.private_file.read_bytes()
    lay_out = upgrade._lay_out

    def lose_a_value(connection: Any, *others: Any) -> None:
        lay_out(connection, *others)
        connection.execute("update after.raw.contacts set account_id = 'A9' where contact_id = 'C1'")

    monkeypatch.setattr(upgrade, "_lay_out", lose_a_value)
    done = oldest.run("upgrade")
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "error: private.duckdb: 1 table came out other than before (first raw.contacts)"
    )
    assert oldest.private_file.read_bytes() == before
    assert not old_copies.found(oldest.private_file)
    assert not list(oldest.private_file.parent.glob(".*"))


def test_too_little_room_is_said_before_anything_is_written(
    oldest: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = oldest.private_file.stat().st_size
    for free, code in ((2 * size - 1, 12), (2 * size, 0)):
        usage = shutil.disk_usage(oldest.root)
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, free=free, usage=usage: usage._replace(free=free)
        )
        done = oldest.run("upgrade")
        assert done.exit_code == code, done.output
        if code:
            assert "too little room to upgrade it" in done.stderr


def test_a_full_disk_leaves_the_old_file(oldest: Workspace) -> None:
    before = oldest.private_file.read_bytes()
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000));"
        " from engagement.cli import main; main(['upgrade'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited],
        env={**os.environ, **oldest.environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 12, done.stderr
    assert done.stderr.count("\n") == 1 and "the disk is full, or a quota is" in done.stderr
    assert oldest.private_file.read_bytes() == before
    assert not list(oldest.private_file.parent.glob(".*"))


def test_one_that_has_the_private_file_open_is_named(oldest: Workspace) -> None:
    with subprocess.Popen(
        holding_open(oldest.private_file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        done = oldest.run("upgrade")
        assert done.exit_code == 8, done.output
        other.communicate("\n")


def test_there_need_be_no_private_file(workspace: Workspace) -> None:
    done = workspace.run("upgrade")
    assert (done.exit_code, done.stdout) == (
        0,
        f"private.duckdb: there is none yet; the first run makes one of version {CURRENT}\n",
    )


# --- what is kept of the old file


def test_who_is_erased_goes_out_of_the_file_that_was_kept_too(tmp_path: Path) -> None:
    workspace = of_release(tmp_path, RELEASES[-2])
    assert workspace.run("upgrade").exit_code == 0
    (kept,) = old_copies.found(workspace.private_file)
    told = workspace.run("access", KIM)
    assert f"not looked into: {kept.name}" in told.stdout
    done = workspace.run("erase", KIM, "--yes")
    assert done.exit_code == 0, done.output
    assert not kept.exists()
    assert said(workspace) == str(CURRENT)
    assert "not looked into" not in workspace.run("access", KIM).stdout


def test_who_is_erased_without_a_private_file_goes_out_of_it_too(oldest: Workspace) -> None:
    kept = old_copies.copy_name(oldest.private_file, "version-1")
    oldest.private_file.rename(kept)
    assert oldest.run("erase", KIM, "--yes").exit_code == 0
    assert not kept.exists()


def test_another_key_and_a_removal_keep_the_version(workspace: Workspace) -> None:
    assert workspace.run("extract", "customers").exit_code == 0
    old_copies.keep(workspace.private_file, "version-1")
    assert workspace.run("rotate-key", "--yes").exit_code == 0
    assert said(workspace) == str(CURRENT)
    assert not old_copies.found(workspace.private_file)
    assert workspace.run("extract", "customers").exit_code == 0
    workspace.configure(lambda raw: raw["enrichments"][0].update(active=False))
    assert workspace.run("remove", "account-engagement", "--yes").exit_code == 0
    assert said(workspace) == str(CURRENT)
