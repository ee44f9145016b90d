"""Exports to a folder: what is selected, how it is written, and what is left where something goes wrong."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Workspace, write_csv
from engagement import durable
from engagement.configuration.secret_variables import SECRET_VARIABLES
from engagement.errors import ConfigurationError
from engagement.exports import definitions, export, folder, formulas, writing
from engagement.publish import secret_values
from export_world import export_of, names_below, publish_world, rows_of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "engagement.duckdb"
    publish_world(path)
    return path


@pytest.fixture
def published(workspace: Workspace, world: Path) -> Workspace:
    workspace.environment["ENGAGEMENT_PUBLISHED_FILE"] = str(world)
    return workspace


def made(workspace: Workspace, *names: str) -> dict[str, Any]:
    """The manifest of the first export, made by the command."""
    result = workspace.run("export", *names, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    place = Path(facts["exports"][0]["place"])
    manifest: dict[str, Any] = json.loads((place / "manifest.json").read_text("utf-8"))
    return {**manifest, "place": place}


def refused(workspace: Workspace, *arguments: str) -> tuple[int, list[str]]:
    """The exit code and the lines of errors."""
    result = workspace.run("export", *arguments)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert lines and lines[0].startswith("error: "), result.output
    return result.exit_code, [lines[0].removeprefix("error: "), *map(str.strip, lines[1:])]


# --- formulas


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\tplain", "'\tplain"),
        ("\rplain", "'\rplain"),
        ("  =1", "'  =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("\ufeff\u200b-1", "'\ufeff\u200b-1"),
        ("\u3000@x", "'\u3000@x"),
        ("\uff1d1", "'\uff1d1"),
        ("first\n=1", "first\n'=1"),
        ("first\r\n  +1", "first\r\n  '+1"),
        ("first\n\u00a0-1\n@x", "first\n\u00a0'-1\n'@x"),
        ("first\n\tx", "first\n'\tx"),
        ("\n=1", "'\n'=1"),
        ("=1\n=2", "'=1\n'=2"),
        # Nothing that a spreadsheet would compute.
        ("a=1", "a=1"),
        ("1-1", "1-1"),
        ("a @ b", "a @ b"),
        ("first\nsecond - third", "first\nsecond - third"),
        ("'=1", "'=1"),
        ("", ""),
        (None, None),
    ],
)
def test_fault_45_a_cell_is_made_text_where_a_spreadsheet_would_compute_it(
    cell: str | None, expected: str | None
) -> None:
    found = duckdb.connect().execute(f"select {formulas.as_text('$1::varchar')}", [cell]).fetchone()
    assert found == (expected,)


def test_fault_45_no_text_of_random_signs_is_left_that_would_be_computed() -> None:
    """Whatever a reader takes for a cell: the whole of it, or a line; and with white space before it passed over."""
    found = (
        duckdb.connect()
        .execute(
            f"""
        with
        signs as (select unnest(['=', '+', '-', '@', ' ', chr(9), chr(10), chr(13), chr(160), 'a', '1']) as sign),
        texts as (
            select a.sign || b.sign || c.sign || d.sign as text
            from signs as a, signs as b, signs as c, signs as d
        ),
        safe as (select text, {formulas.as_text("text")} as cell from texts),
        cells as (select text, cell, unnest(string_split_regex(cell, '[\\r\\n]')) as line from safe)
        select count(distinct text), count(*) filter (where regexp_matches(line, '^[\\s\\x{{a0}}]*[=+@-]'))
        from cells
        """
        )
        .fetchone()
    )
    assert found == (11**4, 0)


def test_fault_45_text_is_safe_and_numbers_stay_numbers(published: Workspace) -> None:
    export_of(
        published,
        {"segment": "stale", "columns": ["account_name", "engagement_score", "entered_on", "is_stale"]},
    )
    manifest = made(published)
    part = manifest["place"] / "one-0001.csv"
    assert part.read_text("utf-8").splitlines() == [
        "account_name,engagement_score,entered_on,is_stale",
        "Fabrikam; Söhne,,2026-06-03,false",
        '"\'=HYPERLINK(""x"")",-5.25,2026-06-01,true',
        '"\'=HYPERLINK(""x"")",-5.25,2026-06-02,true',
    ]
    assert manifest["is_formula_safe"] is True


def test_it_is_off_by_a_key_alone(published: Workspace) -> None:
    export_of(published, {"table": "marts.odd", "formula_safe": False})
    manifest = made(published)
    assert rows_of(manifest["place"] / "one-0001.csv")[0] == ("0", "=1+0")
    assert manifest["is_formula_safe"] is False


def test_fault_45_names_of_columns_are_cells_too(workspace: Workspace) -> None:
    publish_world(workspace.published_file)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute('create table marts.named as select 1 as "=cmd", 2 as plain')
    export_of(workspace, {"table": "marts.named"})
    manifest = made(workspace)
    assert (manifest["place"] / "one-0001.csv").read_text("utf-8") == "'=cmd,plain\n1,2\n"
    assert [column["name"] for column in manifest["columns"]] == ["'=cmd", "plain"]


# --- what is selected


def test_a_segment_carries_what_is_known_of_its_members(published: Workspace) -> None:
    export_of(
        published,
        {
            "segment": "stale",
            "columns": [
                "account_id",
                "enrichment_id",
                {"column": "engagement_score", "as": "score"},
                "customer_profiles.company_name",
                "usual_gap_days",
                "account_traffic.threads_count",
                "own.tier",
            ],
        },
    )
    manifest = made(published)
    assert rows_of(manifest["place"] / "one-0001.csv") == [
        ("A2", "none", None, "Fabrikam", None, None, None),
        ("A1", "north", "-5.25", "Contoso", "7.0", "3", "1.5 m"),
        ("A1", "south", "-5.25", "Contoso", "21.0", None, "1.5 m"),
    ]
    assert [(column["name"], column["type"], column["source"]) for column in manifest["columns"]] == [
        ("account_id", "VARCHAR", "marts.segment_members.account_id"),
        ("enrichment_id", "VARCHAR", "marts.segment_members.enrichment_id"),
        ("score", "DOUBLE", "marts.enriched_customers.engagement_score"),
        ("company_name", "VARCHAR", "marts.customer_profiles.company_name"),
        ("usual_gap_days", "DOUBLE", "marts.account_outlook.usual_gap_days"),
        ("threads_count", "BIGINT", "marts.account_traffic.threads_count"),
        ("own.tier", "VARCHAR", "marts.enriched_customers.own.tier"),
    ]
    assert manifest["segment"] == {
        "segment_id": "stale",
        "segment_name": "Stale accounts",
        "description": "No contact for 60 days",
        "audience": "accounts",
        "membership": "dynamic",
        "is_active": True,
        "finding": None,
    }


def test_without_columns_all_of_its_own(published: Workspace) -> None:
    export_of(published, {"segment": "asleep"})
    result = published.run("export")
    assert result.exit_code == 0, result.output
    assert "warning: one: segment asleep is not active, and its members are not kept up" in result.stderr
    part = published.root / "out/one/2026/06/30/one-0001.csv"
    assert part.read_text("utf-8").splitlines()[0] == (
        "segment_id,segment_name,enrichment_id,account_id,account_name,entered_on,reason"
    )


def test_contacts_that_are_withheld_are_said_to_be(published: Workspace) -> None:
    export_of(published, {"segment": "withheld"})
    result = published.run("export")
    assert result.exit_code == 0, result.output
    assert "warning: one: contacts are not published where small numbers are banded" in result.stderr


def test_a_view_is_exported_like_a_table(published: Workspace) -> None:
    export_of(published, {"table": "enrichment.Office", "columns": ["CustomerId"]})
    assert rows_of(made(published)["place"] / "one-0001.csv") == [("A1",), ("A2",)]


def test_contacts_come_with_columns_of_the_contact_file(published: Workspace) -> None:
    contacts = [
        {"contact_id": "C1", "account_id": "A1", "email": "kim@contoso.example", "first_name": "=Kim"},
        {"contact_id": "C2", "account_id": "A1", "email": "lee@contoso.example", "first_name": "Lee"},
        # The same contact of another account, and the first once more.
        {"contact_id": "C2", "account_id": "A2", "email": "lee@fabrikam.example", "first_name": "Leo"},
        {"contact_id": "C1", "account_id": "A1", "email": "kim@contoso.example", "first_name": "=Kim"},
    ]
    write_csv(published.root / "contacts.csv", contacts)
    columns = [
        "contact_id",
        "contacts.first_name",
        "contacts.email",
        "segment_members.reason",
        "usual_gap_days",
    ]
    export_of(published, {"segment": "buyers", "columns": columns})
    part = made(published)["place"] / "one-0001.csv"
    assert rows_of(part) == [
        ("C1", "'=Kim", "kim@contoso.example", "buys", "7.0"),
        ("C2", "Lee", "lee@contoso.example", "buys", "7.0"),
        ("C9", None, None, "buys", "7.0"),
    ]
    assert part.stat().st_mode & 0o777 == 0o600
    assert part.parent.stat().st_mode & 0o777 == 0o700
    # Nothing personal without it.
    export_of(published, {"segment": "buyers"})
    assert "contoso.example" not in (made(published)["place"] / "one-0001.csv").read_text("utf-8")


# --- how it is written


def test_the_manifest_says_what_was_written(published: Workspace) -> None:
    export_of(published, {"table": "marts.odd", "rows_per_part": 4, "compression": "gzip", "delimiter": ";"})
    manifest = made(published)
    assert [part["rows"] for part in manifest["parts"]] == [4, 4, 2]
    assert manifest["rows"] == 10
    texts = []
    for part in manifest["parts"]:
        content = (manifest["place"] / part["file"]).read_bytes()
        assert part["bytes"] == len(content)
        assert part["sha256"] == hashlib.sha256(content).hexdigest()
        texts.append(gzip.decompress(content).decode())
    assert [text.splitlines()[0] for text in texts] == ["number;text"] * 3
    rows = [line.split(";") for text in texts for line in text.splitlines()[1:]]
    assert [row[0] for row in rows] == [str(number) for number in range(10)]
    kept = {
        name: manifest[name]
        for name in manifest
        if name not in ("parts", "columns", "place", "project_version")
    }
    assert kept == {
        "manifest_version": 1,
        "name": "one",
        "table": "marts.odd",
        "segment": None,
        "as_of_date": "2026-06-30",
        "score_version": None,
        "published_at": "2026-07-01T06:00:00Z",
        "run_id": "run-1",
        "format": "csv",
        "compression": "gzip",
        "delimiter": ";",
        "is_formula_safe": True,
        "rows": 10,
    }
    assert names_below(published.root / "out/one/2026/06/30") == [
        "manifest.json",
        "one-0001.csv.gz",
        "one-0002.csv.gz",
        "one-0003.csv.gz",
    ]


@pytest.mark.parametrize(
    ("parts", "rows"),
    [
        ({"parts": 1}, [10]),
        ({"parts": 3}, [4, 4, 2]),
        ({"parts": 10}, [1] * 10),
        ({"rows_per_part": 10}, [10]),
        ({"rows_per_part": 9}, [9, 1]),
    ],
)
def test_parts_by_number_or_by_rows(published: Workspace, parts: dict[str, int], rows: list[int]) -> None:
    export_of(published, {"table": "marts.odd", **parts})
    manifest = made(published)
    assert [part["rows"] for part in manifest["parts"]] == rows
    found = [row for part in manifest["parts"] for row in rows_of(manifest["place"] / part["file"])]
    assert [int(row[0]) for row in found] == list(range(10))


@pytest.mark.parametrize("compression", definitions.COMPRESSIONS["parquet"])
def test_parquet_keeps_types_and_texts(published: Workspace, compression: str) -> None:
    export_of(published, {"table": "marts.odd", "format": "parquet", "compression": compression})
    part = made(published)["place"] / "one-0001.parquet"
    assert rows_of(part)[:2] == [(0, "=1+0"), (1, "text 1")]


def test_the_score_version_of_the_published_score_is_named(workspace: Workspace) -> None:
    publish_world(workspace.published_file)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute(
            "create table marts.account_score_components as select * from (values"
            " ('v1', 'north', 'A1', 'year', 4.0), ('v1', 'north', 'A1', 'year', 6.0),"
            " ('v2', 'north', 'A1', 'year', 1.0))"
            " as rows(score_version, enrichment_id, account_id, aggregation_level, points_earned);"
            "create table marts.account_engagement as select 'north' as enrichment_id, 'A1' as account_id,"
            " 'year' as aggregation_level, 10.0 as engagement_score"
        )
    export_of(workspace, {"table": "marts.odd"})
    assert made(workspace)["score_version"] == "v1"


def test_without_a_day_the_folder_is_of_the_publication(workspace: Workspace) -> None:
    publish_world(workspace.published_file)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute("update marts.publication set as_of_date = null")
    export_of(workspace, {"table": "marts.odd"})
    manifest = made(workspace)
    assert manifest["as_of_date"] is None
    assert manifest["place"] == workspace.root / "out/one/2026/07/01"


def test_nobody_selected_is_a_header_and_a_warning(published: Workspace) -> None:
    exports = [
        {"segment": "nobody", "columns": ["account_id", "account_name"], "rows_per_part": 5},
        {"name": "two", "segment": "nobody", "format": "parquet"},
    ]
    export_of(published, *exports)
    result = published.run("export")
    assert result.exit_code == 0
    warning = "warning: one: the segment selects nobody, so that the file has a header alone"
    assert result.stderr.splitlines() == [warning, warning.replace("one:", "two:")]
    place = published.root / "out/one/2026/06/30"
    assert (place / "one-0001.csv").read_text("utf-8") == "account_id,account_name\n"
    manifest = json.loads((place / "manifest.json").read_text("utf-8"))
    assert (manifest["rows"], [part["rows"] for part in manifest["parts"]]) == (0, [0])
    assert manifest["segment"]["finding"] == "selects nobody"
    assert rows_of(published.root / "out/two/2026/06/30/two-0001.parquet") == []


# --- whole, or not at all


def test_the_same_again_is_the_same_and_the_next_replaces_it(published: Workspace) -> None:
    export_of(published, {"table": "marts.odd", "rows_per_part": 4, "path": "{name}"})
    first = made(published)
    before = {name: (first["place"] / name).read_bytes() for name in os.listdir(first["place"])}
    again = made(published)
    assert {name: (again["place"] / name).read_bytes() for name in os.listdir(again["place"])} == before
    export_of(published, {"table": "marts.odd", "path": "{name}"})
    made(published)
    assert names_below(published.root / "out") == ["one", "one/manifest.json", "one/one-0001.csv"]
    assert not list((published.root / "data").glob(".*"))


def test_where_folders_cannot_be_exchanged_one_is_set_aside(
    published: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_of(published, {"table": "marts.odd", "path": "{name}"})
    monkeypatch.setattr(folder, "_renameat2", lambda: None)
    made(published)
    made(published)
    out = published.root / "out"
    assert names_below(out) == ["one", "one/manifest.json", "one/one-0001.csv"]
    # Killed between the two steps: the next brings the earlier one back before anything else.
    os.rename(out / "one", out / ".replaced-one")
    export_of(published, {"table": "marts.odd", "path": "{name}", "columns": ["nothing"]})
    folder.prepare(out, out / "one", "one")
    assert names_below(out) == ["one", "one/manifest.json", "one/one-0001.csv"]


@pytest.mark.faults
@pytest.mark.parametrize("step", ["open", "write", "fsync", "manifest", "put"])
def test_a_disk_that_is_full_at_any_step_leaves_the_last_export(
    published: Workspace, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    export_of(published, {"table": "marts.odd", "path": "{name}"})
    place = made(published)["place"]
    before = {name: (place / name).read_bytes() for name in os.listdir(place)}

    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device", str(place / "one-0001.csv"))

    from engagement.exports import hashing

    with monkeypatch.context() as patched:
        if step == "open":
            real = os.open
            patched.setattr(
                hashing.os,
                "open",
                lambda path, *rest, **named: (full if "one-" in str(path) else real)(path, *rest, **named),
            )
        elif step == "write":
            patched.setattr(hashing.hashlib, "sha256", lambda: type("Digest", (), {"update": full})())
            patched.setattr(hashing._File, "write", full_write(hashing))
        elif step == "fsync":
            patched.setattr(hashing.os, "fsync", full)
        elif step == "manifest":
            patched.setattr(export.durable, "write", full)
        else:
            patched.setattr(folder, "put", full)
        code, lines = refused(published)
    assert code == 12
    assert re.fullmatch(
        r"one: \S+: the disk is full, or a quota is; make room in its folder, .*", lines[0]
    ), lines
    assert {name: (place / name).read_bytes() for name in os.listdir(place)} == before
    assert names_below(published.root / "out") == ["one", "one/manifest.json", "one/one-0001.csv"]


def full_write(hashing: Any) -> Any:
    def write(self: Any, content: Any) -> int:
        self._files.error = OSError(28, "No space left on device", str(self._path))
        raise self._files.error

    return write


@pytest.mark.faults
def test_a_real_disk_that_is_full(published: Workspace) -> None:
    """/dev/full in the place of the file: the system's own error, through DuckDB."""
    from engagement.exports.hashing import HashingFiles

    if not Path("/dev/full").exists():
        pytest.fail("this system has no /dev/full")
    files = HashingFiles()
    with duckdb.connect() as connection:
        connection.register_filesystem(files)
        real = os.open
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "open", lambda path, *_: real("/dev/full", os.O_WRONLY))
            with pytest.raises(duckdb.Error):
                connection.execute("copy (select range from range(10)) to 'hashed://x.csv'")
        connection.unregister_filesystem("hashed")
    assert files.error is not None and files.error.errno in durable.FULL
    assert files.written == {}


