"""`engagement upgrade`: a private file of an older release, or in an older DuckDB format, becomes one of this release.

    private.duckdb ─► a new file beside: raw tables as they are ─► one migration after another ─► the tables of this
    release ─► read back from the disk and compared ─► os.replace, the old file kept as private.duckdb.version-N.bak

Only the raw tables are carried over: the models are dbt's, and the next build makes them anew, whole. The old file
stays open all the time, so that nobody writes to it. Killed at any instant, the old file or the new one is there, and
the command can be given again.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engagement import durable, fresh, old_copies, room, stopping, versions
from engagement.configuration.settings import Settings
from engagement.durable import private_umask
from engagement.errors import EngagementError
from engagement.extract import running
from engagement.migrations import MIGRATIONS, Migration
from engagement.opening import explained, holder_of, is_held
from engagement.outcome import Outcome, counted
from engagement.published_file import literal
from engagement.raw_tables import figures
from engagement.rebuild import OF_THE_NEWEST_REFRESH
from engagement.versions import VERSION, Connection
from engagement.warehouse import connect, raw_schema, set_own_setting, transaction

# Times the file's size that have to be free: the new file, and once more what a migration carries through.
NEEDED_SIZES = 2
_ALL_BUT_THE_VERSION = {"settings": f"not (enrichment_id = '' and key = '{VERSION}')"}


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do to a private file."""

    version: int
    current: int
    migrations: tuple[Migration, ...]
    # Raw tables that the release has and the file has not, and those whose columns are others.
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    storage: str
    current_storage: str
    size_bytes: int

    @property
    def is_due(self) -> bool:
        """Whether there is anything to do. Tables that are only missing are made by whatever opens the file."""
        return bool(self.migrations or self.changed) or self.storage != self.current_storage

    def facts(self) -> dict[str, object]:
        """The same for --json."""
        return {
            "version": self.version,
            "current_version": self.current,
            "storage_format": self.storage,
            "current_storage_format": self.current_storage,
            "tables_missing": list(self.missing),
            "tables_changed": list(self.changed),
            "size_bytes": self.size_bytes,
        }

    def lines(self, name: str) -> list[str]:
        """What changes, for a person."""
        return [
            f"{name}: version {self.version} to {self.current}, DuckDB format {self.storage} to {self.current_storage}",
            *(f"  version {migration.to}: {migration.what}" for migration in self.migrations),
            *([f"  new tables: {', '.join(self.missing)}"] if self.missing else []),
            *([f"  other columns: {', '.join(self.changed)}"] if self.changed else []),
        ]


def upgrade(settings: Settings, *, dry_run: bool = False) -> Outcome:
    """Brings the private file to the version of this release and the format of the installed DuckDB.

    Raises ConfigurationError where it was made by a newer release or DuckDB, EngagementError where there is too little
    room or anything came out other than it was; nothing is replaced then.
    """
    name = settings.private_file.name
    current = versions.current_version(settings.project_dir)
    if not settings.private_file.is_file():
        return Outcome(
            lines=[f"{name}: there is none yet; the first run makes one of version {current}"],
            facts={"upgraded": False, "current_version": current},
        )
    with connect(settings, read_only=True) as connection:
        plan = examine(connection, settings)
    if plan is None or not plan.is_due:
        return Outcome(
            lines=[f"{name}: is of version {current}, in the format of the installed DuckDB; nothing to do"],
            facts={"upgraded": False, "current_version": current},
        )
    if dry_run:
        needed = NEEDED_SIZES * plan.size_bytes
        return Outcome(
            lines=[
                *plan.lines(name),
                f"nothing was changed; {room.size(needed)} have to be free in its folder, and"
                f" {room.size(room.free(settings.private_file.parent))} are",
            ],
            facts={"upgraded": False, **plan.facts(), "needed_bytes": needed},
        )
    with running(settings, "upgrade") as state, state.timed("upgrade"):
        done, rows, kept = _upgrade(settings)
    return Outcome(
        lines=[
            *done.lines(name),
            f"upgraded: {counted(sum(rows.values()), 'row')} in {counted(len(rows), 'table')}, each compared with what"
            " it was",
            f"kept: {kept.name} is the file as it was, with everything personal in it; delete it once `engagement run`"
            " has published (an erasure deletes it too)",
            "next: `engagement run`, or `dbt build`, makes the models anew",
        ],
        facts={"upgraded": True, **done.facts(), "rows": rows, "kept": kept.name},
    )


