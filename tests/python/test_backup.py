"""`engagement backup` and `engagement restore`: what is kept, and that nobody who was erased comes back with it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import OURS, ROOT, Workspace, holding_open
from engagement import old_copies
from engagement.backup import MANIFEST, WORK_PREFIX, read_whole
from engagement.run_state import single_run
from engagement.versions import VERSION, current_version
from release_sample import HASH_KEY, PRIVATE, SAMPLES, unpack

pytestmark = pytest.mark.faults

CURRENT = current_version(ROOT)
KIM, LEE = "kim@contoso.example", "lee@contoso.example"
WITHOUT_KEYS = {
    "MANIFEST.json",
    "private.duckdb",
    "audit.jsonl",
    "consents.json",
    "run_state.json",
    "enrichments.yml",
}


@pytest.fixture
def landed(workspace: Workspace) -> Workspace:
    """Customers are in the private file, and what a command leaves beside it."""
    assert workspace.run("extract", "customers").exit_code == 0
    return workspace


def backed_up(workspace: Workspace, *options: str, name: str = "backup") -> Path:
    folder = workspace.root / name
    done = workspace.run("backup", str(folder), *options)
    assert done.exit_code == 0, done.output
    return folder


def restored(workspace: Workspace, folder: Path, *options: str) -> dict[str, Any]:
    done = workspace.run("restore", str(folder), "--yes", "--json", *options)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def refused(workspace: Workspace, *arguments: str, code: int = 2) -> str:
    """The one line with which a command ends."""
    done = workspace.run(*arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1), done.output
    return done.stderr


def held(workspace: Workspace) -> list[tuple[Any, ...]]:
    return workspace.query("select contact_id, address_key from raw.contacts order by all")


def data_of(workspace: Workspace) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in workspace.private_file.parent.iterdir()
        if path.is_file() and path.name != "run.lock"
    }


def lines_of(workspace: Workspace) -> list[str]:
    events = (workspace.private_file.parent / "audit.jsonl").read_text().splitlines()
    return [json.loads(line)["action"] for line in events]


# --- making one


def test_a_backup_is_whole_and_its_owners_alone(landed: Workspace) -> None:
    before = os.umask(0)
    try:
        done = landed.run("backup", str(landed.root / "backup"), "--json")
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    folder = landed.root / "backup"
    assert {path.name for path in folder.iterdir()} == WITHOUT_KEYS
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path.name
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["private_file_version"] == CURRENT
    assert manifest["tables"]["contacts"] == 3
    assert manifest["files"].keys() == WITHOUT_KEYS - {MANIFEST}
    assert (folder / "private.duckdb").read_bytes() == landed.private_file.read_bytes()
    # It is noted, in the backup as well.
    assert lines_of(landed)[-1] == "backup"
    assert '"backup"' in (folder / "audit.jsonl").read_text()
    assert not list(landed.root.glob(".*"))
    assert not any(
        KIM in path.read_text(errors="replace") or str(landed.root) in path.read_text(errors="replace")
        for path in (folder / MANIFEST, folder / "run_state.json")
    )


def test_the_keys_are_in_it_only_where_they_are_asked_for(landed: Workspace) -> None:
    done = landed.run("backup", str(landed.root / "without"))
    assert "it holds no key: keep hash_key in another place" in done.stdout
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    done = landed.run("backup", str(landed.root / "with"), "--with-keys")
    assert "it holds the keys beside the data" in done.stdout
    assert {path.name for path in (landed.root / "with").iterdir()} == WITHOUT_KEYS | {
        "hash_key",
        "tombstone_key",
        "tombstones.json",
    }


def test_what_stands_in_the_log_is_in_the_backup(landed: Workspace) -> None:
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"set checkpoint_threshold = '1GB'\");"
        " c.execute(\"insert into raw.contacts values ('C9', 'A1', 9, 'contoso.example')\"); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, landed.private_file], check=True)
    assert landed.private_file.with_name("private.duckdb.wal").exists()
    folder = backed_up(landed)
    with duckdb.connect(str(folder / "private.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from raw.contacts").fetchall() == [(4,)]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("data", "lies in the data folder"),
        ("data/backup", "lies in the data folder"),
        (".", "lies in the data folder, or around it"),
        ("full", "is there already and not empty"),
        ("accounts.csv", "is a file"),
        ("link", "is a link"),
        ("nowhere/backup", "the folder that it is to lie in does not exist"),
    ],
)
def test_a_place_that_is_none_is_refused(place: str, said: str, landed: Workspace) -> None:
    (landed.root / "full").mkdir()
    (landed.root / "full" / "something").touch()
    (landed.root / "empty").mkdir()
    (landed.root / "link").symlink_to(landed.root / "empty")
    before = data_of(landed)
    assert said in refused(landed, "backup", str(landed.root / place))
    assert data_of(landed) == before
    # An empty one will do.
    assert landed.run("backup", str(landed.root / "empty")).exit_code == 0


def test_without_a_private_file_there_is_nothing_to_back_up(workspace: Workspace) -> None:
    assert "there is nothing to back up" in refused(workspace, "backup", str(workspace.root / "backup"))


def test_neither_is_done_while_a_run_is_going_on(landed: Workspace) -> None:
    folder = backed_up(landed)
    with single_run(landed.settings(), command="run"):
        assert "another run is going on" in refused(landed, "backup", str(landed.root / "b"), code=8)
        assert "another run is going on" in refused(landed, "restore", str(folder), "--yes", code=8)
    with subprocess.Popen(
        holding_open(landed.private_file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        assert "has the private file open" in refused(landed, "backup", str(landed.root / "b"), code=8)
        assert "has the private file open" in refused(landed, "restore", str(folder), "--yes", code=8)
        other.communicate("\n")
    assert not (landed.root / "b").exists()
    assert not list(landed.root.glob(".*"))


def test_too_little_room_is_said_before_anything_is_written(
    landed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(landed.root)
    folder = backed_up(landed)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert "too little room for a backup" in refused(landed, "backup", str(landed.root / "b"), code=12)
    assert "too little room to restore it" in refused(landed, "restore", str(folder), "--yes", code=12)
    assert not (landed.root / "b").exists()


def limited(workspace: Workspace, size_bytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where no file may become larger: what a full disk does to whoever writes."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
        " from engagement.cli import main; main(sys.argv[2:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(size_bytes), *arguments],
        env={**os.environ, **workspace.environment},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_full_disk_leaves_no_backup_and_what_was_there(landed: Workspace) -> None:
    folder = backed_up(landed)
    before = landed.private_file.read_bytes()
    for arguments, said in (
        (("backup", str(landed.root / "b")), "error: b: cannot be written"),
        (("restore", str(folder), "--yes"), "error: private.duckdb: cannot be restored"),
    ):
        done = limited(landed, 400_000, *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (12, 1), done.stderr
        assert done.stderr.startswith(said)
        assert not (landed.root / "b").exists()
        assert landed.private_file.read_bytes() == before
        assert not list(landed.root.glob(".*")) and not list(landed.private_file.parent.glob(".*ing-*"))


def test_a_private_file_that_is_damaged_is_no_backup(landed: Workspace) -> None:
    content = bytearray(landed.private_file.read_bytes())
    # The first block is that of a table.
    content[12_288 + 8 : 12_288 + 72] = b"\xff" * 64
    landed.private_file.write_bytes(content)
    done = landed.run("backup", str(landed.root / "b"))
    assert done.exit_code == 14, done.output
    assert not (landed.root / "b").exists()


# --- putting it back


def test_restored_into_an_empty_folder_everything_goes_on(landed: Workspace) -> None:
    folder = backed_up(landed, "--with-keys")
    contacts = held(landed)
    shutil.rmtree(landed.private_file.parent)
    facts = restored(landed, folder)
    assert set(facts["taken"]) == {"private.duckdb", "hash_key", "consents.json", "run_state.json"}
    assert (facts["kept"], facts["needs_upgrade"]) == (None, False)
    assert held(landed) == contacts
    for path in landed.private_file.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
    assert landed.run("extract", "customers").exit_code == 0
    assert held(landed) == contacts
    assert lines_of(landed)[-2:] == ["backup", "restoration"]


def test_without_its_key_nothing_goes_on(landed: Workspace) -> None:
    folder = backed_up(landed)
    key = landed.private_file.parent / "hash_key"
    kept = key.read_bytes()
    shutil.rmtree(landed.private_file.parent)
    restored(landed, folder)
    # A key that was made meanwhile is another one.
    assert "hashed with another key" in refused(landed, "extract", "customers")
    assert "hashed with another key than the one in force" in refused(landed, "restore", str(folder), "--yes")
    key.write_bytes(kept)
    assert landed.run("extract", "customers").exit_code == 0


def test_another_key_than_that_of_the_backup_is_not_written_over(landed: Workspace) -> None:
    folder = backed_up(landed, "--with-keys")
    assert landed.run("rotate-key", "--yes").exit_code == 0
    before = data_of(landed)
    assert "hash_key: is another than that of the backup" in refused(landed, "restore", str(folder), "--yes")
    assert data_of(landed) == before


def test_what_was_there_is_kept_until_an_erasure(landed: Workspace) -> None:
    folder = backed_up(landed)
    before = landed.private_file.read_bytes()
    (landed.root / "contacts.csv").write_text(f"contact_id,account_id,email\nC7,A1,{LEE}\n")
    assert landed.run("extract", "customers").exit_code == 0
    newer = landed.private_file.read_bytes()
    landed.private_file.with_name("private.duckdb.wal").write_bytes(b"of another file")
    landed.private_file.with_name("private.duckdb.wal").unlink()
    facts = restored(landed, folder)
    kept = landed.private_file.with_name(facts["kept"])
    assert (kept.name, kept.read_bytes()) == ("private.duckdb.before-restore.bak", newer)
    assert landed.private_file.read_bytes() == before
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    assert not kept.exists()


def test_a_log_beside_a_private_file_that_cannot_be_read_is_not_taken_in(landed: Workspace) -> None:
    folder = backed_up(landed)
    contacts = held(landed)
    landed.private_file.write_bytes(b"nothing of the kind" * 1000)
    log = landed.private_file.with_name("private.duckdb.wal")
    log.write_bytes(b"nor this" * 100)
    restored(landed, folder)
    assert not log.exists()
    assert held(landed) == contacts


@pytest.mark.parametrize("name", sorted(WITHOUT_KEYS - {MANIFEST}))
def test_one_bit_that_is_another_is_found(name: str, landed: Workspace) -> None:
    folder = backed_up(landed)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = data_of(landed)
    line = refused(landed, "restore", str(folder), "--yes")
    assert line.startswith(f"error: backup: {name} is damaged or was changed")
    assert data_of(landed) == before
    assert not list(landed.private_file.parent.glob(".*ing-*"))


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def with_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        change(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return act


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without(MANIFEST), "has no MANIFEST.json"),
        (without("private.duckdb"), "private.duckdb is missing"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "its MANIFEST.json cannot be read"),
        (with_manifest(lambda manifest: manifest.update(manifest_version=2)), "of a newer release"),
        (with_manifest(lambda manifest: manifest["files"].pop("private.duckdb")), "cannot be read"),
        (with_manifest(lambda manifest: manifest["tables"].update(contacts=4)), "has other rows than"),
        (
            with_manifest(lambda manifest: manifest["files"].update({"../x": {"bytes": 1, "sha256": ""}})),
            "cannot be read",
        ),
        (lambda folder: shutil.rmtree(folder), "has no MANIFEST.json"),
    ],
)
def test_what_is_no_whole_backup_is_refused(
    spoil: Callable[[Path], object], said: str, landed: Workspace
) -> None:
    folder = backed_up(landed)
    spoil(folder)
    before = data_of(landed)
    assert said in refused(landed, "restore", str(folder), "--yes")
    assert data_of(landed) == before


def test_somebody_agrees_before_a_private_file_is_replaced(landed: Workspace) -> None:
    folder = backed_up(landed)
    before = data_of(landed)
    assert "nobody to ask" in refused(landed, "restore", str(folder))
    assert data_of(landed) == before
    landed.private_file.unlink()
    assert landed.run("restore", str(folder)).exit_code == 0


# --- who was erased


def test_who_was_erased_after_the_backup_stays_out(landed: Workspace) -> None:
    folder = backed_up(landed)
    ((key,),) = landed.query("select address_key from raw.contacts where contact_id = 'C1'")
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    marks = (landed.private_file.parent / "tombstones.json").read_bytes()
    done = landed.run("restore", str(folder), "--yes")
    assert done.exit_code == 0 and "may hold somebody who was erased; it is rewritten first" in done.stderr
    # With him goes the file that would have been kept.
    assert "kept:" not in done.stdout and not old_copies.found(landed.private_file)
    assert (landed.private_file.parent / "tombstones.json").read_bytes() == marks
    assert landed.query("select contact_id from raw.contacts order by all") == [("C2",), ("C3",)]
    for path in landed.private_file.parent.iterdir():
        assert key.to_bytes(8, "little", signed=True) not in path.read_bytes(), path.name
    # The audit is that of both.
    assert lines_of(landed)[-3:] == ["backup", "erasure", "restoration"]


def test_who_was_erased_is_taken_out_later_where_that_cannot_be_at_once(landed: Workspace) -> None:
    folder = backed_up(landed)
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    key = landed.private_file.parent / "tombstone_key"
    key.rename(landed.root / "kept_key")
    done = landed.run("restore", str(folder), "--yes")
    assert done.exit_code == 2
    assert (
        done.stderr.startswith("error: tombstone_key: is gone")
        and "the backup is restored, but" in done.stderr
    )
    assert ("C1",) in landed.query("select contact_id from raw.contacts")
    assert landed.run("extract", "customers").exit_code == 2
    (landed.root / "kept_key").rename(key)
    assert landed.run("extract", "customers").exit_code == 0
    assert landed.query("select contact_id from raw.contacts order by all") == [("C2",), ("C3",)]
    assert not old_copies.found(landed.private_file)


def test_tombstones_of_the_backup_and_those_of_here_are_joined(landed: Workspace) -> None:
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    folder = backed_up(landed, "--with-keys")
    own = landed.private_file.parent / "tombstones.json"
    with_kim = json.loads(own.read_text())
    # Here somebody else was erased, and of the first nothing is known.
    own.unlink()
    landed.private_file.unlink()
    assert landed.run("erase", LEE, "--yes").exit_code == 0
    with_lee = json.loads(own.read_text())
    assert not set(with_kim["addresses"]) & set(with_lee["addresses"])
    restored(landed, folder)
    joined = json.loads(own.read_text())
    for kind in ("addresses", "address_keys"):
        assert set(joined[kind]) == set(with_kim[kind]) | set(with_lee[kind])
    assert landed.run("extract", "customers").exit_code == 0
    assert landed.query("select contact_id from raw.contacts order by all") == [("C3",)]


def test_fewer_tombstones_than_are_known_are_not_brought_back(landed: Workspace) -> None:
    folder = backed_up(landed)
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    tombstones = landed.private_file.parent / "tombstones.json"
    newest = tombstones.read_bytes()
    tombstones.unlink()
    before = data_of(landed)
    line = refused(landed, "restore", str(folder), "--yes")
    assert "was cleaned of more people than tombstones.json here and in the backup know" in line
    assert data_of(landed) == before
    for spoilt in (b"{}", b"not json", b"[]"):
        tombstones.write_bytes(spoilt)
        assert "cannot be read, so nobody knows who was erased" in refused(
            landed, "restore", str(folder), "--yes"
        )
    tombstones.write_bytes(newest)
    restored(landed, folder)


def test_tombstones_of_another_key_are_not_joined(landed: Workspace) -> None:
    assert landed.run("erase", KIM, "--yes").exit_code == 0
    folder = backed_up(landed)
    for name in ("tombstones.json", "tombstone_key"):
        (landed.private_file.parent / name).unlink()
    landed.private_file.unlink()
    assert landed.run("erase", LEE, "--yes").exit_code == 0
    assert "was made with another tombstone key" in refused(landed, "restore", str(folder), "--yes")


def test_a_consent_that_was_withdrawn_stays_so(landed: Workspace) -> None:
    folder = backed_up(landed)
    assert landed.run("consent", "account-engagement", "--withdraw", "--by", "Configurer").exit_code == 0
    consents = (landed.private_file.parent / "consents.json").read_bytes()
    restored(landed, folder)
    assert (landed.private_file.parent / "consents.json").read_bytes() == consents


def test_the_configuration_stays_as_it_is_here(landed: Workspace) -> None:
    folder = backed_up(landed)
    assert "enrichments.yml is another" not in landed.run("restore", str(folder), "--yes").stdout
    landed.configure(addresses=[f"anna@{OURS}"])
    before = (landed.root / "enrichments.yml").read_bytes()
    assert "enrichments.yml is another" in landed.run("restore", str(folder), "--yes").stdout
    assert (landed.root / "enrichments.yml").read_bytes() == before


# --- other versions


def put_into(folder: Path, private_file: Path) -> None:
    """A backup as another release made it."""
    copy = folder / "private.duckdb"
    content = private_file.read_bytes()
    copy.write_bytes(content)
    file = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with_manifest(
        lambda manifest: manifest.update(
            files=manifest["files"] | {"private.duckdb": file}, tables=read_whole(copy)
        )
    )(folder)


def test_a_backup_of_an_older_release_asks_for_an_upgrade(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY
    assert workspace.run("extract", "customers").exit_code == 0
    folder = backed_up(workspace)
    sample = unpack(
        min(int(path.name) for path in SAMPLES.iterdir()), PRIVATE, workspace.root / "sample.duckdb"
    )
    put_into(folder, sample)
    done = workspace.run("restore", str(folder), "--yes")
    assert done.exit_code == 0 and "next: `engagement upgrade`, since" in done.stdout
    assert "run `engagement upgrade`" in refused(workspace, "extract", "customers")
    # Of what cannot be gone on with no backup is made.
    assert "run `engagement upgrade`" in refused(workspace, "backup", str(workspace.root / "b"))
    assert workspace.run("upgrade").exit_code == 0
    assert workspace.run("extract", "customers").exit_code == 0


def test_a_backup_of_a_newer_release_is_refused(landed: Workspace) -> None:
    folder = backed_up(landed)
    newer = landed.root / "newer.duckdb"
    shutil.copyfile(landed.private_file, newer)
    with duckdb.connect(str(newer)) as connection:
        connection.execute(f"update raw.settings set value = '{CURRENT + 1}' where key = '{VERSION}'")
    put_into(folder, newer)
    before = data_of(landed)
    assert "made by a newer release" in refused(landed, "restore", str(folder), "--yes")
    assert data_of(landed) == before


# --- whatever ends it

KILLING = """
import os, signal, sys
from engagement import backup, cli, durable, fresh, old_copies, restore
modules = {"backup": backup, "restore": restore, "durable": durable, "fresh": fresh, "old_copies": old_copies}
name, attribute = sys.argv[1].split(".")
act = getattr(modules[name], attribute)
def kill(*arguments, **options):
    if sys.argv[2] == "after":
        act(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(modules[name], attribute, kill)
cli.main(sys.argv[3:])
"""


def killed(workspace: Workspace, place: str, when: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLING, place, when, *arguments],
        env={**os.environ, **workspace.environment},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("place", "when"),
    [
        ("backup.read_whole", "before"),
        pytest.param("backup.copied", "after", marks=pytest.mark.long),
        pytest.param("durable.write", "after", marks=pytest.mark.long),
    ],
)
def test_a_backup_that_is_killed_is_none(place: str, when: str, landed: Workspace) -> None:
    folder = landed.root / "backup"
    killed(landed, place, when, "backup", str(folder))
    assert not folder.exists()
    assert len(list(landed.root.glob(f"{WORK_PREFIX}*"))) == 1
    # What it left goes with the next one.
    backed_up(landed)
    assert not list(landed.root.glob(f"{WORK_PREFIX}*"))


@pytest.mark.parametrize(
    ("place", "when", "is_replaced"),
    [
        ("fresh.replace", "before", False),
        pytest.param("restore.copied", "after", False, marks=pytest.mark.long),
        pytest.param("durable.write", "before", False, marks=pytest.mark.long),
        pytest.param("durable.write", "after", False, marks=pytest.mark.long),
        pytest.param("old_copies.keep", "after", False, marks=pytest.mark.long),
        ("fresh.replace", "after", True),
    ],
)
def test_a_restore_that_is_killed_leaves_the_old_file_or_the_new_one(
    place: str, when: str, is_replaced: bool, landed: Workspace
) -> None:
    folder = backed_up(landed)
    saved = landed.private_file.read_bytes()
    (landed.root / "contacts.csv").write_text(f"contact_id,account_id,email\nC7,A1,{LEE}\n")
    assert landed.run("extract", "customers").exit_code == 0
    newer = landed.private_file.read_bytes()
    killed(landed, place, when, "restore", str(folder), "--yes")
    assert landed.private_file.read_bytes() == (saved if is_replaced else newer)
    restored(landed, folder)
    assert landed.private_file.read_bytes() == saved
    assert not list(landed.private_file.parent.glob(f"{old_copies.RESTORE_PREFIX}*"))
    assert landed.run("extract", "customers").exit_code == 0
