"""`engagement verify`: any published file through the gate, without anything but the project's folder; and that nothing
of a hostile file is executed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Workspace
from other_duckdb import python_with_duckdb
from star import broken_relationships
from whole_run import refreshed_once

pytestmark = pytest.mark.faults

# The oldest that must read a published file.
OLDEST_DUCKDB = "1.2.2"
ADDRESS = "jane.doe@customer.example"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A whole run: mail, calendars, company data, a customer's own column, and the file that it published."""
    return refreshed_once(tmp_path_factory.getbasetemp()).workspace


@pytest.fixture
def stranger(tmp_path: Path, published: Workspace) -> Workspace:
    """Somebody who has the file and the project's folder, and nothing else."""
    stranger = Workspace(tmp_path / "stranger")
    stranger.environment = {"ENGAGEMENT_PROJECT_DIR": str(ROOT)}
    for path in stranger.root.iterdir():
        path.unlink()
    shutil.copyfile(published.published_file, stranger.root / "got.duckdb")
    return stranger


def verified(stranger: Workspace, *options: str) -> tuple[int, list[str]]:
    """The exit code, and the findings."""
    done = stranger.run("verify", str(stranger.root / "got.duckdb"), "--json", *options)
    return done.exit_code, json.loads(done.stdout).get("errors", [])[1:]