KILLED = """
import os, signal, sys
from engagement.exports import folder, writing
from engagement import durable
from engagement.cli import main
step = sys.argv.pop(1)
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
def after(module, name):
    real = getattr(module, name)
    def wrapped(*arguments, **named):
        result = real(*arguments, **named)
        kill()
        return result
    setattr(module, name, wrapped)
if step == "parts": after(writing, "write_parts")
elif step == "manifest": after(writing, "manifest_bytes")
elif step == "before": folder.put = kill
else: after(folder, "put")
main()
"""


@pytest.mark.parametrize(
    "step",
    ["before", "after", *(pytest.param(step, marks=pytest.mark.long) for step in ("parts", "manifest"))],
)
def test_killed_at_any_step_an_export_is_whole(published: Workspace, step: str) -> None:
    export_of(published, {"table": "marts.odd", "path": "{name}"})
    place = made(published)["place"]
    before = (place / "manifest.json").read_bytes()
    export_of(published, {"table": "marts.odd", "path": "{name}", "rows_per_part": 3})
    environment = {**os.environ, **published.environment}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, step, "export"],
        env=environment,
        cwd=published.root,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    manifest = json.loads((place / "manifest.json").read_bytes())
    assert ((place / "manifest.json").read_bytes() == before) is (step != "after")
    assert set(os.listdir(place)) == {"manifest.json", *(part["file"] for part in manifest["parts"])}
    for part in manifest["parts"]:
        assert hashlib.sha256((place / part["file"]).read_bytes()).hexdigest() == part["sha256"]
    # The next one takes away what was left.
    made(published)
    assert [name for name in names_below(published.root) if ".exporting" in name or ".spilling" in name] == []


