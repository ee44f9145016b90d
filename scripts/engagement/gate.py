"""The gate: what a candidate must pass before it may replace the published file (DESIGN.md, 8).

Run as `python -m engagement.gate`, with the job as JSON on standard input; prints the refusals as JSON, one object
each: table, column, rule. No refusal holds the value that was found. The checks:

- `contract`: every table and view has exactly the columns and types of its contract, and nothing else is there;
- `address`, `secret`: every text value, list, struct, comment, view text and name is free of them, read by SQL
  (a search over the bytes of a compressed file finds 27 of 100,000 addresses, and takes random numbers for some);
- `key`: no whole number or run of digits is a key of the private file;
- `bytes`: the known strings and keys stand nowhere in the bytes of an uncompressed twin.
"""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from engagement.contract import Contract, quoted
from engagement.published_file import literal

# Anything@anything: marts mask the same pattern in company data, so that a finding is a leak and not a customer's name.
ADDRESS_PATTERN = r"[^\s@<>]+@[^\s@<>]+"
# Exchange's own form of an address, for people that it cannot resolve.
X500_PATTERN = r"(?i)/o=[^/]+/(ou|cn)="
# The plain searches come first: nearly every text ends there, and they are many times faster than a pattern.
IS_ADDRESS_LIKE = (
    f"(contains(value, '@') and regexp_matches(value, '{ADDRESS_PATTERN}')) "
    f"or ((contains(value, '/o=') or contains(value, '/O=')) and regexp_matches(value, '{X500_PATTERN}'))"
)
# Counts and days stay far below; a random 64-bit key falls below once in eight million.
SMALLEST_SUSPECT = 2**40

NUMBERS = frozenset(
    [
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
        "FLOAT",
        "DOUBLE",
        "BOOLEAN",
        "DATE",
        "TIME",
        "TIMESTAMP",
    ]
) | {"TIMESTAMP WITH TIME ZONE"}

# Where the private file keeps its keys; lists are exploded.
PRIVATE_KEYS = (
    ("office_addresses", "address_key"),
    ("office_mailboxes", "mailbox_id"),
    ("office_messages", "item_key"),
    ("office_messages", "message_key"),
    ("office_messages", "thread_key"),
    ("office_meetings", "item_key"),
    ("office_meetings", "ical_key"),
)


@dataclass(frozen=True)
class Refusal:
    """Why a file may not leave: `column` is empty where the finding is about the whole table."""

    table: str
    column: str
    rule: str

    def __str__(self) -> str:
        place = f"table {self.table}" + (f", column {self.column}" if self.column else "")
        return f"{place}: {self.rule}"


def check_file(
    path: Path,
    contract: Contract,
    *,
    secrets: Sequence[str] = (),
    private_file: Path | None = None,
    twin: Path | None = None,
    needles: Iterable[bytes] = (),
) -> list[Refusal]:
    """All refusals of the candidate at `path`; an empty list lets it pass.

    `private_file` allows to tell a key from a large number; without it keys are not looked for. `twin` is the same
    content written without compression, searched for `needles`.
    """
    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"attach {literal(str(path))} as candidate (read_only)")
        if private_file is not None:
            connection.execute(f"attach {literal(str(private_file))} as private (read_only)")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        refusals = check_contract(connection, contract)
        refusals += check_texts(connection, secrets)
        if private_file is not None:
            refusals += check_keys(connection)
    finally:
        connection.close()
    if twin is not None:
        refusals += check_bytes(twin, needles)
    return refusals


