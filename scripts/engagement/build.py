"""`dbt build` in this process, and its failures in one line each."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from engagement import stopping
from engagement.configuration.secret_variables import SECRET_VARIABLES
from engagement.configuration.settings import Settings
from engagement.errors import DataTestError, EngagementError
from engagement.locations import segment_file
from engagement.opening import explained
from engagement.progress import Tell, progress
from engagement.warehouse import connect


def build(
    settings: Settings, *, as_of: date | None = None, verbose: bool = False, tell: Tell | None = None
) -> None:
    """`dbt build` in this process, quiet unless `verbose`; DataTestError with one line per failed node.

    Unit tests are left out: they test the project, not the data. The private file must be closed: it is held open
    here, so that nobody else gets it between two models, and so that dbt need not open it for each. `tell` hears how
    far it is. Raises ResourcesError or DamagedFileError where the disk, the memory or the file is the reason, and
    BusyError where another process has the file.
    """
    from dbt.cli.main import dbtRunner

    arguments = [
        "build",
        "--exclude-resource-type",
        "unit_test",
        "--project-dir",
        str(settings.project_dir),
        "--profiles-dir",
        str(settings.project_dir),
        "--target",
        "private",
    ]
    if not verbose:
        # The line of a failed node is printed by us.
        arguments = ["--quiet", "--no-print", "--log-level", "none", *arguments]
    if as_of is not None:
        arguments += ["--vars", f"{{as_of_date: '{as_of.isoformat()}'}}"]
    with (
        connect(settings),
        _environment(settings),
        progress("models and tests", tell=tell) as bar,
        stopping.interrupting(_interrupt_queries),
    ):

        def follow(event: Any) -> None:
            if event.info.name == "LogStartLine":
                bar.advance(to=int(event.data.index), total=int(event.data.total))

        with _as_if_called_by(arguments):
            outcome = dbtRunner(callbacks=[follow]).invoke(arguments)
    # A signal, which dbt keeps to itself, or takes for the failure of whatever was interrupted.
    stopping.check()
    if isinstance(outcome.exception, SystemExit | KeyboardInterrupt):
        raise outcome.exception
    failed = _failed_nodes(outcome.result)
    if outcome.success and not failed:
        return
    if not failed:
        problem = (
            _why_not_read(str(outcome.exception)) if outcome.exception is not None else "no reason given"
        )
        raise _explained(settings, [str(outcome.exception)]) or DataTestError(
            f"dbt: the project cannot be built ({problem}); nothing is published, run `dbt build`"
        )
    messages = [str(node.message or "") for node in getattr(outcome.result, "results", None) or ()]
    raise _explained(settings, messages) or DataTestError(
        f"dbt: {len(failed)} model{'s or tests' if len(failed) != 1 else ' or test'} failed;"
        " nothing is published,"
        " the last file stays",
        findings=failed,
    )


def _explained(settings: Settings, messages: Sequence[str]) -> EngagementError | None:
    """What the disk, the memory or the file did, where one of dbt's messages is of them: the others follow from it."""
    for message in messages:
        if (known := explained(message, settings.private_file)) is not None:
            return type(known)(f"{known.message}; nothing is published, the last file stays")
    return None


@contextmanager
def _as_if_called_by(arguments: Sequence[str]) -> Iterator[None]:
    """dbt writes the process's own arguments into its artifacts, and they may name somebody (`erase ADDRESS`)."""
    own, sys.argv = sys.argv, ["dbt", *arguments]
    try:
        yield
    finally:
        sys.argv = own


def _interrupt_queries() -> None:
    """Ends the queries under way in dbt's threads. dbt does so itself, but once, and not before its models run."""
    from dbt.adapters.factory import FACTORY

    for adapter in list(FACTORY.adapters.values()):
        for connection in list(adapter.connections.thread_connections.values()):
            # One that was closed meanwhile has nothing to interrupt.
            with contextlib.suppress(Exception):
                connection.handle.cursor().interrupt()


def _failed_nodes(result: Any) -> list[str]:
    failed = []
    for node in getattr(result, "results", None) or ():
        status = str(getattr(node.status, "value", node.status))
        if status in ("error", "fail", "runtime error", "partial success"):
            kind = str(getattr(node.node.resource_type, "value", node.node.resource_type))
            failed.append(f"{kind} {node.node.name}: {_first_line(node.message or status)}")
    return failed


def _why_not_read(text: str) -> str:
    """Why dbt could not read the project, in one line; what concerns segments names them."""
    if found := re.search(r"Found a cycle: (.+)", text):
        names = [name.rsplit(".", 1)[-1] for name in found[1].split(" --> ")]
        if all(name.startswith("segment_") for name in names):
            circle = [name.removeprefix("segment_") for name in (*reversed(names), names[-1])]
            return (
                f"segments made of one another: {' -> '.join(circle)};"
                f" take one out of {segment_file(circle[0]).as_posix()}"
            )
    if found := re.search(r"\((?P<file>[^()]+)\) depends on a node named '(?P<node>segment_\w+)'", text):
        if found["file"].endswith("/int_segment_states.sql"):
            segment = found["node"].removeprefix("segment_")
            return f"dbt_project.yml: var segments names {segment}, and there is no {segment_file(segment).as_posix()}"
        return (
            f"{found['file']}: there is no segment {found['node'].removeprefix('segment_')}; correct its name"
        )
    if found := re.match(r"Parsing Error\s+Error reading \w+: (\S+) - .*?(near line \d+)", text, re.DOTALL):
        return f"{found[1]}: no valid YAML {found[2]}; correct it"
    line = _first_line(text)
    found = re.match(r"Compilation Error in \w+ \w+ \(([^()]+)\)\n", text)
    return f"{found[1]}: {line}" if found and found[1] not in line else line


def _first_line(text: str) -> str:
    """dbt's messages go over many lines, the first of which often only names the node, or the kind of error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and re.fullmatch(r"\w+ Error( in .*\))?", lines[0]):
        lines = lines[1:]
    return lines[0][:300] if lines else "failed"


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """What profiles.yml reads, for as long as dbt runs; and the folder that its paths start at."""
    # Models have no business with secrets, whatever they ask env_var for.
    values: dict[str, str | None] = dict.fromkeys(SECRET_VARIABLES)
    values["ENGAGEMENT_MEMORY_LIMIT"] = settings.memory_limit
    values |= {
        "ENGAGEMENT_PRIVATE_FILE": str(settings.private_file.resolve()),
        "ENGAGEMENT_PUBLISHED_FILE": str(settings.published_file.resolve()),
        "ENGAGEMENT_DATA_DIR": str(settings.data_dir.resolve()),
        # dbt gives it back when it is done; `build` holds it meanwhile.
        "ENGAGEMENT_KEEP_OPEN": "False",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    if settings.dbt_dir != settings.project_dir:
        for name, folder_name in (("DBT_TARGET_PATH", "target"), ("DBT_LOG_PATH", "logs")):
            # Whole, since dbt is called in the project's folder.
            values[name] = str(Path(os.environ.get(name) or settings.dbt_dir / folder_name).resolve())
    before = {name: os.environ.get(name) for name in values}
    folder = Path.cwd()
    _set(values)
    os.chdir(settings.project_dir)
    try:
        yield
    finally:
        os.chdir(folder)
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    """Sets variables of the environment, or takes them out of it."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