def examine(connection: Connection, settings: Settings) -> Plan | None:
    """What an upgrade of the open private file would do; None where it has no raw table. ConfigurationError where a
    newer release made it.
    """
    version = versions.version_of(connection)
    if version is None:
        return None
    current = versions.current_version(settings.project_dir)
    versions.refuse_newer(version, settings.private_file.name, current=current)
    schema = raw_schema(settings.project_dir)
    tables = versions.layout(connection)
    return Plan(
        version=version,
        current=current,
        migrations=tuple(migration for migration in MIGRATIONS if migration.to > version),
        missing=tuple(table for table in schema if table not in tables),
        changed=tuple(versions.changed_tables(tables, schema)),
        storage=versions.storage_format(connection),
        current_storage=_current_storage(),
        size_bytes=settings.private_file.stat().st_size,
    )


def _current_storage() -> str:
    """The format in which the installed DuckDB writes a new file."""
    with tempfile.TemporaryDirectory(prefix="format-") as folder:
        connection = duckdb.connect(str(Path(folder) / "new.duckdb"))
        try:
            return versions.storage_format(connection)
        finally:
            connection.close()


def _upgrade(settings: Settings) -> tuple[Plan, dict[str, int], Path]:
    """Does it: what was done, the rows of each table, and where the old file is."""
    target = settings.private_file
    old_copies.take_in_log(settings)
    durable.remove_folders(target.parent, *old_copies.WORK_PREFIXES)
    room.require(
        target.parent,
        NEEDED_SIZES * target.stat().st_size,
        what=f"{target.name}: too little room to upgrade it",
        advice="make room, then run again",
    )
    work = target.parent / f"{old_copies.UPGRADE_PREFIX}{secrets.token_hex(6)}"
    work.mkdir(mode=0o700)
    new = work / "private.duckdb"
    try:
        with _both(settings, work) as connection:
            connection.execute("use before")
            plan = examine(connection, settings)
            if plan is None:
                raise EngagementError(f"{target.name}: was emptied meanwhile; run again")
            try:
                with _attached(connection, new, read_only=False):
                    carried = _carry_over(connection, plan)
                    _migrate(connection, plan)
                    _lay_out(connection, settings, carried)
                    connection.execute("checkpoint after")
                with _attached(connection, new, read_only=True):
                    rows = _compare(connection, settings, plan)
            except duckdb.InterruptException:
                stopping.check()
                raise
            except (duckdb.Error, OSError) as error:
                if (known := explained(str(error), target)) is not None:
                    raise known from None
                raise EngagementError(
                    f"{target.name}: cannot be upgraded ({type(error).__name__}), so nothing was replaced; check the"
                    " disk, then run again; if it stays so, go back to the release before"
                ) from error
            stopping.check()
            kept = old_copies.keep(target, f"version-{plan.version}")
            fresh.replace(new, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return plan, rows, kept


@contextmanager
def _both(settings: Settings, work: Path) -> Iterator[Connection]:
    """A session that has the old file as `before`, read only, so that nobody writes to it meanwhile."""
    with closing(duckdb.connect()) as connection, stopping.interrupting(connection.interrupt):
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set temp_directory = {literal(str(work / 'spilled'))}")
        try:
            connection.execute(f"attach {literal(str(settings.private_file))} as before (read_only)")
        except duckdb.IOException as error:
            if (holder := holder_of(error)) is None:
                raise
            raise is_held(settings.private_file, holder) from None
        yield connection


@contextmanager
def _attached(connection: Connection, path: Path, *, read_only: bool) -> Iterator[None]:
    """The new file as `after`, and in use."""
    with private_umask():
        connection.execute(f"attach {literal(str(path))} as after{' (read_only)' if read_only else ''}")
    try:
        connection.execute("use after")
        yield
    finally:
        connection.execute("use memory")
        connection.execute("detach after")


def _carry_over(connection: Connection, plan: Plan) -> set[str]:
    """The raw tables that a migration names, as they are; which. All others go straight into today's columns."""
    named = {
        table
        for migration in plan.migrations
        for statement in migration.statements
        for table in re.findall(r"\braw\.(\w+)", statement)
    }
    carried = named & versions.layout(connection, database="before").keys()
    connection.execute("create schema after.raw")
    for table in sorted(carried):
        _copy_as_it_is(connection, table)
    return carried


def _copy_as_it_is(connection: Connection, table: str) -> None:
    columns = versions.layout(connection, database="before")[table]
    listed = ", ".join(f'"{column}" {data_type}' for column, data_type in columns.items())
    connection.execute(f'create table after.raw."{table}" ({listed})')
    connection.execute(f'insert into after.raw."{table}" from before.raw."{table}"')


def _migrate(connection: Connection, plan: Plan) -> None:
    for migration in plan.migrations:
        stopping.check()
        with transaction(connection):
            for statement in migration.statements:
                connection.execute(statement)


def _lay_out(connection: Connection, settings: Settings, carried: set[str]) -> None:
    """Makes the raw tables those of this release: in its columns and their order, with the rows of the old file, or of
    the migrations where they were carried through these. What the newest refresh saw stays behind, so that the next one
    is whole. Writes down the version.
    """
    schema = raw_schema(settings.project_dir)
    before = versions.layout(connection, database="before")
    for table, columns in schema.items():
        listed = ", ".join(f'"{name}" {data_type}' for name, data_type in columns)
        migrated = versions.layout(connection).get(table)
        if migrated is not None:
            connection.execute(f'alter table raw."{table}" rename to "{table}__before"')
        connection.execute(f'create table raw."{table}" ({listed})')
        source, had = f'before.raw."{table}"', before.get(table, {})
        if migrated is not None or table in carried:
            source, had = f'raw."{table}__before"', migrated or {}
        shared = ", ".join(f'"{name}"' for name, _ in columns if name in had)
        if shared and table not in OF_THE_NEWEST_REFRESH:
            connection.execute(f'insert into raw."{table}" ({shared}) select {shared} from {source}')
        if migrated is not None:
            connection.execute(f'drop table raw."{table}__before"')
    for table in before.keys() - schema.keys() - carried:
        _copy_as_it_is(connection, table)
    set_own_setting(connection, VERSION, str(versions.current_version(settings.project_dir)))


def _compare(connection: Connection, settings: Settings, plan: Plan) -> dict[str, int]:
    """The rows of each table of the new file, as the disk has it. EngagementError where a table, row or value that no
    migration changes is not as it was.
    """
    before, after = (
        versions.layout(connection, database="before"),
        versions.layout(connection, database="after"),
    )
    schema = raw_schema(settings.project_dir)
    changed_rows = {*OF_THE_NEWEST_REFRESH}.union(*(step.changes_rows for step in plan.migrations))
    changed_columns = frozenset[tuple[str, str]]().union(*(step.changes_columns for step in plan.migrations))
    same = {
        table: [
            column
            for column, data_type in columns.items()
            if (table, column) not in changed_columns and after.get(table, {}).get(column) == data_type
        ]
        for table, columns in before.items()
        if table not in changed_rows
    }
    wrong = [
        table
        for table, columns in schema.items()
        if list(after.get(table, ())) != [name for name, _ in columns]
    ]
    wrong += [table for table in same if table not in after]
    if not wrong:
        was, now = (
            figures(connection, same, database=database, where=_ALL_BUT_THE_VERSION)
            for database in ("before", "after")
        )
        wrong = [table for table in same if was[table] != now[table]]
    if wrong:
        raise EngagementError(
            f"{settings.private_file.name}: {counted(len(wrong), 'table')} came out other than before (first"
            f" raw.{wrong[0]}), so nothing was replaced; please report this line, and go on with the release before"
        )
    counts = figures(connection, {table: () for table in after}, database="after")
    return {table: figure.rows for table, figure in counts.items()}
