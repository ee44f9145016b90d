"""Publishes the marts: Parquet out of the private file, a new file by a fresh process, the gate, an atomic replacement.

    private.duckdb ─► <table>.parquet ─► candidate (fresh process) ─► gate (fresh process) ─► os.replace

Killed at any instant, readers see the old file or the new one; what a killed publish leaves behind is removed by the
next one. Open readers keep the file that they opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb

from engagement import consent, durable, parquet_marts, rebuild, stopping, warehouse
from engagement.configuration.enrichments import OfficeEnrichment
from engagement.configuration.secret_variables import SHORTEST_TOKEN
from engagement.configuration.settings import Settings
from engagement.contract import (
    OPTIONAL_OUTPUTS,
    PUBLICATION,
    Column,
    Contract,
    completed,
    duckdb_name,
    manifest_contract,
    quoted,
)
from engagement.errors import PublishRefusedError
from engagement.fresh import FreshProcessFailed, in_fresh_process, replace
from engagement.gate import ADDRESS_PATTERN, X500_PATTERN
from engagement.published_file import literal
from engagement.refusal import Refusal

WORK_PREFIX = ".publishing-"
# The targets of profiles.yml that build the private file; without one dbt takes the first.
PRIVATE_TARGETS = (None, "private", "prod")


@dataclass(frozen=True)
class PublishResult:
    """What was published: `tables` maps each table to its rows."""

    path: Path
    as_of: date | None
    seconds: float
    tables: dict[str, int]
    size_bytes: int


def publish(
    settings: Settings, *, run_id: str, allow_older: bool = False, marts_from: Path | None = None
) -> PublishResult:
    """Replace the published file by the marts of the private file as dbt built them last, or by those that another
    engine left as Parquet in `marts_from` (engagement.parquet_marts).

    Raises `PublishRefusedError` where the gate refuses, the last dbt command was no whole and successful build, no day
    has been read whole yet, or (unless `allow_older`) a newer day is published; the published file is then as it was.
    """
    started = time.monotonic()
    target = settings.published_file
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only one run goes on at a time.
    durable.remove_folders(target.parent, WORK_PREFIX)
    work = target.parent / f"{WORK_PREFIX}{run_id}"
    work.mkdir(mode=0o700)
    try:
        parquet_folder = work / "parquet"
        parquet_folder.mkdir(mode=0o700)
        candidate = work / "engagement.duckdb"
        twin = work / "twin.duckdb"
        check_build(target_path(settings), any_target=marts_from is not None)
        with contextlib.ExitStack() as held:
            private = held.enter_context(warehouse.connect(settings, read_only=True))
            warehouse.require_current(private, settings)
            rebuild.require_settled(private, settings)
            # As an uncompressed column holds them.
            keys = [struct.pack("<q", key) for key in warehouse.sampled_keys(private)]
            needles = [*known_strings(settings), *keys]
            if marts_from is None:
                check_refresh(private)
                connection, marts = private, manifest_contract(target_path(settings) / "manifest.json")
            else:
                connection, marts = held.enter_context(
                    parquet_marts.opened(
                        private, settings, marts_from, artifacts=target_path(settings), spill=work / "spill"
                    )
                )
                consent.require_no_withdrawn(settings, connection)
            contract = whole_contract(marts, connection)
            as_of = export(connection, contract, parquet_folder, run_id=run_id)
            require_no_newer(target, as_of, allow_older=allow_older)
            tables = {
                table.name: count_rows(connection, f"marts.{quoted(table.name)}")
                for table in contract.tables
                if table.sql is None and table != PUBLICATION
            }
        job = {
            "contract": json.loads(contract.to_json()),
            "parquet_folder": str(parquet_folder),
            "path": str(candidate),
            "twin": str(twin),
        }
        in_fresh_process("engagement.published_file", job)
        refusals = [
            Refusal(**refusal)
            for refusal in json.loads(
                in_fresh_process(
                    "engagement.gate",
                    job
                    | {
                        "completes": False,
                        "secrets": secret_values(settings),
                        "private_file": str(settings.private_file),
                        "needles": [needle.hex() for needle in needles],
                    },
                )
            )
        ]
        if refusals:
            raise PublishRefusedError(
                f"the gate refused the file ({len(refusals)} findings); {target.name} is as it was. "
                "Correct what fills these columns (a model, or for your own columns the customer file), then run again",
                findings=[str(refusal) for refusal in refusals],
            )
        size_bytes = candidate.stat().st_size
        stopping.check()
        replace(candidate, target)
    except FreshProcessFailed as error:
        if error.known is not None:
            raise type(error.known)(f"{error.known.message}; {target.name} is as it was") from None
        raise PublishRefusedError(
            f"{error}; the published file is as it was. Check the free space of its folder, then run"
            " `engagement publish`"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return PublishResult(target, as_of, time.monotonic() - started, tables, size_bytes)


def whole_contract(marts: Contract, connection: duckdb.DuckDBPyConnection) -> Contract:
    """The contract of the marts, the output tables that the loaded settings name, and the customer's own columns."""
    try:
        output_tables = connection.execute(
            "select enrichment_id, enrichment_type, output_table from staging.stg_runs__enrichments "
            "cross join staging.stg_runs__reporting as reporting "
            "where not list_contains(?, enrichment_type) or (publishes_contacts and not reporting.is_banded) "
            "order by enrichment_id",
            [list(OPTIONAL_OUTPUTS)],
        ).fetchall()
        attributes = connection.execute(
            "select attribute, data_type from staging.stg_customers__attributes order by attribute_position"
        ).fetchall()
        row = connection.execute("select has_user_table from staging.stg_runs__reporting").fetchone()
    except duckdb.CatalogException as error:
        raise PublishRefusedError(
            "nothing has been built yet: run `dbt build` or `engagement run` first"
        ) from error
    assert row is not None
    return completed(
        marts,
        output_tables=output_tables,
        attributes=((name, duckdb_name(data_type)) for name, data_type in attributes),
        has_user_table=row[0],
    )