def change(stranger: Workspace, *statements: str) -> None:
    with duckdb.connect(str(stranger.root / "got.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


def test_what_was_published_passes(published: Workspace, stranger: Workspace) -> None:
    before = (stranger.root / "got.duckdb").read_bytes()
    done = stranger.run("verify", str(stranger.root / "got.duckdb"))
    assert (done.exit_code, done.stdout) == (0, "got.duckdb: passed\n"), done.output
    assert verified(stranger, "--private", str(published.private_file)) == (0, [])
    assert (stranger.root / "got.duckdb").read_bytes() == before
    assert {path.name for path in stranger.root.iterdir()} == {"got.duckdb"}


def test_the_relationships_that_the_file_declares_hold(stranger: Workspace) -> None:
    with duckdb.connect(str(stranger.root / "got.duckdb"), read_only=True) as connection:
        count, broken = broken_relationships(connection)
    assert (count > 100, broken) == (True, [])


def test_secrets_of_the_environment_are_looked_for(stranger: Workspace) -> None:
    stranger.environment["LEADSPACE_TOKEN"] = "Fabrikam"
    code, found = verified(stranger)
    assert code == 7
    assert (
        "table marts.enriched_customers, column account_name: secret: a secret of the configuration" in found
    )
    assert not any("Fabrikam" in line for line in found)


def test_a_key_of_the_private_file_is_refused(published: Workspace, stranger: Workspace) -> None:
    ((key,),) = published.query("select address_key from raw.office_addresses order by 1 desc limit 1")
    change(stranger, f"update marts.account_engagement set meetings_count = {key}")
    assert verified(stranger)[0] == 0
    assert verified(stranger, "--private", str(published.private_file)) == (
        7,
        ["table marts.account_engagement, column meetings_count: key: address_key of the private file"],
    )


# What is done to a file, and the finding that names it; together what does not touch one another's tables.
WRONG: dict[str, dict[str, tuple[str, ...]]] = {
    "many things": {
        "table marts.enriched_customers, column country: address: address-like text": (
            f"update marts.enriched_customers set country = '{ADDRESS}' where account_id = 'A1'",
        ),
        "table marts.account_recency, column country: comment: is missing": (
            "comment on column marts.account_recency.country is null",
        ),
        "table marts.account_recency: comment: is missing": ("comment on table marts.account_recency is ''",),
        "table enrichment.Office: comment: is not that of the project": (
            "comment on view enrichment.\"Office\" is 'another'",
        ),
        "table marts.run_steps: contract: the order of columns, its key": (
            "create table marts.copy as from marts.run_steps",
            "drop table marts.run_steps",
            "alter table marts.copy rename to run_steps",
        ),
        "table enrichment.X_UserEntity: contract: no such table is allowed": (
            'drop view enrichment."Office_UserEntity"',
            'create view enrichment."X_UserEntity" as select 1 as a',
        ),
        "table marts.publication, column small_numbers: small numbers: is not one of show, band": (
            "update marts.publication set small_numbers = 'some'",
        ),
        "table empty_one: contract: no schema is allowed": ("create schema empty_one",),
    },
    "another view and another column": {
        "table enrichment.Office: contract: the view's text is another": (
            'create or replace view enrichment."Office" as select * replace (\'A1\' as "CustomerId") from '
            "(select * exclude (enrichment_id) from marts.original_account_engagement)",
        ),
        "table marts.enriched_customers, column more: contract: no such column is allowed": (
            "alter table marts.enriched_customers add column more blob",
        ),
    },
    "a view is missing": {
        "table enrichment.Office: contract: the table is missing": ('drop view enrichment."Office"',),
    },
    "an enrichment without an output table": {
        "table marts.enrichments: contract: an enrichment has no type or output table": (
            "update marts.enrichments set output_table = null where enrichment_type = 'office'",
        ),
    },
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(wrong: str, stranger: Workspace) -> None:
    change(stranger, *(statement for statements in WRONG[wrong].values() for statement in statements))
    code, found = verified(stranger)
    assert code == 7
    for expected in WRONG[wrong]:
        assert any(line.startswith(expected) for line in found), (expected, found)


def test_a_column_of_the_customers_own_is_allowed_last(stranger: Workspace) -> None:
    """A view keeps the columns that it was made with, so the one that reads it is made anew."""
    change(
        stranger,
        'alter table marts.enriched_customers add column "it\'s {{ mine }}" decimal(12,2)',
        'comment on column marts.enriched_customers."it\'s {{ mine }}" is '
        "'The customer''s own column, as enrichments.yml names it; address-like text is masked.'",
    )
    assert verified(stranger) == (0, [])


# --- the storage


def copied(stranger: Workspace, version: str) -> None:
    """The same content in another version's format."""
    path = stranger.root / "got.duckdb"
    other = path.with_name("other.duckdb")
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"attach '{other}' as other (storage_version '{version}')")
        connection.execute("copy from database got to other")
    other.replace(path)


@pytest.mark.parametrize(
    ("version", "passes"), [("v1.0.0", True), ("v1.2.0", True), ("v1.3.0", False), ("latest", False)]
)
def test_fault_53_only_a_format_that_duckdb_1_2_reads_passes(
    version: str, passes: bool, stranger: Workspace
) -> None:
    copied(stranger, version)
    code, found = verified(stranger)
    storage = "table (whole file): storage: written in a newer format than v1.2.0"
    assert (code, storage in found) == ((0, False) if passes else (7, True)), found


def test_a_log_beside_the_file_is_refused(stranger: Workspace) -> None:
    (stranger.root / "got.duckdb.wal").write_bytes(b"")
    code, found = verified(stranger)
    assert code == 7 and "table (whole file): storage: a log (.wal) lies beside it" in found


def contents(path: Path) -> dict[str, Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            f'"{schema}"."{table}"': connection.execute(f'from "{schema}"."{table}" order by all').fetchall()
            for schema, table in connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal union all "
                "select schema_name, view_name from duckdb_views() where not internal order by all"
            ).fetchall()
        }


@pytest.mark.long
def test_a_damaged_file_is_refused(stranger: Workspace) -> None:
    """Cut off, or overwritten in any block that rows are read from."""
    path = stranger.root / "got.duckdb"
    whole = path.read_bytes()
    for length in (len(whole) // 2, 5000, 13):
        path.write_bytes(whole[:length])
        code, found = verified(stranger)
        assert code == 7 and any("cannot be read" in line for line in found), (length, found)
    path.write_bytes(whole)
    with duckdb.connect(str(path), read_only=True) as connection:
        blocks: set[int] = set()
        for (table,) in connection.execute(
            "select table_name from duckdb_tables() where not internal"
        ).fetchall():
            blocks |= {
                row[0]
                for row in connection.execute(
                    f"select block_id from pragma_storage_info('marts.{table}') where persistent and block_id >= 0"
                ).fetchall()
            }
    assert len(blocks) > 5
    for block in sorted(blocks)[::4]:
        # The headers take 12 KB, a block 256 KB; it begins with the checksum of what is used of it.
        place = 12_288 + block * 262_144 + 8
        path.write_bytes(whole[:place] + b"\xff" * 64 + whole[place + 64 :])
        code, found = verified(stranger)
        assert code == 7 and any("cannot be read" in line for line in found), (block, found)


@pytest.mark.long
def test_fault_53_duckdb_1_2_reads_every_table(published: Workspace, tmp_path: Path) -> None:
    python = python_with_duckdb(OLDEST_DUCKDB, tmp_path / "old")
    code = """
import duckdb, json, sys
assert duckdb.__version__ == sys.argv[2]
with duckdb.connect(sys.argv[1], read_only=True) as c:
    names = c.execute("select schema_name, table_name from duckdb_tables() where not internal union all "
                      "select schema_name, view_name from duckdb_views() where not internal order by all").fetchall()
    print(json.dumps({f'"{s}"."{t}"': len(c.execute(f'from "{s}"."{t}"').fetchall()) for s, t in names}))
"""
    read = subprocess.run(
        [python, "-c", code, published.published_file, OLDEST_DUCKDB],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {name: len(rows) for name, rows in contents(published.published_file).items()}
    assert json.loads(read.stdout) == expected
    assert len(expected) > 25 and sum(expected.values()) > 50


# --- what is no published file


def missing(root: Path) -> None:
    (root / "got.duckdb").unlink()


def folder(root: Path) -> None:
    missing(root)
    (root / "got.duckdb").mkdir()


def link(root: Path) -> None:
    (root / "got.duckdb").rename(root / "real.duckdb")
    (root / "got.duckdb").symlink_to(root / "real.duckdb")


def text(root: Path) -> None:
    (root / "got.duckdb").write_text("nothing of the kind, and long enough to be looked at " * 100)


def empty(root: Path) -> None:
    (root / "got.duckdb").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (missing, "no such file"), (folder, "is no file"), (link, "is a link"), (text, "is not a DuckDB file"),
        (empty, "is not a DuckDB file"),
    ],
)  # fmt: skip
def test_what_is_no_database_is_an_error_of_one_line(
    spoil: Callable[[Path], None], said: str, stranger: Workspace
) -> None:
    spoil(stranger.root)
    done = stranger.run("verify", str(stranger.root / "got.duckdb"))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: got.duckdb: {said}") and done.stderr.count("\n") == 1


def test_a_private_file_that_is_none(stranger: Workspace) -> None:
    done = stranger.run(
        "verify", str(stranger.root / "got.duckdb"), "--private", str(stranger.root / "got.duckdb")
    )
    assert done.exit_code == 2
    assert done.stderr == (
        "error: got.duckdb: is no private file; name the one that the file was published from\n"
    )


def test_outside_of_the_project(stranger: Workspace) -> None:
    stranger.environment["ENGAGEMENT_PROJECT_DIR"] = str(stranger.root)
    done = stranger.run("verify", str(stranger.root / "got.duckdb"))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "no marts found; set ENGAGEMENT_PROJECT_DIR" in done.stderr


# --- hostile files

BOMB = "error('executed')"
HOSTILE = {
    "a view of another file": "create view marts.v as select * from read_csv('{outside}')",
    "a view in the place of a table": "drop table marts.run_steps; create view marts.run_steps as "
    "select * from read_csv('{outside}')",
    "a view in the place of the enrichments": "drop table marts.enrichments; create view marts.enrichments as "
    "select content as enrichment_id from read_text('{outside}')",
    "an output view of another file": 'create or replace view enrichment."Office" as '
    "select * from read_text('{outside}')",
    "a table function": "create macro marts.m() as table select * from read_text('{outside}')",
    "a macro with the name of a function": "create macro marts.contains(a, b) as " + BOMB,
    "a macro in the main schema": "create macro hash(a) as " + BOMB,
    "a sequence": "create sequence marts.s",
    "a type": "create type marts.mood as enum ('good')",
    "an index on an expression": "create index i on marts.account_recency (({bomb} || account_id))",
    "a generated column": "create table marts.g (a varchar, b varchar generated always as ({bomb}) virtual)",
    "a generated column in the place of one": "create table marts.c as from marts.run_steps; "
    "drop table marts.run_steps; "
    "create table marts.run_steps (run_id varchar, step_position bigint, step varchar, step_state varchar, "
    "seconds double generated always as (cast({bomb} as double)) virtual)",
    "a default": "alter table marts.run_steps alter step set default ({bomb})",
    "a check": "create table marts.k (a varchar check (a != {bomb}))",
}  # fmt: skip


# One that reads, one that runs, one in the place of a table.
HOSTILE_SAMPLE = (
    "an output view of another file",
    "a macro in the main schema",
    "a view in the place of a table",
)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in HOSTILE_SAMPLE else pytest.mark.long) for kind in HOSTILE],
)
def test_nothing_of_a_hostile_file_is_executed(kind: str, stranger: Workspace) -> None:
    outside = stranger.root / "outside.csv"
    outside.write_text("told,nobody\n1,2\n")
    change(stranger, *HOSTILE[kind].format(outside=outside, bomb=BOMB).split("; "))
    outside.unlink()
    # Whoever opened it would wait for somebody to write.
    os.mkfifo(outside)
    code, found = verified(stranger)
    assert code == 7
    assert any(": contract: " in line for line in found), found
    assert not any("cannot be read" in line for line in found), found
