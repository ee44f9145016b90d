"""Secrets reach nobody who has no need of them: no file, no output, no argument and no environment of a process that is
started; and what is made on the disk belongs to its owner alone, whatever the umask.

test_canaries.py does the same for what services answer, and test_certificate.py for certificates and their passwords.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT, Workspace
from engagement import stopping
from engagement.build import _environment
from engagement.configuration.secret_variables import SECRET_VARIABLES
from engagement.published_file import literal
from test_canaries import SECRETS, canary, forms, found_under, services

# What must not stand in it is looked for there.
pytestmark = pytest.mark.usefixtures("whole_log_of_dbt")

HASH_KEY = canary("hashkey")
OURS = {name: forms(text) for name, text in (SECRETS | {"hashkey": HASH_KEY}).items() if name in (
    "clientsecret", "leadspacetoken", "token", "hashkey",
)}  # fmt: skip


def whose(data: bytes) -> set[str]:
    lowered = data.lower()
    return {name for name, texts in OURS.items() if any(text in lowered for text in texts)}


class Watch:
    """Looks at every process below one, as often as it can: its arguments and its environment."""

    def __init__(self, pid: int) -> None:
        self.seen: dict[int, tuple[bytes, bytes]] = {}
        self._pid, self._ended = pid, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            for process in self._below(self._pid):
                folder = Path("/proc", str(process))
                try:
                    # Between fork and exec it still has what its parent had.
                    arguments, environment = (
                        (folder / "cmdline").read_bytes(),
                        (folder / "environ").read_bytes(),
                    )
                except OSError:
                    continue
                if (
                    process != self._pid
                    and arguments != Path("/proc", str(self._pid), "cmdline").read_bytes()
                ):
                    self.seen[process] = (arguments, environment)

    def _below(self, pid: int) -> list[int]:
        found = []
        for task in Path("/proc", str(pid), "task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
        return found + [below for child in found for below in self._below(child)]


def start(workspace: Workspace, *arguments: str, umask: int) -> subprocess.Popen[bytes]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AZURE_", "ENGAGEMENT_", "DBT_"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", "engagement", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT / "scripts"), **workspace.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=workspace.root,
        umask=umask,
    )


def modes(folder: Path) -> dict[str, int]:
    """What others may do with anything in a folder, itself included."""
    return {
        str(path.relative_to(folder.parent)): path.stat().st_mode & 0o777
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o077
    }


def check_modes(workspace: Workspace) -> None:
    for name in ("data", "target", "logs"):
        folder = workspace.root / name
        # dbt writes no log where nobody asks it to talk
        assert folder.is_dir() and (name == "logs" or list(folder.iterdir())), name
        assert modes(folder) == {}, name


@pytest.mark.long
def test_a_whole_run_with_children_watched(workspace: Workspace) -> None:
    """Without a umask, with JSON on stderr, and the hash key in the environment."""
    with services(workspace):
        workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY
        process = start(workspace, "run", "-v", "--json-logs", umask=0)
        with Watch(process.pid) as watch:
            output, _ = process.communicate(timeout=280)
        assert process.returncode == 0, output[-3000:]
    assert whose(output) == set()
    modules = {arguments.split(b"\0")[-2] for arguments, _ in watch.seen.values() if b"\0" in arguments}
    assert {b"engagement.published_file", b"engagement.gate"} <= modules, "nobody was watched"
    for arguments, environment in watch.seen.values():
        assert whose(arguments) == set(), arguments
        assert whose(environment) == set(), arguments
    check_modes(workspace)
    for path in workspace.root.rglob("*"):
        if path.is_file():
            assert whose(path.read_bytes()) == set(), path
    assert found_under(workspace.root) == {}
    # The published bytes without compression, which hides nearly all text from a search.
    twin = workspace.root / "twin.duckdb"
    with duckdb.connect() as connection:
        connection.execute("set force_compression = 'uncompressed'")
        connection.execute(f"attach {literal(str(workspace.published_file))} as published (read_only)")
        connection.execute(f"attach {literal(str(twin))} as twin")
        connection.execute("copy from database published to twin")
    assert whose(twin.read_bytes()) == set()


@pytest.mark.long
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_under_every_umask_what_is_made_is_the_owners(umask: int, workspace: Workspace) -> None:
    """With a key file, and a rebuilt private file."""
    with services(workspace):
        for arguments in (["run"], ["rotate-key", "--yes"]):
            process = start(workspace, *arguments, umask=umask)
            output, _ = process.communicate(timeout=280)
            assert process.returncode == 0, output[-3000:]
    check_modes(workspace)


def test_a_right_to_read_the_published_file_is_kept(tmp_path: Path) -> None:
    from engagement.fresh import replace

    target, candidate = tmp_path / "engagement.duckdb", tmp_path / "candidate"
    before = os.umask(0)
    try:
        for given, expected in ((None, 0o600), (0o640, 0o640), (0o600, 0o600)):
            if given is not None:
                target.chmod(given)
            candidate.write_bytes(b"the next one")
            replace(candidate, target)
            assert target.stat().st_mode & 0o777 == expected
    finally:
        os.umask(before)


def test_neither_children_nor_dbt_get_secrets(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRET_VARIABLES:
        monkeypatch.setenv(name, SECRETS["clientsecret"])
    code = "import os, sys; print(sorted(os.environ)); print(sys.stdin.read())"
    ended, output, _ = stopping.run_child([sys.executable, "-c", code], "told")
    assert ended == 0 and "told" in output and "PATH" in output
    assert not any(name in output for name in SECRET_VARIABLES)
    with _environment(workspace.settings(services=())):
        assert not os.environ.keys() & set(SECRET_VARIABLES)
    assert os.environ.keys() >= set(SECRET_VARIABLES)


BROKEN: dict[str, Callable[[Workspace], Sequence[str]]] = {
    "no configuration": lambda workspace: (workspace.root / "enrichments.yml").unlink() or ["run"],  # type: ignore[func-returns-value]
    "no service": lambda workspace: ["run", "-v"],
    "a hash key that is too short": lambda workspace: ["run", "-v", "--json-logs"],
    "a file that is no database": lambda workspace: ["extract", "customers", "-v", "--json-logs"],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_failures_say_no_secret(kind: str, workspace: Workspace) -> None:
    """Exceptions with a traceback among them, as text and as JSON."""
    short = kind == "a hash key that is too short"
    workspace.environment |= {
        "AZURE_CLIENT_SECRET": SECRETS["clientsecret"],
        "LEADSPACE_TOKEN": SECRETS["leadspacetoken"],
        "ENGAGEMENT_HASH_KEY": "zqshortkey" if short else HASH_KEY,
        "ENGAGEMENT_RETRY_SECONDS": "0",
    }
    if kind == "a file that is no database":
        workspace.private_file.parent.mkdir(mode=0o700)
        workspace.private_file.write_text("nothing of the kind, and long enough to be looked at " * 100)
    process = start(workspace, *BROKEN[kind](workspace), umask=0o022)
    output, _ = process.communicate(timeout=100)
    assert process.returncode not in (0, 1), output
    assert whose(output) == set() and b"zqshortkey" not in output
    for path in workspace.root.rglob("*"):
        if path.is_file():
            assert whose(path.read_bytes()) == set(), path
