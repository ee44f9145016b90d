"""Marts that another engine has built, as Parquet, in the place of those of the private file (docs/spark.md).

    raw tables ─► engagement raw-to-parquet ─► dbt build on Apache Spark ─► FOLDER/<mart>/*.parquet ─┐
                                   └── settings, own columns ────────────────────────────────────────┴─► publish

`engagement publish --marts-from FOLDER` reads them through a session that has the schemas and names of the private
file, so that all that follows, the gate above all, is the same. Nothing is taken on trust: every file's columns and
types are compared with the contract, and the private file must be the one that was written out for the build.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from engagement import stopping
from engagement.configuration.settings import Settings
from engagement.contract import (
    PUBLICATION,
    Contract,
    Table,
    manifest_contract,
    model_text,
    project_contract,
    project_macros,
    quoted,
)
from engagement.errors import ConfigurationError, PublishRefusedError
from engagement.published_file import literal
from engagement.raw_to_parquet import landed, read_manifest
from engagement.warehouse import Connection

# What publishing reads beside the marts: of raw tables, since the private file may never have been built.
_STAGING = ("runs/stg_runs__enrichments", "runs/stg_runs__reporting", "customers/stg_customers__attributes",
            "customers/stg_customers__accounts")  # fmt: skip
# An instant in UTC, however an engine says so in Parquet; the session's time zone is UTC.
_INSTANTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS")


@contextmanager
def opened(
    private: Connection, settings: Settings, folder: Path, *, artifacts: Path, spill: Path
) -> Iterator[tuple[Connection, Contract]]:
    """A session that has the marts of `folder` under the names that publishing reads, and their contract; closed at the
    end. `private` is the private file, `artifacts` is where dbt left those of the build, `spill` a folder for what does
    not fit into memory.

    Raises ConfigurationError where there is no such folder or the raw tables are not those that were written out,
    PublishRefusedError where a mart is missing or is not as its contract says, with one line for each.
    """
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder.name}: no such folder; name the one that holds a folder for each mart"
        )
    contract = project_contract(settings.project_dir)
    _check_project(contract, artifacts)
    _check_raw_tables(private, settings, artifacts)
    # The private file's own session can only read, and so takes no views.
    connection = duckdb.connect(":memory:", config={"temp_directory": str(spill)})
    try:
        with stopping.interrupting(connection.interrupt):
            connection.execute("set TimeZone = 'UTC'")
            if settings.memory_limit is not None:
                connection.execute(f"set memory_limit = '{settings.memory_limit}'")
            for schema in ("staging", "intermediate", "marts"):
                connection.execute(f"create schema {schema}")
            _show_marts(connection, contract, folder)
            _show_staging(connection, settings)
            yield connection, contract
    finally:
        connection.close()


def _show_marts(connection: Connection, contract: Contract, folder: Path) -> None:
    findings = []
    for table in contract.tables:
        if table.sql is not None or table == PUBLICATION:
            continue
        files = files_of(folder / table.name)
        if problems := _problems(connection, table, files):
            findings += problems
            continue
        columns = ", ".join(f"cast({quoted(c.name)} as {c.type}) as {quoted(c.name)}" for c in table.columns)
        connection.execute(
            f"create view marts.{quoted(table.name)} as select {columns} from read_parquet("
            f"[{', '.join(literal(str(file)) for file in files)}], hive_partitioning = false)"
        )
    if findings:
        raise PublishRefusedError(
            f"{folder.name}: {len(findings)} of the marts are not as their contracts say; run a whole `dbt build` on"
            " the engine that made them, of the project as it is here",
            findings=findings,
        )
    # The newest day of the calendar is the as-of date; the calendar is empty where no mail is read.
    connection.execute(
        "create view intermediate.as_of as select max(day_on) as as_of_date from marts.days having count(*) > 0"
    )


def _show_staging(connection: Connection, settings: Settings) -> None:
    macros = project_macros(settings.project_dir)
    for model in _STAGING:
        text = model_text(
            settings.project_dir / "models" / "staging" / f"{model}.sql",
            macros,
            source=lambda _, table: (
                f"read_parquet({literal(f'{settings.raw_parquet_folder}/{table}/*.parquet')})"
            ),
        )
        connection.execute(f"create view staging.{Path(model).name} as {text}")


def files_of(folder: Path) -> list[Path]:
    """The Parquet files of a table; what an engine hides (`_temporary`, `.part.crc`) is none of them."""
    return sorted(
        path
        for path in folder.rglob("*.parquet")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def _problems(connection: Connection, table: Table, files: list[Path]) -> list[str]:
    """What is wrong with the files of a mart, one line each."""
    name = f"table {table.schema}.{table.name}"
    if not files:
        return [f"{name}: the mart is missing"]
    expected = {column.name: column.type for column in table.columns}
    found: dict[str, None] = {}
    for file in files:
        try:
            described = connection.execute(
                f"describe select * from read_parquet({literal(str(file))}, hive_partitioning = false)"
            ).fetchall()
        except duckdb.Error:
            found[f"{name}: {file.name} is no Parquet file, or is damaged"] = None
            continue
        actual = {column: data_type for column, data_type, *_ in described}
        for column in dict.fromkeys([*expected, *actual]):
            if (problem := _difference(expected.get(column), actual.get(column))) is not None:
                found[f"{name}, column {column}: {problem}"] = None
    return list(found)


def _difference(expected: str | None, actual: str | None) -> str | None:
    if expected is None:
        return "no such column is allowed"
    if actual is None:
        return "the column is missing"
    if expected == actual or (expected == "TIMESTAMP" and actual in _INSTANTS):
        return None
    return f"type {actual} instead of {expected}"


def _check_project(contract: Contract, artifacts: Path) -> None:
    """PublishRefusedError where the build was one of other models than those of the project's folder: the contract's
    views are written in DuckDB's words, and taken from there.
    """

    # Another engine makes tables of what is a view here.
    here, built = (
        {table.name: (table.comment, table.columns) for table in of.tables}
        for of in (contract, manifest_contract(artifacts / "manifest.json"))
    )
    changed = sorted(name for name in here.keys() | built.keys() if here.get(name) != built.get(name))
    if changed:
        raise PublishRefusedError(
            f"the project is another than the one that was built ({', '.join(changed[:5])}): run `dbt build` again on"
            " the engine that makes the marts"
        )


def _check_raw_tables(private: Connection, settings: Settings, artifacts: Path) -> None:
    """ConfigurationError where the marts cannot be those of this private file: it was written since its raw tables were
    written out, they are not there any more (somebody was erased), or they are newer than the build.
    """
    folder = settings.raw_parquet_folder
    manifest = read_manifest(folder)
    if manifest["landed"] != landed(private):
        raise ConfigurationError(
            f"{settings.private_file.name}: was written since {folder.name} was, so the marts are of an older one; run"
            " `engagement raw-to-parquet` and `dbt build` again"
        )
    results = json.loads((artifacts / "run_results.json").read_text("utf-8"))
    built_at = datetime.fromisoformat(results["metadata"]["generated_at"].replace("Z", "+00:00"))
    if built_at <= datetime.fromisoformat(manifest["made_at"].replace("Z", "+00:00")).astimezone(UTC):
        raise ConfigurationError(
            f"{folder.name}: was written after the marts were built; run `dbt build` again on the engine that makes"
            " them"
        )