def check_contract(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[Refusal]:
    """Differences between what is there and what the contract allows, in both directions."""
    allowed = {
        (table.schema, table.name): {column.name: column.type for column in table.columns}
        for table in contract.tables
    }
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, data_type in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = 'candidate' and not internal"
    ).fetchall():
        found.setdefault((schema, table), {})[column] = data_type
    refusals = []
    for key in sorted(allowed.keys() | found.keys()):
        name = ".".join(key)
        if key not in found:
            refusals.append(Refusal(name, "", "contract: the table is missing"))
        elif key not in allowed:
            refusals.append(Refusal(name, "", "contract: no such table is allowed"))
        else:
            for column in sorted(allowed[key].keys() | found[key].keys()):
                expected, actual = allowed[key].get(column), found[key].get(column)
                if expected is None:
                    refusals.append(Refusal(name, column, "contract: no such column is allowed"))
                elif actual is None:
                    refusals.append(Refusal(name, column, "contract: the column is missing"))
                elif expected != actual:
                    refusals.append(Refusal(name, column, f"contract: type {actual} instead of {expected}"))
    # Things that hold text or code and that no contract knows of.
    for kind, name in connection.execute(
        "select 'function', schema_name || '.' || function_name from duckdb_functions() "
        "where database_name = 'candidate' and not internal "
        "union all select 'sequence', schema_name || '.' || sequence_name from duckdb_sequences() "
        "where database_name = 'candidate' "
        "union all select 'type', schema_name || '.' || type_name from duckdb_types() "
        "where database_name = 'candidate' and not internal"
    ).fetchall():
        refusals.append(Refusal(name, "", f"contract: no {kind} is allowed"))
    return refusals


def check_texts(connection: duckdb.DuckDBPyConnection, secrets: Sequence[str]) -> list[Refusal]:
    """Addresses and secrets in values, comments, view texts, defaults and names, found by SQL."""
    refusals: list[Refusal] = []

    def look(source: str, texts: dict[str, str], table: str) -> None:
        """`texts` maps what a refusal calls a column to its expression; one scan of the source for all of them."""
        if not texts:
            return
        aggregates = []
        for expression in texts.values():
            value = f"cast({expression} as varchar)"
            aggregates.append(f"coalesce(bool_or({IS_ADDRESS_LIKE.replace('value', value)}), false)")
            # Secrets go in as parameters, so that no log or error of the engine can show them.
            is_secret = " or ".join(f"contains({value}, ?)" for _ in secrets) or "false"
            aggregates.append(f"coalesce(bool_or({is_secret}), false)")
        row = connection.execute(
            f"select {', '.join(aggregates)} from {source}", [*secrets] * len(texts)
        ).fetchone()
        assert row is not None
        for position, column in enumerate(texts):
            if row[2 * position]:
                refusals.append(Refusal(table, column, "address: address-like text"))
            if row[2 * position + 1]:
                refusals.append(Refusal(table, column, "secret: a secret of the configuration"))

    for (schema, table), columns in columns_by_table(connection).items():
        texts = {name: quoted(name) for name, data_type in columns.items() if not is_number(data_type)}
        look(f"candidate.{quoted(schema)}.{quoted(table)}", texts, f"{schema}.{table}")
    for catalogue, name, attributes in (
        ("duckdb_tables()", "table_name", ("comment", "table_name", "sql")),
        ("duckdb_views()", "view_name", ("comment", "view_name", "sql")),
        ("duckdb_columns()", "table_name", ("comment", "column_name", "column_default")),
        ("duckdb_schemas()", "schema_name", ("comment", "schema_name")),
    ):
        here = f"{catalogue} where database_name = 'candidate' and not internal"
        for schema, table in connection.execute(
            f"select distinct schema_name, {name} from {here} order by all"
        ).fetchall():
            look(
                f"{here} and schema_name = {literal(schema)} and {name} = {literal(table)}",
                {f"({attribute})": attribute for attribute in attributes},
                f"{schema}.{table}",
            )
    return list(dict.fromkeys(refusals))