def test_another_export_at_the_same_time_waits_or_is_refused(published: Workspace) -> None:
    export_of(published, {"table": "marts.odd"})
    (published.root / "data").mkdir(exist_ok=True)
    descriptor = os.open(published.root / "data" / export.LOCK, os.O_RDWR | os.O_CREAT)
    try:
        assert durable.locked(descriptor, wait_seconds=0)
        assert refused(published) == (
            8,
            ["export.lock: another `engagement export` is going on; wait until it has ended"],
        )
    finally:
        os.close(descriptor)
    made(published)


def test_the_published_file_is_let_go_of_also_after_an_error(published: Workspace, world: Path) -> None:
    export_of(published, {"table": "marts.nothing"}, {"name": "two", "table": "marts.odd"})
    result = published.run("export")
    assert result.exit_code == 2
    with duckdb.connect(str(world)) as connection:
        connection.execute("select 1")
    assert not world.with_name(world.name + ".wal").exists()


# --- what is wrong is said in one line


@pytest.mark.parametrize(
    ("definition", "code", "line"),
    [
        (
            {"table": "marts.account_outlok"},
            2,
            "one: there is no table 'marts.account_outlok' in the published file; did you mean marts.account_outlook?",
        ),
        (
            {"segment": "stail"},
            2,
            "one: there is no segment 'stail' in the published file; did you mean stale?",
        ),
        (
            {"table": "marts.odd", "columns": ["numbr"]},
            2,
            "one: there is no column 'numbr' in table marts.odd; did you mean number?",
        ),
        (
            {"segment": "stale", "columns": ["account_outlook.gap"]},
            2,
            "one: there is no column 'account_outlook.gap' in segment stale; known: account_id, enrichment_id,"
            " usual_gap_days",
        ),
        (
            {"segment": "stale", "columns": ["contacts.email"]},
            2,
            "one: 'contacts.email' is of no table that segment stale is exported with; known: segment_members,"
            " enriched_customers, customer_profiles, account_outlook, account_traffic",
        ),
        (
            {"segment": "buyers", "columns": ["contacts.phone"]},
            2,
            "one: contacts.csv has no column 'phone'; known: account_id, contact_id, email",
        ),
        (
            {"table": "marts.odd", "to": "missing/out"},
            2,
            "one: the folder that out is to lie in does not exist; make it, or correct `to`",
        ),
    ],
)
def test_what_is_not_there(published: Workspace, definition: dict[str, Any], code: int, line: str) -> None:
    export_of(published, definition)
    assert refused(published) == (code, [line])
    assert not (published.root / "out" / "one").exists()


