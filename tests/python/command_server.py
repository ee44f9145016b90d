"""Commands of ours as processes that begin at once: forked from one that has read all their code already.

A command that is started as usual imports for two seconds before it does anything, and a thousand of them for half an
hour. Each of these is a process of its own all the same, in a session of its own, with its own environment, and can be
killed at any instant. The server itself opens no database.

    with Server() as server:
        command = server.start(["publish"], environment, folder)
        command.kill()
        command.wait()
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Nothing of the machine's own environment may reach a command.
_OURS = ("AZURE_", "ENGAGEMENT_", "LEADSPACE_", "NTH_CALL_")


@dataclass
class Command:
    """A command that was started; `exit_code` is negative (the signal) where it was killed, None while it runs."""

    server: Server
    pid: int
    output: Path
    errors: Path
    exit_code: int | None = None

    def kill(self, *, whole_group: bool = True) -> None:
        """SIGKILL, to all that it has started as well, or to itself alone. Nothing where it is over: nobody else can
        have its number yet.
        """
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole_group else os.kill)(self.pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether it is over; its number stays its own until `wait`."""
        return self.server._has_ended(self)

    def wait(self) -> int:
        """Waits for its end, and for that of what it has started; its exit code."""
        if self.exit_code is None:
            self.exit_code = self.server._wait()
        return self.exit_code

    @property
    def stdout(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        return self.errors.read_text(encoding="utf-8", errors="replace")


@dataclass
class Server:
    """The process that forks; one command at a time. With `preload` a library is loaded into it before all others."""

    preload: Path | None = None
    _process: subprocess.Popen[str] = field(init=False, repr=False)
    _notes: tempfile.TemporaryDirectory[str] = field(init=False, repr=False)
    _started: int = 0
    _over: dict[str, Any] | None = None

    def __enter__(self) -> Server:
        self._notes = tempfile.TemporaryDirectory(prefix="commands-")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests" / "python")])
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**kept, "PYTHONPATH": path}
            | ({} if self.preload is None else {"LD_PRELOAD": str(self.preload)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._notes.cleanup()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Command:
        """`engagement` with these arguments, in this folder, with these variables beside those of the machine."""
        self._started += 1
        output, errors = (Path(self._notes.name) / f"{self._started}.{name}" for name in ("out", "err"))
        self._write(
            {
                "arguments": list(arguments),
                "environment": dict(environment),
                "folder": str(folder),
                "output": str(output),
                "errors": str(errors),
            }
        )
        self._over = None
        return Command(self, self._read()["pid"], output, errors)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Command:
        """Starts a command and waits for its end."""
        command = self.start(arguments, environment, folder)
        command.wait()
        return command

    def _has_ended(self, command: Command) -> bool:
        if command.exit_code is not None or self._over is not None:
            return True
        if select.select([self._process.stdout], [], [], 0)[0]:
            self._over = self._read()
        return self._over is not None

    def _wait(self) -> int:
        # Only after this line may its number be given to another.
        over = self._over or self._read()
        self._over = None
        self._write({})
        return int(over["exit_code"])

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server of commands has ended")
        return dict(json.loads(line))


def _become(job: Mapping[str, Any]) -> None:
    """The forked process: a command as if it had been started."""
    os.setsid()
    for descriptor, name in ((1, "output"), (2, "errors")):
        file = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    if "NTH_CALL_FOLDER" in os.environ:
        import ctypes

        ctypes.CDLL(None).nth_call_begin()
    from engagement.cli import main

    sys.argv = ["engagement", *job["arguments"]]
    main()


def _serve() -> None:
    import dbt.adapters.duckdb.impl
    import dbt.cli.main
    import dbt.task.build  # noqa: F401

    import engagement

    for module in pkgutil.walk_packages(engagement.__path__, "engagement."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    answers = os.fdopen(os.dup(1), "w")

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    answer(ready=True)
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            answers.close()
            code = 1
            try:
                _become(job)
                code = 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        answer(pid=pid)
        over = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert over is not None
        killed = over.si_code != os.CLD_EXITED
        answer(exit_code=-over.si_status if killed else over.si_status)
        sys.stdin.readline()
        os.waitpid(pid, 0)


@contextmanager
def served(preload: Path | None = None) -> Iterator[Server]:
    """A server for the block."""
    with Server(preload) as server:
        yield server


if __name__ == "__main__":
    _serve()
