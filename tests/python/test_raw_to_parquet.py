"""`engagement raw-to-parquet`: every raw table, whole or as it was, its owner's alone, and gone with who is erased."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Workspace
from engagement import durable, old_copies, raw_to_parquet, room, versions
from engagement.run_state import single_run
from engagement.versions import VERSION, current_version

CURRENT = current_version(ROOT)
KIM = "kim@contoso.example"


@pytest.fixture
def landed(workspace: Workspace) -> Workspace:
    """Customers are in the private file, and seven messages with lists that are full, empty and null."""
    assert workspace.run("extract", "customers").exit_code == 0
    with duckdb.connect(str(workspace.private_file)) as connection:
        connection.execute(
            "insert into raw.office_messages by name select 1::bigint as mailbox_id,"
            " 9223372036854775807 - range as item_key, timestamp '2026-06-30 23:59:59.123456' as received_at,"
            " case range when 0 then null when 1 then [] else [range, -9223372036854775807] end::bigint[]"
            " as recipient_keys"
            " from range(7)"
        )
    return workspace


def written(workspace: Workspace, *options: str, name: str = "raw") -> Path:
    folder = workspace.root / name
    done = workspace.run("raw-to-parquet", "--to", str(folder), *options)
    assert done.exit_code == 0, done.output
    return folder


def refused(workspace: Workspace, *arguments: str, code: int = 2) -> str:
    """The one line with which a command ends."""
    done = workspace.run("raw-to-parquet", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1), done.output
    return done.stderr


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "raw.json").read_text("utf-8")))


# --- what is written


@pytest.mark.parametrize(
    ("rows_per_file", "files"),
    [(6, [6, 1]), (7, [7]), (8, [7]), (3, [3, 3, 1])],
)
def test_every_table_is_there_with_every_cell(
    rows_per_file: int, files: list[int], landed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_to_parquet, "ROWS_PER_FILE", rows_per_file)
    folder = written(landed)
    said = manifest(folder)
    assert said["private_file_version"] == CURRENT
    assert [file["rows"] for file in said["tables"]["office_messages"]["files"]] == files
    with duckdb.connect(str(landed.private_file), read_only=True) as connection:
        tables = versions.layout(connection)
        assert said["tables"].keys() == tables.keys()
        assert {path.name for path in folder.iterdir()} == tables.keys() | {"raw.json"}
        for table, columns in tables.items():
            rows = f"read_parquet('{folder}/{table}/*.parquet')"
            described = connection.execute(f"describe select * from {rows}").fetchall()
            assert {name: kind for name, kind, *_ in described} == columns, table
            held = connection.execute(f"select * from raw.{table} order by all").fetchall()
            assert connection.execute(f"select * from {rows} order by all").fetchall() == held, table
            assert said["tables"][table]["rows"] == len(held)
    assert raw_to_parquet.read_manifest(folder) == said


def test_deleted_rows_leave_no_file_without_rows(landed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_to_parquet, "ROWS_PER_FILE", 3)
    with duckdb.connect(str(landed.private_file)) as connection:
        connection.execute("delete from raw.office_messages where item_key > 9223372036854775807 - 4")
    folder = written(landed)
    # rows 4 to 6 of 7
    assert [file["rows"] for file in manifest(folder)["tables"]["office_messages"]["files"]] == [2, 1]
    with duckdb.connect(str(landed.private_file)) as connection:
        connection.execute("delete from raw.office_messages")
    written(landed)
    assert [file["rows"] for file in manifest(folder)["tables"]["office_messages"]["files"]] == [0]


def test_it_is_its_owners_alone(landed: Workspace) -> None:
    before = os.umask(0)
    try:
        folder = written(landed)
    finally:
        os.umask(before)
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (landed.settings().data_dir / "raw_parquet.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("named_by", ["nobody", "enrichments.yml", "environment", "option"])
def test_where_it_lies(named_by: str, landed: Workspace) -> None:
    """An option goes before the environment, that before enrichments.yml."""
    expected = landed.settings().data_dir / "raw_parquet"
    options: list[str] = []
    if named_by != "nobody":
        configuration_file = landed.settings().configuration_file
        text = configuration_file.read_text("utf-8")
        configuration_file.write_text(f"{text}\nraw_parquet: of_the_file\n", "utf-8")
        expected = configuration_file.parent / "of_the_file"
    if named_by in ("environment", "option"):
        expected = landed.root / "of_the_environment"
        landed.environment["ENGAGEMENT_RAW_PARQUET"] = str(expected)
    if named_by == "option":
        expected = landed.root / "of_the_option"
        options = ["--to", str(expected)]
    done = landed.run("raw-to-parquet", "--json", *options)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["folder"] == str(expected)
    assert (expected / "raw.json").is_file()


def test_the_next_one_takes_its_place(landed: Workspace) -> None:
    folder = written(landed)
    with duckdb.connect(str(landed.private_file)) as connection:
        connection.execute("delete from raw.office_messages")
    written(landed)
    assert manifest(folder)["tables"]["office_messages"]["rows"] == 0
    assert not list(landed.root.glob(".raw.*"))


# --- what is refused


def test_a_folder_with_anything_else_is_left_alone(landed: Workspace) -> None:
    folder = landed.root / "raw"
    folder.mkdir()
    written(landed)  # an empty one is taken
    for name in ("notes.txt", "accounts/notes.txt", "extra/part-00000.parquet"):
        other = folder / name
        other.parent.mkdir(exist_ok=True)
        other.write_text("mine")
        before = content(folder)
        assert f"raw/{name}: is not of the export" in refused(landed, "--to", str(folder))
        assert content(folder) == before
        other.unlink()
    (folder / "extra").rmdir()
    written(landed)
    strange = landed.root / "strange"
    strange.mkdir()
    (strange / "notes.txt").write_text("mine")
    assert "strange/raw.json: is missing or cannot be read" in refused(landed, "--to", str(strange))
    assert (strange / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_not_what_was_written_is_told(landed: Workspace) -> None:
    folder = written(landed)
    file = folder / "accounts" / "part-00000.parquet"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    assert "has" in refused(landed, "--to", str(folder))
    file.unlink()
    assert "accounts/part-00000.parquet: is missing" in refused(landed, "--to", str(folder))
    file.write_bytes(kept)
    written(landed)


def test_places_that_are_none(landed: Workspace) -> None:
    settings = landed.settings()
    for folder in (settings.data_dir, landed.root):
        assert "name a folder of its own" in refused(landed, "--to", str(folder))
    file = landed.root / "file"
    file.write_text("mine")
    assert "is a file" in refused(landed, "--to", str(file))
    (landed.root / "link").symlink_to(landed.root / "elsewhere")
    assert "is a link" in refused(landed, "--to", str(landed.root / "link"))
    assert "does not exist" in refused(landed, "--to", str(landed.root / "no" / "such"))


def test_a_private_file_of_another_version_is_refused(landed: Workspace) -> None:
    folder = written(landed)
    before = content(folder)
    for version, words in ((CURRENT + 1, "made by a newer release"), (CURRENT - 1, "engagement upgrade")):
        with duckdb.connect(str(landed.private_file)) as connection:
            connection.execute(f"update raw.settings set value = '{version}' where key = '{VERSION}'")
        assert words in refused(landed, "--to", str(folder))
    assert content(folder) == before


def test_nothing_to_write(workspace: Workspace) -> None:
    assert "nothing to write" in refused(workspace)


def test_not_while_a_run_is_going_on(landed: Workspace) -> None:
    with single_run(landed.settings(), command="run"):
        assert "another run is going on" in refused(landed, code=8)


@pytest.mark.parametrize("is_enough", [False, True])
def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    is_enough: bool, landed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = landed.private_file.stat().st_size
    monkeypatch.setattr(room, "free", lambda folder: needed - (not is_enough))
    if is_enough:
        written(landed)
        return
    folder = landed.root / "raw"
    assert "raw: too little room for the raw tables" in refused(landed, "--to", str(folder), code=12)
    assert not folder.exists() and not list(landed.root.glob(".raw.*"))


def test_a_file_system_that_cannot_be_written(landed: Workspace) -> None:
    """/proc takes no folders from anybody."""
    assert "proc: cannot be written" in refused(landed, "--to", "/proc/raw")


# --- whatever ends it

KILLING = """
import os, signal, sys
from engagement import cli, durable, old_copies, raw_to_parquet
modules = {"durable": durable, "raw_to_parquet": raw_to_parquet, "old_copies": old_copies}
name, attribute = sys.argv[1].split(".")
act = getattr(modules[name], attribute)
def kill(*arguments, **options):
    if sys.argv[2] == "after":
        act(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(modules[name], attribute, kill)
cli.main(sys.argv[3:])
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("place", "when", "is_replaced"),
    [
        ("raw_to_parquet._written_table", "after", False),
        ("raw_to_parquet.read_manifest", "before", False),
        ("durable.replace_folder", "before", False),
        ("durable.replace_folder", "after", True),
    ],
)
def test_one_that_is_killed_leaves_the_old_or_the_new(
    place: str, when: str, is_replaced: bool, landed: Workspace
) -> None:
    folder = written(landed)
    before = content(folder)
    if place == "raw_to_parquet.read_manifest":
        # the check of an old one comes first
        shutil.rmtree(folder)
        before = {}
    with duckdb.connect(str(landed.private_file)) as connection:
        connection.execute("delete from raw.office_messages")
    done = subprocess.run(
        [sys.executable, "-c", KILLING, place, when, "raw-to-parquet", "--to", str(folder)],
        env={**os.environ, **landed.environment},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    if is_replaced:
        assert manifest(folder)["tables"]["office_messages"]["rows"] == 0
        raw_to_parquet.read_manifest(folder)
    else:
        assert content(folder) == before
    assert len(list(landed.root.glob(".raw.writing-*"))) == 1
    # What it left goes with the next one.
    written(landed)
    assert not list(landed.root.glob(".raw.*"))
    assert manifest(folder)["tables"]["office_messages"]["rows"] == 0


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_another(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system cannot exchange two names."""
    if not can_exchange:
        monkeypatch.setattr(durable, "_exchanged", lambda one, other: False)
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    durable.replace_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "new"
    assert (tmp_path / "new" / "file").read_text() == "old"
    durable.replace_folder(tmp_path / "new", tmp_path / "third")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "third"]


# --- who is erased


def test_an_erasure_deletes_it_and_says_so(landed: Workspace) -> None:
    folder, second = written(landed), written(landed, name="second")
    leftover = landed.root / ".raw.writing-0123456789ab"
    shutil.copytree(second, leftover)
    asked = landed.run("access", KIM, "--json")
    assert json.loads(asked.stdout)["raw_folders"] == [str(folder), str(second)]
    assert f"{folder}, {second}, the raw tables as Parquet" in landed.run("access", KIM).stdout
    done = landed.run("erase", KIM, "--yes")
    assert done.exit_code == 0, done.output
    assert not folder.exists() and not second.exists() and not leftover.exists()
    assert "the raw tables as Parquet are deleted (raw, second)" in done.stdout
    assert json.loads(landed.run("access", KIM, "--json").stdout)["raw_folders"] == []
    # and without any, nothing is said of them
    assert "Parquet" not in landed.run("erase", "lee@contoso.example", "--yes").stdout


@pytest.mark.faults
@pytest.mark.parametrize("place", ["old_copies._remove_raw_folders", "old_copies._write_raw_folders"])
def test_an_erasure_that_is_killed_meanwhile_is_finished_by_the_next_command(
    place: str, landed: Workspace
) -> None:
    folder = written(landed)
    done = subprocess.run(
        [sys.executable, "-c", KILLING, place, "before", "erase", KIM, "--yes"],
        env={**os.environ, **landed.environment},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert landed.run("extract", "customers").exit_code == 0
    assert not folder.exists() and not list(landed.root.glob(".raw.*"))
    assert old_copies.raw_folders(landed.settings()) == []


@pytest.mark.faults
def test_a_folder_that_cannot_be_deleted_whole_is_deleted_by_the_next_command(
    landed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without its manifest, which may be the first to go. Nobody is told that it is done."""
    folder = written(landed)
    remove = shutil.rmtree

    def remove_half(path: Path, *arguments: Any, **options: Any) -> None:
        if Path(path).name.startswith(".raw.writing-"):
            (Path(path) / "raw.json").unlink()
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        remove(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", remove_half)
        done = landed.run("erase", KIM, "--yes")
    assert done.exit_code == 12, done.output
    assert done.stdout == ""
    assert landed.run("extract", "customers").exit_code == 0
    assert not folder.exists() and not list(landed.root.glob(".raw.*"))
    assert old_copies.raw_folders(landed.settings()) == []


def test_what_lies_there_since_is_not_ours(landed: Workspace) -> None:
    """An export that was moved away is named, and what has its place stays."""
    folder = written(landed)
    folder.rename(landed.root / "moved")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    done = landed.run("erase", KIM, "--yes")
    assert done.exit_code == 0, done.output
    assert f"{folder}: the raw tables are not there any more" in done.stderr
    assert (folder / "notes.txt").read_text() == "mine"
    assert old_copies.raw_folders(landed.settings()) == []


def test_errors_are_documented() -> None:
    """Each message, up to its first value, stands in docs/errors.md."""
    text = (ROOT / "docs" / "errors.md").read_text("utf-8").replace("`", "")
    source = (ROOT / "scripts" / "engagement" / "raw_to_parquet.py").read_text("utf-8").replace("`", "")
    said = [
        *re.findall(r'problem = "([^"]+)"', source),
        "no such file, so there is nothing to write",
        "too little room for the raw tables",
        "is missing or cannot be read, so nobody knows whether the tables are whole",
        "so the tables are not what was written",
        "raw tables as Parquet: cannot be written",
    ]
    for message in said:
        assert message in text, message