def test_nothing_published_yet(workspace: Workspace) -> None:
    export_of(workspace, {"table": "marts.odd"})
    assert refused(workspace) == (
        2,
        ["engagement.duckdb: nothing is published yet; run `engagement run` first"],
    )
    workspace.leave_sentinel()
    code, lines = refused(workspace)
    assert (code, len(lines)) == (2, 1) and "is no published file that can be read" in lines[0]
    assert not (workspace.root / "out").exists()


def test_a_file_of_a_release_without_segments(workspace: Workspace) -> None:
    publish_world(workspace.published_file)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute("drop table marts.segments")
    export_of(workspace, {"segment": "stale"})
    line = "one: the published file has no segments; define some, then run `engagement run`"
    assert refused(workspace) == (2, [line])


def test_what_lies_there_already_is_not_lost(published: Workspace) -> None:
    place = published.root / "out" / "one"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("of somebody else")
    export_of(published, {"table": "marts.odd", "path": "{name}"})
    line = (
        "one: out/one is there already and holds other files than an export of this name; move them away, or correct"
        " `path`"
    )
    assert refused(published) == (2, [line])
    (place / "mine.txt").unlink()
    made(published)
    export_of(published, {"name": "two", "table": "marts.odd", "path": "one"})
    assert refused(published)[0] == 2