def target_path(settings: Settings) -> Path:
    """Where dbt leaves its artifacts."""
    return Path(os.environ.get("DBT_TARGET_PATH", settings.dbt_dir / "target"))


def check_build(target: Path, *, any_target: bool = False) -> None:
    """Refuse what is not the result of one whole and successful `dbt build`: parts of two would be two days at once.
    With `any_target` it may be that of any target of profiles.yml.
    """
    try:
        results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PublishRefusedError(
            "nothing has been built yet: run `dbt build` or `engagement run` first"
        ) from error
    arguments = results["args"]
    built_for = arguments.get("target")
    # Another target is another private file, of which this build says nothing.
    is_ours = any_target or built_for in PRIVATE_TARGETS
    is_whole = arguments.get("which") == "build" and not any(
        arguments.get(name) for name in ("select", "exclude", "selector", "empty", "sample")
    )
    has_failed = any(result["status"] not in ("success", "pass", "no-op") for result in results["results"])
    # One that was interrupted writes down what it had done until then, and that may all be well.
    has_ended = buildable(target) <= {result["unique_id"] for result in results["results"]}
    if not is_ours:
        raise PublishRefusedError(
            f"the last dbt command was for target {built_for}, and what is published was built without --target: run"
            " `dbt build` (ENGAGEMENT_DATA_DIR says over which data)"
        )
    if not is_whole or has_failed or not has_ended:
        if arguments.get("which") != "build":
            what = f"was `dbt {arguments.get('which')}`"
        elif not is_whole:
            what = "built only a part (--select, --exclude or the like)"
        else:
            what = "failed" if has_failed else "did not come to its end"
        raise PublishRefusedError(
            f"the last dbt command {what}, and only a whole successful build is published: run `dbt build`, all of it"
        )


def check_refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse what a build left that was killed in the midst: dbt's artifacts are then those of the one before it."""
    try:
        row = connection.execute("select bool_and(is_complete) from raw.refreshes").fetchone()
    except duckdb.CatalogException:
        return
    if row == (False,):
        raise PublishRefusedError(
            "the last dbt command did not come to its end, and only a whole successful build is published: run"
            " `dbt build` again"
        )


def buildable(target: Path) -> set[str]:
    """What a whole `dbt build` has a result for, unit tests aside, which may be left out."""
    try:
        manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PublishRefusedError(
            "nothing has been built yet: run `dbt build` or `engagement run` first"
        ) from error
    return {
        unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed", "snapshot", "test")
        and node["config"].get("enabled", True)
        and node["config"].get("materialized") != "ephemeral"
    }


def require_no_newer(target: Path, as_of: date | None, *, allow_older: bool) -> None:
    """PublishRefusedError where the published file holds a newer day, unless an older one is allowed."""
    newest = published_day(target)
    if newest is None or allow_older:
        return
    if as_of is None:
        raise PublishRefusedError(
            f"{target.name} holds mail up to {newest} and this build has read none: configure the office"
            " enrichment again, or move the file away to go on without"
        )
    if as_of < newest:
        raise PublishRefusedError(
            f"{target.name} already holds {newest}, a newer day than {as_of}: build the newest day, or ask for "
            f"the older one by name (`engagement run --as-of {as_of}`)"
        )


