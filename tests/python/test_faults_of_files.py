"""The disk, the memory and the files against everything that they are known to do wrong: the numbers are those of the
fault list (8 to 15, and 50 to 53). After each, one clean run later, the rows are those of a run without a fault.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult

from conftest import NOW, ROOT, SENTINEL, Workspace, holding_open
from emulators.firmographics import Company
from emulators.graph import Handle
from emulators.leadspace import running as running_leadspace
from emulators.tenant import Tenant
from engagement import budget, rebuild
from engagement.build import build
from engagement.errors import DamagedFileError
from engagement.tombstones import Tombstones
from engagement.warehouse import connect, own_file, private_file
from kill_world import publish_first_week, world
from test_faults import Rows, assert_same, busy_tenant, faultless_rows, prepared, read

pytestmark = pytest.mark.faults

DONE, CONFIGURATION, REFUSED, BUSY, RESOURCES, DAMAGED = 0, 2, 7, 8, 12, 14

# A process of the command in which one thing is otherwise.
COMMAND = "import sys; sys.argv[0] = 'engagement'; from engagement.cli import main; main()"
# No file of it may become larger: what is beyond is refused as by a full disk, in DuckDB as well.
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
# Nothing is refused beforehand for want of room.
CARELESS = "from engagement import budget; budget.FIXED_BYTES = budget.TIMES_PUBLISHED = 0; "
# The disk is filled when dbt is about to begin.
FILLED_BEFORE_DBT = """
import shutil
from engagement import run
build = run.build
def build_on_a_full_disk(settings, **options):
    with open(settings.data_dir / "filling", "wb") as filling:
        filling.write(bytes(shutil.disk_usage(settings.data_dir).free - 200_000))
    build(settings, **options)
run.build = build_on_a_full_disk
"""
# Killed when all is landed and the private file still open: its log then holds what was landed.
KILLED_BEFORE_CLOSING = (
    "import os, signal; from engagement.office import retention;"
    " retention.expire = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL); "
)


def command(
    workspace: Workspace, *arguments: str, otherwise: str = "", before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in which `otherwise` was executed before."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGAGEMENT_")}
    path = os.pathsep.join(filter(None, [str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [*before, sys.executable, "-c", otherwise + COMMAND, *arguments],
        env={**kept, "PYTHONPATH": path, **workspace.environment},
        capture_output=True,
        text=True,
        cwd=workspace.root,
        check=False,
    )


def on_small_disk(
    workspace: Workspace, size_bytes: int, *arguments: str, otherwise: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command with the data folder on a disk of so many bytes, whose content is the folder's afterwards."""
    data, disk = workspace.root / "data", workspace.root / "disk"
    disk.mkdir()
    workspace.environment["ENGAGEMENT_DATA_DIR"] = str(disk)
    script = (
        f'mount -t tmpfs -o size={size_bytes} small "{disk}" && cp -a "{data}/." "{disk}/" && {{ "$@"; code=$?;'
        f' cp -a "{disk}/." "{data}/"; exit $code; }} || exit $?'
    )
    in_namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*in_namespace, f'mount -t tmpfs small "{disk}"'], capture_output=True).returncode:
        pytest.skip("a disk of its own can be mounted by nobody here (unshare)")
    done = command(
        workspace, *arguments, otherwise=CARELESS + otherwise, before=[*in_namespace, script, "sh"]
    )
    workspace.environment["ENGAGEMENT_DATA_DIR"] = str(data)
    return done


def one_line(stderr: str) -> str:
    """The error, which is one line, without a traceback and without an address."""
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr and "@" not in stderr and "unexpected" not in stderr, stderr
    return lines[0]


@dataclass(frozen=True)
class Past:
    """A data folder of a month ago, and what a run without a fault makes of it now."""

    data: Path
    faultless: Rows


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    workspace = prepared(Workspace(tmp_path_factory.mktemp("past")))
    tenant = busy_tenant()
    tenant.now = NOW - timedelta(days=30)
    faultless_rows(workspace, tenant)
    kept = workspace.root / "kept"
    shutil.copytree(workspace.root / "data", kept)
    return Past(kept, faultless_rows(workspace, busy_tenant()))


@pytest.fixture
def tenant() -> Tenant:
    return busy_tenant()


@pytest.fixture
def connected(connected: Workspace, past: Past) -> Workspace:
    """The workspace of a month ago, pointed at the emulator."""
    shutil.copytree(past.data, connected.root / "data")
    return prepared(connected)