def check_keys(connection: duckdb.DuckDBPyConnection) -> list[Refusal]:
    """Whole numbers and runs of digits that are keys of the private file.

    Only what is far beyond any count is looked up, so that an honest file costs one scan of itself. A double keeps 53
    bits: a key that went through one cannot be told from another number, and is none any more.
    """
    connection.execute("create temp table suspects (table_name varchar, column_name varchar, number bigint)")
    for (schema, table), columns in columns_by_table(connection).items():
        source = f"candidate.{quoted(schema)}.{quoted(table)}"
        integers = [name for name, data_type in columns.items() if data_type.endswith(("BIGINT", "HUGEINT"))]
        texts = [name for name, data_type in columns.items() if not is_number(data_type)]
        is_suspect = {
            name: f"({quoted(name)} >= {SMALLEST_SUSPECT} or {quoted(name)} <= -{SMALLEST_SUSPECT})"
            for name in integers
        } | {name: may_hold_key(f"cast({quoted(name)} as varchar)") for name in texts}
        if not is_suspect:
            continue
        row = connection.execute(
            f"select {', '.join(f'bool_or({test})' for test in is_suspect.values())} from {source}"
        ).fetchone()
        assert row is not None
        for (name, test), found in zip(is_suspect.items(), row, strict=True):
            if not found:
                continue
            numbers = f"select {quoted(name)} as number from {source} where {test}"
            if name in texts:
                numbers = numbers_in_texts(
                    f"select cast({quoted(name)} as varchar) as text from {source} where {test}"
                )
            connection.execute(
                f"insert into suspects select distinct {literal(f'{schema}.{table}')}, {literal(name)}, "
                f"try_cast(number as bigint) from ({numbers}) where try_cast(number as bigint) is not null"
            )
    refusals: list[Refusal] = []
    if connection.execute("select count(*) from suspects").fetchone() == (0,):
        return refusals
    for raw_table, key in PRIVATE_KEYS:
        for table, column in connection.execute(
            "select distinct suspects.table_name, suspects.column_name from suspects "
            f"semi join private.raw.{raw_table} as raw_rows on suspects.number = raw_rows.{key} order by all"
        ).fetchall():
            refusals.append(Refusal(table, column, f"key: {key} of the private file"))
    return refusals


def may_hold_key(text: str) -> str:
    """Whether a text has a run of digits that is long enough for a key; the length comes first, being cheap."""
    return f"(length({text}) >= 13 and regexp_matches({text}, '[0-9A-Fa-f]{{13}}'))"


def numbers_in_texts(texts: str) -> str:
    """A query for every number that could be a key inside the `text` of another query, wherever it begins.

    Of a run of digits every window of 13 to 19 counts, with and without a minus sign (what stands before may be a
    hyphen); of a run of hexadecimal digits every window of sixteen, as the bits of a whole number.
    """
    return (
        f"with texts as ({texts}), "
        "decimal_runs as (select distinct unnest(regexp_extract_all(text, '[0-9]{13,}')) as run from texts), "
        "starts as (select run, unnest(range(1, length(run) - 11)) as start from decimal_runs), "
        "windows as (select substr(run, start, unnest(range(13, 20))) as digits from starts), "
        "hexadecimal_runs as (select distinct unnest(regexp_extract_all(text, '[0-9A-Fa-f]{16,}')) as run from texts), "
        "hexadecimal_windows as ("
        "select substr(run, unnest(range(1, length(run) - 14)), 16) as digits from hexadecimal_runs) "
        "select digits as number from windows union all select '-' || digits from windows union all "
        "select cast(try_cast('0x' || digits as ubigint)::bit::bigint as varchar) from hexadecimal_windows"
    )


def columns_by_table(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, str]]:
    """The columns of the candidate's tables with their types; views show only what tables hold."""
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, data_type in connection.execute(
        "select columns.schema_name, columns.table_name, columns.column_name, columns.data_type "
        "from duckdb_columns() as columns inner join duckdb_tables() as tables "
        "on columns.table_oid = tables.table_oid and columns.database_name = tables.database_name "
        "where columns.database_name = 'candidate' and not columns.internal order by all"
    ).fetchall():
        columns.setdefault((schema, table), {})[column] = data_type
    return columns


def is_number(data_type: str) -> bool:
    """Whether values of the type cannot hold text (a list of numbers is looked at like text)."""
    return data_type in NUMBERS or (data_type.startswith("DECIMAL") and data_type.endswith(")"))


def check_bytes(twin: Path, needles: Iterable[bytes]) -> list[Refusal]:
    """Known strings and keys in the bytes of the uncompressed twin."""
    with twin.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if any(content.find(needle) >= 0 for needle in needles if needle):
            return [
                Refusal(
                    "(whole file)", "", "bytes: a known address, key or secret stands in the file's bytes"
                )
            ]
    return []


def main() -> None:
    """Read the job from standard input and print the refusals."""
    job = json.load(sys.stdin)
    refusals = check_file(
        Path(job["path"]),
        Contract.from_json(json.dumps(job["contract"])),
        secrets=job["secrets"],
        private_file=Path(job["private_file"]),
        twin=Path(job["twin"]),
        needles=[bytes.fromhex(needle) for needle in job["needles"]],
    )
    json.dump([asdict(refusal) for refusal in refusals], sys.stdout)


if __name__ == "__main__":
    main()