def published_day(path: Path) -> date | None:
    """The as-of date of a published file; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute("select as_of_date from marts.publication").fetchone()
    except duckdb.Error:
        return None
    return None if row is None else row[0]


def export(
    connection: duckdb.DuckDBPyConnection, contract: Contract, folder: Path, *, run_id: str
) -> date | None:
    """Write each table's rows to Parquet, in the order of its key, and return the as-of date.

    There is none where the customers are enriched with company data alone.
    """
    as_of = as_of_date(connection)
    day = "cast(null as date)" if as_of is None else f"date {literal(as_of.isoformat())}"
    for table in contract.tables:
        if table.sql is not None:
            continue
        if table == PUBLICATION:
            select = (
                f"select {literal(run_id)} as run_id, {literal(version('account-engagement'))} as project_version, "
                f"(select small_numbers from staging.stg_runs__reporting) as small_numbers, "
                f"(select smallest_group from staging.stg_runs__reporting where is_banded) as smallest_group, "
                f"{day} as as_of_date, "
                f"timestamp {literal(datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S'))} as published_at"
            )
        else:
            columns = ", ".join(exported(column) for column in table.columns)
            order = f" order by {', '.join(quoted(name) for name in table.key)}" if table.key else ""
            rows = f"marts.{quoted(table.name)} as mart"
            if any(column.is_attribute for column in table.columns):
                rows += " left join staging.stg_customers__accounts using (account_id)"
            select = f"select {columns} from {rows}{order}"
        connection.execute(
            f"copy ({select}) to {literal(str(folder / f'{table.name}.parquet'))} (format parquet, compression zstd)"
        )
    return as_of


def as_of_date(connection: duckdb.DuckDBPyConnection) -> date | None:
    """The as-of date that was built for; None where nobody's mail is to be read.

    Raises PublishRefusedError where mail is to be read and no day has been read whole yet.
    """
    row = connection.execute("select as_of_date from intermediate.as_of").fetchone()
    if row is not None:
        day: date = row[0]
        return day
    reads_mail = connection.execute(
        "select count(*) from staging.stg_runs__enrichments "
        "where enrichment_type = 'office' and is_active and not is_waiting_for_consent"
    ).fetchone()
    if reads_mail != (0,):
        raise PublishRefusedError("no day has been read whole yet, so there is no as-of date: extract first")
    return None


def exported(column: Column) -> str:
    """A column of a published table in SQL: of its mart, or taken out of the customer's own columns and typed."""
    if not column.is_attribute:
        return f"mart.{quoted(column.name)}"
    pointer = "/" + column.name.replace("~", "~0").replace("/", "~1")
    text = f"json_extract_string(attributes_json, {literal(pointer)})"
    if column.type == "VARCHAR":
        value = f"regexp_replace({text}, {literal(ADDRESS_PATTERN)}, '[address]', 'g')"
        value = f"regexp_replace({value}, {literal(X500_PATTERN + '[^[:space:]]*')}, '[address]', 'g')"
    else:
        value = f"cast({text} as {column.type})"
    return f"{value} as {quoted(column.name)}"


def count_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Number of rows of a relation."""
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    assert row is not None
    return int(row[0])


def secret_values(settings: Settings) -> list[str]:
    """Every secret that this process can know, as text."""
    given = (
        settings.client_secret,
        settings.leadspace_token,
        settings.leadspace_secret,
        settings.hash_key,
        settings.tombstone_key,
        *(
            (settings.destination.webhook_url, settings.destination.webhook_token)
            if settings.destination
            else ()
        ),
    )
    secrets = [secret.get_secret_value() for secret in given if secret]
    password = settings.certificate_password
    secrets += [
        secret
        for given_secret in settings.export_secrets.values()
        if len(secret := given_secret.get_secret_value()) >= SHORTEST_TOKEN
    ]
    # A short one, which is common here, would be found in every second text.
    if password and len(password.get_secret_value()) >= SHORTEST_TOKEN:
        secrets.append(password.get_secret_value())
    for file in (settings.hash_key_file, settings.tombstone_key_file):
        if file.is_file():
            secrets.append(file.read_text(encoding="utf-8").strip())
    return [secret for secret in secrets if secret]


def known_strings(settings: Settings) -> list[bytes]:
    """What must not stand in the file's bytes and is known as text: the secrets and some configured addresses."""
    addresses = [
        address
        for _, enrichment in settings.enrichments(OfficeEnrichment)
        if isinstance(enrichment.addresses, tuple)
        for address in enrichment.addresses
    ]
    return [text.encode() for text in (*secret_values(settings), *addresses[: warehouse.SAMPLED_KEYS])]