@pytest.fixture
def faultless(past: Past) -> Rows:
    return past.faultless


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A whole run, and the file that it published; that of a company which other tests begin with as well."""
    folder = tmp_path_factory.mktemp("built")
    with world(folder) as company:
        publish_first_week(company, folder.parent)
        company.take_up("published")
        yield company.workspace


@pytest.fixture
def copy(built: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to be damaged."""
    copy = Workspace(tmp_path / "copy")
    copy.environment |= built.environment
    for name in built.root.iterdir():
        if name.is_dir():
            shutil.copytree(name, copy.root / name.name)
        else:
            shutil.copyfile(name, copy.root / name.name)
    for variable in ("ENGAGEMENT_CONFIG", "ENGAGEMENT_DATA_DIR", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        copy.environment[variable] = str(copy.root / Path(built.environment[variable]).name)
    return copy


# --- 8 to 10: a full disk


def test_fault_8_a_disk_that_is_full_while_mail_is_landed(connected: Workspace, faultless: Rows) -> None:
    room = sum(path.stat().st_size for path in (connected.root / "data").iterdir()) + 30_000
    said = on_small_disk(connected, room, "extract", "office")
    assert said.returncode == RESOURCES, said.stderr
    assert "private.duckdb: the disk is full, or a quota is; make room in its folder" in one_line(said.stderr)
    read(connected)
    assert_same(connected, faultless)


def test_fault_8_a_file_that_may_not_grow(connected: Workspace, faultless: Rows) -> None:
    said = command(connected, "extract", "office", otherwise=SMALL_FILES.format(20_000))
    assert said.returncode == RESOURCES, said.stderr
    assert "private.duckdb: the disk is full, or a quota is; make room in its folder" in one_line(said.stderr)
    read(connected)
    assert_same(connected, faultless)


@pytest.mark.parametrize(("short_of", "code"), [(0, DONE), (1, RESOURCES)])
def test_fault_8_room_is_looked_for_before_anything_is_asked(
    short_of: int, code: int, connected: Workspace, graph: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []

    def just_enough(path: Path) -> Any:
        return shutil._ntuple_diskusage(10**12, 0, needed[0] - short_of if needed else 0)  # type: ignore[attr-defined]

    estimate = budget.estimate

    def noted(*arguments: Any) -> budget.Budget:
        needed.append(estimate(*arguments).bytes_least)
        return estimate(*arguments)

    monkeypatch.setattr(budget, "estimate", noted)
    monkeypatch.setattr(shutil, "disk_usage", just_enough)
    graph.requests.clear()
    said = connected.run("extract", "office")
    assert said.exit_code == code, said.output
    if code == RESOURCES:
        assert "data: 100 MB of disk are needed and 100 MB are free; make room" in one_line(said.stderr)
        assert not graph.requests
    else:
        assert "of disk may be needed and 100 MB are free; make room in time" in said.stderr


def test_fault_8_a_file_beside_that_cannot_be_written(connected: Workspace, faultless: Rows) -> None:
    """What Python writes itself, with no room for even a line of it."""
    said = command(connected, "extract", "office", otherwise=SMALL_FILES.format(0))
    assert said.returncode == RESOURCES, said.stderr
    assert "the disk is full, or a quota is; make room" in one_line(said.stderr)
    read(connected)
    assert_same(connected, faultless)


def test_fault_9_a_disk_that_is_full_at_the_checkpoint(connected: Workspace, faultless: Rows) -> None:
    """Everything is committed to the log, which then cannot be brought into the file."""
    limit = connected.private_file.stat().st_size
    said = command(connected, "extract", "office", otherwise=SMALL_FILES.format(limit))
    log = connected.private_file.with_name("private.duckdb.wal")
    assert log.is_file(), "the log was not brought into the file"
    assert said.returncode in (DONE, RESOURCES), said.stderr
    if said.returncode == DONE:
        assert_same(connected, faultless)
    assert "lacks" not in read(connected), "what was committed is there"
    assert_same(connected, faultless)
    assert not log.is_file()


def test_fault_10_a_disk_that_is_full_while_publishing(copy: Workspace) -> None:
    before = copy.published_file.read_bytes()
    said = command(copy, "publish", otherwise=SMALL_FILES.format(len(before) // 2))
    assert said.returncode == RESOURCES, said.stderr
    assert "the disk is full, or a quota is; make room" in one_line(said.stderr)
    assert "engagement.duckdb is as it was" in said.stderr
    assert copy.published_file.read_bytes() == before
    assert not list(copy.published_file.parent.glob(".publishing-*"))
    assert copy.run("publish").exit_code == DONE


@pytest.mark.long
def test_fault_10_a_disk_that_is_full_while_dbt_builds(connected: Workspace) -> None:
    """A first build, for which the private file must grow."""
    connected.leave_sentinel()
    said = on_small_disk(connected, 30_000_000, "run", otherwise=FILLED_BEFORE_DBT)
    assert said.returncode == RESOURCES, said.stderr
    assert "private.duckdb: the disk is full, or a quota is" in one_line(said.stderr)
    assert "nothing is published, the last file stays" in said.stderr
    (connected.root / "data" / "filling").unlink()
    refused = connected.run("publish")
    assert refused.exit_code == REFUSED, "half a build must not be published"
    assert connected.published_file.read_bytes() == SENTINEL


# --- 11 to 13: damaged files


def landed_in_the_log(workspace: Workspace) -> Path:
    said = command(workspace, "extract", "office", otherwise=KILLED_BEFORE_CLOSING)
    assert said.returncode == -signal.SIGKILL, said.stderr
    log = workspace.private_file.with_name("private.duckdb.wal")
    assert log.stat().st_size > 1000
    return log


def test_fault_11_a_torn_log_is_noticed_and_its_mail_read_again(
    connected: Workspace, faultless: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    log = landed_in_the_log(connected)
    os.truncate(log, log.stat().st_size - 100)
    for is_said in (True, False):
        caplog.clear()
        with private_file(connected.settings()):
            pass
        assert ("private.duckdb: lacks the last transaction that was written" in caplog.text) == is_said
    read(connected)
    assert_same(connected, faultless)


def test_fault_11_a_whole_log_is_not(connected: Workspace, faultless: Rows) -> None:
    landed_in_the_log(connected)
    assert "lacks" not in read(connected)
    assert_same(connected, faultless)


def test_fault_11_lookups_that_the_log_lost_are_not_paid_for_again_unasked(workspace: Workspace) -> None:
    companies = [Company("Contoso Limited", "contoso.example", "Germany")]
    with running_leadspace(companies, polls_before_done=0) as leadspace:
        workspace.enrich_companies(leadspace.url)
        assert workspace.run("extract", "customers").exit_code == DONE
        put_back = workspace.root / "before.duckdb"
        shutil.copyfile(workspace.private_file, put_back)
        assert workspace.run("extract", "leadspace").exit_code == DONE
        paid = dict(leadspace.looked_up)
        assert paid
        shutil.copyfile(put_back, workspace.private_file)
        for _ in range(2):
            refused = workspace.run("extract", "leadspace")
            assert refused.exit_code == CONFIGURATION
            assert "lookups that were sent are lost from the private file" in one_line(refused.stderr)
        assert workspace.run("extract", "leadspace", "--estimate").exit_code == CONFIGURATION
        assert leadspace.looked_up == paid
        assert workspace.run("extract", "leadspace", "--send-again").exit_code == DONE
        assert leadspace.looked_up == {record: 2 for record in paid}
        again = workspace.run("extract", "leadspace")
        assert again.exit_code == DONE and leadspace.looked_up == {record: 2 for record in paid}


def test_fault_12_a_flipped_bit_in_the_private_file_is_found_or_does_no_harm(
    connected: Workspace, faultless: Rows
) -> None:
    whole = connected.private_file.read_bytes()
    draw = random.Random(20261126)
    found = 0
    for _ in range(12):
        flipped = bytearray(whole)
        flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        connected.private_file.write_bytes(flipped)
        connected.private_file.with_name("high_water_mark.json").unlink(missing_ok=True)
        said = connected.run("extract", "office")
        if said.exit_code == DONE:
            assert_same(connected, faultless)
        else:
            found += 1
            assert said.exit_code == DAMAGED, said.stderr
            assert "private.duckdb: is damaged; restore the newest backup" in one_line(said.stderr)
        connected.private_file.with_name("private.duckdb.wal").unlink(missing_ok=True)
    assert found, "no bit was flipped that matters"
    # As the line says.
    connected.private_file.unlink()
    read(connected)


def test_fault_12_a_flipped_bit_in_the_log_costs_reading_again(connected: Workspace, faultless: Rows) -> None:
    log = landed_in_the_log(connected)
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 4
    log.write_bytes(content)
    # A reader alone changes nothing.
    with (
        pytest.raises(
            DamagedFileError, match=r"private.duckdb.wal: is damaged; run any `engagement extract`"
        ),
        connect(connected.settings(), read_only=True),
    ):
        pass
    said = read(connected)
    assert "private.duckdb.wal: is damaged; set aside as private.duckdb.wal.aside" in said
    assert "private.duckdb: lacks the last" in said
    assert_same(connected, faultless)
    # What was set aside holds what the file held: it goes with the next rewriting, as an erasure does one.
    settings = connected.settings()
    with own_file(settings) as connection:
        rebuild.rebuild(connection, settings, Tombstones.load(settings))
    assert not list(connected.private_file.parent.glob("*.aside"))


def test_fault_12_a_flipped_bit_in_the_published_file_is_told_and_mended(copy: Workspace) -> None:
    content = bytearray(copy.published_file.read_bytes())
    content[8192 + 100] ^= 1
    copy.published_file.write_bytes(content)
    status = json.loads(copy.run("status", "--json").stdout)
    assert status["published"] == {"file": "engagement.duckdb", "is_readable": False}
    assert copy.run("publish").exit_code == DONE
    assert json.loads(copy.run("status", "--json").stdout)["published"]["is_readable"]


def test_fault_13_the_log_of_another_file_is_never_replayed_into_the_private_one(
    connected: Workspace, faultless: Rows
) -> None:
    log = landed_in_the_log(connected)
    foreign = connected.root / "foreign.wal"
    log.rename(foreign)
    read(connected)
    # A file put back, beside the log of what it was since.
    foreign.rename(log)
    said = read(connected)
    assert "private.duckdb.wal: is the log of another file, or of an older or newer copy of this one" in said
    assert not log.exists() and connected.private_file.with_name("private.duckdb.wal.aside").is_file()
    assert_same(connected, faultless)


def test_fault_13_nor_into_the_published_one(copy: Workspace) -> None:
    foreign = copy.root / "foreign.duckdb"
    code = (
        "import duckdb, os, sys; held = duckdb.connect(sys.argv[1]); held.execute('create schema foreign_schema');"
        " held.execute('create table foreign_schema.foreign_table as select 1'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(foreign)], check=True)
    beside = copy.published_file.with_name("engagement.duckdb.wal")
    shutil.copyfile(foreign.with_name("foreign.duckdb.wal"), beside)
    assert copy.run("publish").exit_code == DONE
    assert not beside.exists()
    with duckdb.connect(str(copy.published_file), read_only=True) as connection:
        assert connection.execute(
            "select count(*) from duckdb_tables() where table_name = 'foreign_table'"
        ).fetchone() == (0,)


# --- 14 and 15: folders and memory


@pytest.mark.parametrize(
    "variable", ["ENGAGEMENT_DATA_DIR", "ENGAGEMENT_PRIVATE_FILE", "ENGAGEMENT_PUBLISHED_FILE"]
)
def test_fault_14_a_folder_that_cannot_be_written_is_told_before_anything_is_asked(
    variable: str, workspace: Workspace, graph: Handle
) -> None:
    workspace.connect_to(graph)
    # Nobody, not even root, makes a folder there.
    place = "/proc/nowhere/engagement"
    workspace.environment[variable] = place if variable.endswith("DIR") else f"{place}/file.duckdb"
    graph.requests.clear()
    refused = workspace.run("extract", "office")
    assert refused.exit_code == CONFIGURATION
    assert f"{variable}: the folder engagement cannot be written" in one_line(refused.stderr)
    assert not graph.requests


def test_fault_14_a_folder_that_vanishes_in_the_midst(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    """It is gone, and comes back as it was an hour before."""
    data = connected.root / "data"
    kept = connected.root / "kept"
    shutil.copytree(data, kept)

    def remove() -> None:
        while not any("/messages" in request.path for request in list(graph.requests)):
            time.sleep(0.002)
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)

    graph.requests.clear()
    removing = threading.Thread(target=remove)
    removing.start()
    said = connected.run("extract", "office")
    removing.join()
    assert said.exit_code == RESOURCES, said.stderr
    assert "cannot be written or read" in one_line(said.stderr) or "is gone" in one_line(said.stderr)
    shutil.rmtree(data, ignore_errors=True)
    kept.rename(data)
    read(connected)
    assert_same(connected, faultless)


def test_fault_15_too_little_memory_is_said_and_leaves_nothing_behind(
    connected: Workspace, faultless: Rows
) -> None:
    connected.leave_sentinel()
    connected.environment["ENGAGEMENT_MEMORY_LIMIT"] = "3MB"
    said = connected.run("run")
    assert said.exit_code == RESOURCES, said.output
    assert "out of memory; close other programs, or give it more with ENGAGEMENT_MEMORY_LIMIT" in said.stderr
    one_line(said.stderr)
    assert connected.published_file.read_bytes() == SENTINEL
    assert not list(connected.private_file.parent.glob("*.tmp"))
    del connected.environment["ENGAGEMENT_MEMORY_LIMIT"]
    read(connected)
    assert_same(connected, faultless)


# Rows like those of mail, made where they are stored: a quarter from contacts, two copies a message, seven a thread.
# Keys as large as those of the hash: small numbers stand in every file.
KEY = "create temporary macro large_key(number) as (hash(number + 1)::hugeint - 9223372036854775808)::bigint"
MUCH_MAIL = """
    insert into raw.office_messages by name
    select
        {mailboxes}[1 + (number % len({mailboxes}))::int] as mailbox_id,
        large_key(number) as item_key,
        large_key(number // 2) as message_key,
        large_key(number // 7) as thread_key,
        timestamp '2025-07-02' + to_seconds((number * 7919) % 31000000) as received_at,
        case
            when number % 4 = 0 then {contacts}[1 + ((number // 4) % len({contacts}))::int]
            else large_key(number % 100000)
        end as from_key,
        [{ours}[1 + (number % len({ours}))::int]] as recipient_keys,
        false as is_draft, false as is_meeting_mail, false as is_search_folder_copy,
        timestamp '2026-07-01 05:30:00' as read_at,
        (select max(landing_id) from raw.office_units) as landing_id
    from range({rows}) as numbers (number)
"""


@pytest.mark.long
def test_fault_15_a_gigabyte_is_enough_for_more_rows_than_fit_into_it(
    workspace: Workspace, graph: Handle
) -> None:
    """2.5 million copies of messages: the build ends, leaves nothing behind, and the numbers are those of a build
    with all the memory that there is.
    """
    workspace.connect_to(graph)
    assert workspace.run("extract", "customers").exit_code == DONE
    assert workspace.run("extract", "office").exit_code == DONE
    with duckdb.connect(str(workspace.private_file)) as connection:

        def keys(sql: str) -> str:
            return f"({[row[0] for row in connection.execute(sql).fetchall()]}::bigint[])"

        connection.execute(KEY)
        connection.execute(
            MUCH_MAIL.format(
                mailboxes=keys("select distinct mailbox_id from raw.office_units order by all"),
                contacts=keys("select address_key from raw.contacts order by all"),
                ours=keys("select address_keys[1] from raw.office_mailboxes order by all"),
                rows=2_500_000,
            )
        )
        connection.execute(
            "insert into raw.office_addresses select large_key(number), 'd' || (number % 5000) || '.example', 'person'"
            " from range(100000) as numbers (number)"
        )
    published = []
    for limit in ("1GB", None):
        if limit is None:
            workspace.environment.pop("ENGAGEMENT_MEMORY_LIMIT")
        else:
            workspace.environment["ENGAGEMENT_MEMORY_LIMIT"] = limit
        # A refresh of what is there already would build nothing.
        with duckdb.connect(str(workspace.private_file)) as connection:
            connection.execute("delete from raw.refreshes") if limit is None else None
        said = command(workspace, "run")
        assert said.returncode == DONE, said.stderr
        assert not list(workspace.private_file.parent.glob("*.tmp"))
        with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
            published.append(
                connection.execute("select * from marts.account_engagement order by all").fetchall()
            )
    assert published[0] == published[1] and len(published[0]) > 100


def test_fault_15_what_a_kill_left_of_spilled_rows_is_removed(connected: Workspace) -> None:
    spilled = connected.private_file.with_name("private.duckdb.tmp")
    spilled.mkdir(mode=0o700)
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows of mail")
    read(connected)
    assert not spilled.exists()


@pytest.mark.parametrize(
    ("limit", "passes"),
    [("1GB", True), ("512 MiB", True), ("80%", True), ("much", False), ("1GB'; drop", False), ("5", False)],
)
def test_fault_15_a_limit_that_is_none_is_a_finding(limit: str, passes: bool, workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_MEMORY_LIMIT"] = limit
    said = workspace.run("check")
    assert (said.exit_code == DONE) == passes, said.output
    if not passes:
        assert "ENGAGEMENT_MEMORY_LIMIT: not allowed; a number and its unit" in said.stderr


# --- 50 to 53: at the same time


def test_fault_50_a_second_run_ends_at_once_and_the_first_does_not_notice(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    first = connected.start("extract", "office")
    lock = connected.settings().run_lock_file
    while not lock.exists() or str(first.pid) not in lock.read_text():
        time.sleep(0.002)
    second = connected.run("extract", "office")
    _, errors = first.communicate()
    assert (first.returncode, second.exit_code) == (DONE, BUSY), errors
    line = one_line(second.stderr)
    assert (
        f"run.lock: another run is going on (`engagement extract office`, process {first.pid}, started"
        in line
    )
    assert_same(connected, faultless)


def test_fault_51_a_reader_that_holds_the_published_file_keeps_what_he_opened(copy: Workspace) -> None:
    """Also what he had not yet looked at when the file was replaced."""
    kept = copy.root / "kept.duckdb"
    shutil.copyfile(copy.published_file, kept)
    reader = duckdb.connect(str(copy.published_file), read_only=True)
    assert copy.run("publish").exit_code == DONE
    assert everything(reader) == everything(duckdb.connect(str(kept), read_only=True))
    # Whoever opens it now has the new one. (A connection of this process to the same path would share the held one.)
    shutil.copyfile(copy.published_file, copy.root / "seen.duckdb")
    now = everything(duckdb.connect(str(copy.root / "seen.duckdb"), read_only=True))
    assert now["publication"] != everything(reader)["publication"]
    reader.close()


def everything(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    tables = connection.execute(
        "select table_name from duckdb_tables() where schema_name = 'marts' and not internal"
    ).fetchall()
    return {
        table: connection.execute(f"select * from marts.{table} order by all").fetchall()
        for (table,) in tables
    }


class Holder:
    """Another program that has the private file open."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            holding_open(path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "open\n"

    def give_back(self) -> None:
        self.process.communicate("\n")


def test_fault_52_who_has_the_private_file_open_is_named_and_waited_for_so_long_only(
    connected: Workspace,
) -> None:
    connected.environment["ENGAGEMENT_FILE_WAIT_SECONDS"] = "1"
    holder = Holder(connected.private_file)
    began = time.monotonic()
    said = connected.run("extract", "office")
    waited = time.monotonic() - began
    who = f"private.duckdb: process {holder.process.pid} (python3"
    assert said.exit_code == BUSY
    line = one_line(said.stderr)
    assert who in line and "has the private file open, also after 1 s; close it there" in line
    assert f"warning: {who}" in said.stderr and "waiting for it, at most 1 s" in said.stderr
    assert 1.0 <= waited < 6.0
    holder.give_back()


def test_fault_52_a_run_goes_on_when_it_is_given_back(connected: Workspace, faultless: Rows) -> None:
    connected.environment["ENGAGEMENT_FILE_WAIT_SECONDS"] = "60"
    holder = Holder(connected.private_file)
    later = threading.Timer(1.0, holder.give_back)
    later.start()
    assert "has the private file open; waiting for it, at most 60 s" in read(connected)
    later.join()
    assert_same(connected, faultless)


def test_fault_52_nobody_gets_the_private_file_between_two_models(
    connected: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held from before dbt begins until it has ended: a tool that tries meanwhile is refused."""
    code = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"
    tried: list[int] = []

    def between_two_models(*_: Any, **__: Any) -> dbtRunnerResult:
        arguments = [sys.executable, "-c", code, str(connected.private_file)]
        tried.append(subprocess.run(arguments, capture_output=True, check=False).returncode)
        return dbtRunnerResult(success=True)

    read(connected)
    monkeypatch.setattr(dbtRunner, "invoke", between_two_models)
    build(connected.settings())
    assert tried == [1]
    between_two_models()
    assert tried == [1, 0], "given back"


def test_fault_53_what_is_published_is_in_the_format_of_duckdb_1_2(built: Workspace) -> None:
    header = built.published_file.read_bytes()[:20]
    assert header[8:12] == b"DUCK" and int.from_bytes(header[12:20], "little") == 65