def test_a_folder_that_may_not_be_written(published: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may write everywhere, so a file stands in the place of the folder."""
    (published.root / "out").write_text("")
    export_of(published, {"table": "marts.odd"})
    code, lines = refused(published)
    assert code == 12
    assert lines[0].startswith("one: out: cannot be written or read (file exists)"), lines


def test_one_that_fails_does_not_stop_the_others(published: Workspace) -> None:
    export_of(
        published,
        {"name": "first", "table": "marts.nothing"},
        {"name": "second", "table": "marts.odd"},
        {"name": "third", "segment": "stale", "columns": ["nothing"]},
    )
    result = published.run("export", "--json")
    assert result.exit_code == 2
    facts = json.loads(result.stdout)
    assert [one["name"] for one in facts["exports"]] == ["second"]
    assert [one["name"] for one in facts["failed"]] == ["first", "third"]
    assert len(re.findall("^error: ", result.stderr, re.MULTILINE)) == 2
    assert (published.root / "out/second/2026/06/30/manifest.json").is_file()


def test_rows_that_cannot_be_read_are_one_line(workspace: Workspace) -> None:
    publish_world(workspace.published_file)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute(
            "create view marts.broken as select cast(text as integer) as number from marts.odd"
        )
    export_of(workspace, {"table": "marts.broken"}, {"name": "two", "table": "marts.odd"})
    result = workspace.run("export")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: one: the rows of table marts.broken cannot be read (ConversionException); publish again, or look at the"
        " view or model behind it\n"
    )
    assert names_below(workspace.root / "out")[0] == "two"


def test_chosen_by_name(published: Workspace) -> None:
    export_of(published, {"table": "marts.odd"}, {"name": "two", "table": "marts.odd"})
    assert refused(published, "nope") == (2, ["there is no export 'nope'; known: one, two"])
    made(published, "two")
    assert names_below(published.root / "out")[0] == "two"
    published.configure()
    code, lines = refused(published)
    assert (code, lines) == (2, ["enrichments.yml: has no exports; add some under exports (docs/exports.md)"])


def test_list_and_dry_run_write_nothing(published: Workspace) -> None:
    export_of(
        published,
        {"segment": "stale", "compression": "gzip", "after_run": True},
        {"name": "two", "table": "marts.odd", "format": "parquet", "to": "s3://nowhere/at/all"},
    )
    listed = published.run("export", "--list")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines() == [
        "one: segment stale as csv (gzip) to out/{name}/{as_of_date:%Y/%m/%d}, after every run",
        "two: table marts.odd as parquet (zstd) to s3://nowhere/at/all/{name}/{as_of_date:%Y/%m/%d}",
    ]
    tried = published.run("export", "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert tried.stdout.splitlines() == [
        "one: would be 3 rows in out/one/2026/06/30",
        "two: would be 10 rows in s3://nowhere/at/all/two/2026/06/30",
    ]
    assert not (published.root / "out").exists()
    assert published.run("export", "--list", "two").exit_code == 2


# --- enrichments.yml


def findings(workspace: Workspace, *exports: Any) -> list[str]:
    workspace.configure(lambda raw: raw.update(exports=list(exports)))
    with pytest.raises(ConfigurationError) as caught:
        workspace.settings(services=())
    return list(caught.value.findings)


ONE = {"name": "one", "table": "marts.odd", "to": "out"}


@pytest.mark.parametrize(
    ("definition", "finding"),
    [
        (
            {**ONE, "name": "a/b"},
            "exports[0].name: 'a/b' is not allowed; allowed: a name that a file can have: ",
        ),
        (
            {**ONE, "name": "con"},
            "exports[0].name: 'con' is not allowed; allowed: a name that a file can have: ",
        ),
        ({**ONE, "nam": "x"}, "exports[0].nam: unknown key; did you mean name?"),
        ({"name": "one", "to": "out"}, "exports[0]: has neither table nor segment; add one"),
        ({**ONE, "segment": "x"}, "exports[0]: has both table and segment; keep one of them"),
        (
            {**ONE, "table": "odd"},
            "exports[0].table: 'odd' is not allowed; allowed: a table or view of the published",
        ),
        ({**ONE, "format": "xlsx"}, "exports[0].format: 'xlsx' is not allowed; allowed: csv, parquet"),
        (
            {**ONE, "compression": "zstd"},
            "exports[0].compression: 'zstd' is not allowed; allowed with format csv: none",
        ),
        ({**ONE, "delimiter": "x"}, "exports[0].delimiter: 'x' is not allowed; allowed: ,, ;, |, \\t"),
        ({**ONE, "parts": 0}, "exports[0].parts: 0 is not allowed; allowed: a whole number from 1 to 9,999"),
        (
            {**ONE, "parts": 2, "rows_per_part": 5},
            "exports[0]: has both parts and rows_per_part; keep one of them",
        ),
        ({**ONE, "columns": []}, "exports[0].columns: is empty; allowed: at least one entry"),
        (
            {**ONE, "columns": [{"column": "x", "as": "z", "ass": "y"}]},
            "exports[0].columns[0].ass: unknown key; did you mean as?",
        ),
        ({**ONE, "columns": [{"column": "x"}]}, "exports[0].columns[0].as: missing; add it"),
        ({**ONE, "columns": [5]}, "exports[0].columns[0]: 5 is not allowed; allowed: text"),
        (
            {**ONE, "columns": [{"column": "x", "as": "=y"}]},
            "exports[0].columns[0].as: '=y' is not allowed; allowed: a name of one line that does not begin with =",
        ),
        (
            {**ONE, "columns": ["x", {"column": "y", "as": "X"}]},
            "exports[0].columns[1]: 'X' is there twice (case does not count); rename one with",
        ),
        (
            {**ONE, "to": "ftp://host/x"},
            "exports[0].to: 'ftp://host/x' is not allowed; allowed: a folder, s3://",
        ),
        (
            {**ONE, "to": "s3:///x"},
            "exports[0].to: 's3:///x' is not allowed; allowed: a folder, s3://bucket/folder",
        ),
        (
            {**ONE, "to": "sftp://me:zqsecret@host/x"},
            "exports[0].to: the value given (not shown: it may be personal) is not allowed; allowed: a folder, s3://",
        ),
        ({**ONE, "to": "s3://b/../x"}, "exports[0].to: 's3://b/../x' is not allowed; allowed: a folder"),
        (
            {**ONE, "path": "../{name}"},
            "exports[0].path: '../{name}' is not allowed; allowed: folders between single /",
        ),
        (
            {**ONE, "path": "/{name}"},
            "exports[0].path: '/{name}' is not allowed; allowed: folders between single /",
        ),
        (
            {**ONE, "path": "{now}"},
            "exports[0].path: '{now}' is not allowed; allowed: folders between single /",
        ),
        (
            {**ONE, "path": "{name.x}"},
            "exports[0].path: '{name.x}' is not allowed; allowed: folders between single /",
        ),
        (
            {**ONE, "format": "parquet", "delimiter": ";"},
            "exports[0].delimiter: Parquet has none; remove it, or set",
        ),
        ({**ONE, "after_run": "yes"}, "exports[0].after_run: 'yes' is not allowed; allowed: true or false"),
    ],
)
def test_a_definition_that_is_wrong(workspace: Workspace, definition: Any, finding: str) -> None:
    found = findings(workspace, definition)
    assert len(found) == 1 and found[0].startswith(finding), found
    assert "zqsecret" not in str(found)


def test_names_and_folders_are_taken_once(workspace: Workspace) -> None:
    found = findings(
        workspace, ONE, {**ONE, "name": "ONE"}, {**ONE, "name": "two", "path": "one/{as_of_date:%Y/%m/%d}"}
    )
    assert found == [
        "exports[1].name: 'ONE' is already taken by exports[0] (case does not count); choose another",
        "exports[2].path: leads to the same folder as exports[0], and one would replace the other; put {name} into it",
    ]


def test_the_example_of_enrichments_yml_is_right(workspace: Workspace) -> None:
    import yaml

    text = (ROOT / "enrichments.yml").read_text("utf-8")
    lines = text.partition("# exports:")[2].partition("\nenrichments:")[0].splitlines()
    block = yaml.safe_load("exports:\n" + "\n".join(line.removeprefix("#")[1:] for line in lines[1:]))
    workspace.configure(lambda raw: raw.update(block))
    [one] = workspace.settings(services=()).configuration.exports
    assert (one.segment, one.rows_per_part, one.compressed, len(one.columns)) == (
        "stale",
        1_000_000,
        "gzip",
        4,
    )


def test_secrets_of_destinations_are_kept_from_children_and_looked_for(workspace: Workspace) -> None:
    assert set(definitions.SECRET_VARIABLES) <= set(SECRET_VARIABLES)
    workspace.environment["ENGAGEMENT_SFTP_PASSWORD"] = "zqpasswordofsftp"
    settings = workspace.settings(services=())
    assert "zqpasswordofsftp" in secret_values(settings)
    assert "zqpasswordofsftp" not in repr(settings)


# --- after a run


def test_after_a_run_a_failing_export_is_told_and_undoes_nothing(published: Workspace) -> None:
    export_of(
        published,
        {"name": "bad", "table": "marts.nothing", "after_run": True},
        {"name": "good", "table": "marts.odd", "after_run": True},
        {"name": "other", "table": "marts.odd"},
    )
    outcome = export.export_after_run(published.settings(services=()))
    assert outcome.exit_code == 15
    assert [one["name"] for one in outcome.facts["exports"]] == ["good"]
    assert [one["name"] for one in outcome.facts["failed"]] == ["bad"]
    assert names_below(published.root / "out")[0] == "good"
    assert not (published.root / "out/other").exists()


def test_after_a_run_what_was_not_foreseen_is_told_by_its_kind(
    published: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_of(published, {"table": "marts.odd", "after_run": True})

    def fail(*_: object, **__: object) -> Any:
        raise KeyError("zqsecret")

    monkeypatch.setattr(writing, "write_parts", fail)
    outcome = export.export_after_run(published.settings(services=()))
    assert outcome.exit_code == 15
    assert outcome.facts["failed"] == [
        {"name": "one", "exit_code": 1, "errors": ["one: unexpected KeyError"]}
    ]


@pytest.mark.long
def test_a_whole_run_exports_what_it_published(workspace: Workspace) -> None:
    """With the emulator, dbt and the gate: the run is published and done, an export after it failed, exit code 15."""
    from conftest import emulated, small_tenant

    exports = [
        {
            "name": "engaged",
            "segment": "stale",
            "columns": ["account_id", "reason", "engagement_score", "usual_gap_days", "tier"],
            "to": "out",
            "after_run": True,
        },
        {
            "name": "engagement",
            "table": "enrichment.Office",
            "to": "out",
            "format": "parquet",
            "after_run": True,
        },
        {"name": "bad", "table": "marts.nothing", "to": "out", "after_run": True},
        {"name": "later", "table": "marts.account_scores", "to": "out"},
    ]
    with emulated(small_tenant(), workspace):
        workspace.configure(lambda raw: raw.update(exports=exports))
        done = workspace.run("run", "--json")
    assert done.exit_code == 15, done.output
    facts = json.loads(done.stdout)
    assert "exports" in facts["steps"]
    assert [one["name"] for one in facts["exports"]["exports"]] == ["engaged", "engagement"]
    assert facts["exports"]["failed"][0]["errors"][0].startswith("bad: there is no table 'marts.nothing'")
    state = json.loads((workspace.root / "data/run_state.json").read_text("utf-8"))
    assert (state["state"], state["published_run_id"]) == ("done", facts["run_id"])
    [manifest_file] = (workspace.root / "out/engagement").rglob("manifest.json")
    manifest = json.loads(manifest_file.read_text("utf-8"))
    assert manifest["run_id"] == facts["run_id"] and manifest["as_of_date"] == facts["as_of"]
    assert manifest["score_version"] == "v1"
    part = manifest_file.parent / manifest["parts"][0]["file"]
    assert len(rows_of(part)) == manifest["rows"] == facts["tables"]["account_engagement"]
    again = workspace.run("export", "later", "engaged")
    assert again.exit_code == 0, again.output


def test_ctrl_c_ends_an_export_and_leaves_nothing(published: Workspace, tmp_path: Path) -> None:
    slow = tmp_path / "slow.duckdb"
    publish_world(slow)
    with duckdb.connect(str(slow)) as connection:
        connection.execute(
            "create view marts.slow as select sum(a.range * b.range) as total from range(1000000) as a,"
            " range(10000000) as b where a.range % 7 <> b.range % 11"
        )
    published.environment["ENGAGEMENT_PUBLISHED_FILE"] = str(slow)
    export_of(published, {"table": "marts.slow"})
    process = published.start("export")
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        # What does not hear it would go on for days.
        process.kill()
    assert process.returncode == 130, errors
    assert errors.startswith("error: cancelled by Ctrl-C (SIGINT)"), errors
    assert names_below(published.root / "out") == []
    assert list((published.root / "data").glob(".*")) == []


def test_a_process_of_its_own_ends_silently(published: Workspace) -> None:
    export_of(published, {"table": "marts.odd", "columns": ["text"]})
    process = published.start("export")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("one: 10 rows in 1 part, ")
    part = published.root / "out/one/2026/06/30/one-0001.csv"
    with part.open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][:3] == ["text", "'=1+0", "text 1"]
