"""The gate: what a file must pass before it may be published, and what `engagement verify` asks of any file (D8,
docs/decisions).

Run as `python -m engagement.gate`, with the job as JSON on standard input; prints the refusals as JSON, one object
each: table, column, rule. No refusal holds the value that was found. Nothing of the file is executed: its tables are
read, and only where they are what the contract makes of them; it may open no other file. The checks:

- `storage`: DuckDB 1.2 can read the file, and no log lies beside it;
- `contract`: every table and view has exactly the definition and comments that its contract makes, and nothing else is
  there;
- `rows`: every column of every table is read to its last row;
- `small numbers`: the file says its mode, and holds to it;
- `people`: rows about single contacts are those of an enrichment that publishes them;
- `address`, `secret`: every text value, list, struct, comment, view text and name is free of them, read by SQL
  (a search over the bytes of a compressed file finds 27 of 100,000 addresses, and takes random numbers for some);
- `key`: no whole number or run of digits is a key of the private file;
- `bytes`: the known strings and keys stand nowhere in the bytes of an uncompressed twin.
"""

from __future__ import annotations

import json
import mmap
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import duckdb

from engagement import small_numbers
from engagement.contract import (
    DATAVERSE_SCHEMA,
    DUCKDB_TYPES,
    ENRICHED_CUSTOMERS,
    OPTIONAL_OUTPUTS,
    OUTPUT_MARTS,
    PUBLICATION,
    USER_TABLE_SUFFIX,
    Contract,
    Table,
    completed,
    quoted,
)
from engagement.published_file import STORAGE_VERSION, define, literal
from engagement.refusal import Refusal

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


# The number in a file's header of the format that DuckDB 1.2 introduced; later ones are not read by it.
NEWEST_FORMAT = 65
# Files that DuckDB looks for beside a database.
LOG_SUFFIXES = (".wal", ".wal.checkpoint", ".wal.recovery")
MODES = (small_numbers.SHOW, small_numbers.BAND)
WHOLE_FILE = "(whole file)"
# What customers.accounts.attributes may become, beside decimals of the customer's own.
_ATTRIBUTE_TYPE = re.compile("|".join([*map(re.escape, DUCKDB_TYPES.values()), r"DECIMAL\(\d+,\d+\)"]))


def check_file(
    path: Path,
    contract: Contract,
    *,
    completes: bool = False,
    secrets: Sequence[str] = (),
    private_file: Path | None = None,
    twin: Path | None = None,
    needles: Iterable[bytes] = (),
) -> list[Refusal]:
    """All refusals of the file at `path`; an empty list lets it pass.

    With `completes` the contract is that of the marts alone, and what a configuration adds to it is taken from the
    file's own enrichments and customer columns. `private_file` allows to tell a key from a large number; without it
    keys are not looked for. `twin` is the same content written without compression, searched for `needles`.
    """
    refusals = check_storage(path)
    try:
        with opened(path, private_file) as connection:
            sound = check_contract(connection, contract, refusals, completes=completes)
            refusals += check_texts(connection, sound, secrets)
            if private_file is not None:
                refusals += check_keys(connection, sound)
            refusals += check_small_numbers(connection, sound)
            refusals += check_people(connection, sound)
    except duckdb.Error as error:
        refusals.append(Refusal(WHOLE_FILE, "", f"rows: cannot be read ({type(error).__name__})"))
    if twin is not None:
        refusals += check_bytes(twin, needles)
    return list(dict.fromkeys(refusals))


@contextmanager
def opened(path: Path, private_file: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session with the file as `candidate`, the private file as `private`, and an empty file as `allowed` for the
    contract, that can open nothing else.
    """
    connection = duckdb.connect(":memory:")
    folder = tempfile.TemporaryDirectory()
    try:
        files = {"candidate": path} | ({} if private_file is None else {"private": private_file})
        allowed = Path(folder.name) / "allowed.duckdb"
        paths = [
            literal(f"{file}{suffix}")
            for file in (*files.values(), allowed)
            for suffix in ("", *LOG_SUFFIXES)
        ]
        connection.execute(f"attach {literal(str(allowed))} as allowed (storage_version '{STORAGE_VERSION}')")
        connection.execute(f"set allowed_paths = [{', '.join(paths)}]")
        for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
            connection.execute(f"set {setting} = false")
        connection.execute("set allow_community_extensions = false")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        for name, file in files.items():
            connection.execute(f"attach {literal(str(file))} as {name} (read_only)")
        yield connection
    finally:
        connection.close()
        folder.cleanup()


def check_storage(path: Path) -> list[Refusal]:
    """A format that DuckDB 1.2 cannot read, and a log beside the file, which would be replayed into it."""
    refusals = []
    with path.open("rb") as file:
        number = int.from_bytes(file.read(20)[12:20], "little")
    if number > NEWEST_FORMAT:
        refusals.append(Refusal(WHOLE_FILE, "", "storage: written in a newer format than v1.2.0"))
    if any(path.with_name(path.name + suffix).exists() for suffix in LOG_SUFFIXES):
        refusals.append(Refusal(WHOLE_FILE, "", "storage: a log (.wal) lies beside it"))
    return refusals


def check_contract(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    refusals: list[Refusal],
    *,
    completes: bool = False,
) -> list[Table]:
    """Adds the differences between what is there and what the contract allows, in both directions, and returns the
    tables that are sound: they alone may be read, since others may hold code.
    """
    if completes:
        contract = completed_contract(connection, contract, refusals)
    else:
        make_allowed(connection, contract)
    expected, found = definitions(connection, "allowed"), definitions(connection, "candidate")
    allowed_columns, found_columns = (
        column_types(connection, "allowed"),
        column_types(connection, "candidate"),
    )
    sound = []
    for key in sorted(expected.keys() | found.keys()):
        name = ".".join(key)
        if key not in found:
            refusals.append(Refusal(name, "", "contract: the table is missing"))
        elif key not in expected:
            refusals.append(Refusal(name, "", "contract: no such table is allowed"))
        else:
            allowed, actual = allowed_columns[key], found_columns.get(key, {})
            differences = [
                Refusal(name, column, rule)
                for column in sorted(allowed.keys() | actual.keys())
                if (rule := difference(allowed.get(column), actual.get(column))) is not None
            ]
            if found[key] != expected[key] and not differences:
                what = (
                    "view's text is another"
                    if found[key].startswith("CREATE VIEW")
                    else ("order of columns, its key, a default, a check or a generated column is another")
                )
                differences.append(Refusal(name, "", f"contract: the {what}"))
            refusals += differences
            if not differences:
                sound.append(key)
    # Things that hold text or code and that no contract knows of.
    for kind, name in connection.execute(
        "select 'function', schema_name || '.' || function_name from duckdb_functions() "
        "where database_name = 'candidate' and not internal "
        "union all select 'sequence', schema_name || '.' || sequence_name from duckdb_sequences() "
        "where database_name = 'candidate' "
        "union all select 'index', schema_name || '.' || index_name from duckdb_indexes() "
        "where database_name = 'candidate' "
        "union all select 'trigger', schema_name || '.' || trigger_name from duckdb_triggers() "
        "where database_name = 'candidate' "
        "union all select 'schema', schema_name from duckdb_schemas() where database_name = 'candidate' and not "
        "internal and schema_name not in (select schema_name from duckdb_schemas() where database_name = 'allowed') "
        "union all select 'type', schema_name || '.' || type_name from duckdb_types() "
        "where database_name = 'candidate' and not internal"
    ).fetchall():
        refusals.append(Refusal(name, "", f"contract: no {kind} is allowed"))
    check_comments(connection, sound, refusals)
    tables = {(table.schema, table.name): table for table in contract.tables}
    return [tables[key] for key in sound if tables[key].sql is None]


def make_allowed(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """What the contract allows, as an empty database that the file's catalogue is compared with.

    Read back from its file, as the candidate is: a view's text is spelled another way before it was ever written.
    """
    row = connection.execute("select path from duckdb_databases() where database_name = 'allowed'").fetchone()
    assert row is not None
    connection.execute("use allowed")
    define(connection, contract)
    connection.execute("use memory")
    connection.execute("detach allowed")
    connection.execute(f"attach {literal(row[0])} as allowed")


def completed_contract(
    connection: duckdb.DuckDBPyConnection, marts: Contract, refusals: list[Refusal]
) -> Contract:
    """The contract with the output tables that the file's enrichments name, and the customer's own columns in it."""
    enrichments = next(table for table in marts.tables if table.name == "enrichments")
    customers = next(table for table in marts.tables if table.name == ENRICHED_CUSTOMERS)
    columns = column_types(connection, "candidate")
    attributes = [
        (name, data_type)
        for name, data_type in list(columns.get(("marts", ENRICHED_CUSTOMERS), {}).items())[
            len(customers.columns) :
        ]
        if _ATTRIBUTE_TYPE.fullmatch(data_type)
    ]
    output_tables: list[tuple[str, str, str]] = []
    make_allowed(connection, Contract((enrichments,)))
    key = ("marts", enrichments.name)
    # A table of another definition may hold code, and is refused for it anyway.
    if definitions(connection, "candidate").get(key) == definitions(connection, "allowed")[key]:
        output_tables = connection.execute(
            "select enrichment_id, enrichment_type, output_table from candidate.marts.enrichments "
            "order by enrichment_id"
        ).fetchall()
    connection.execute("drop schema allowed.marts cascade")
    known = [entry for entry in output_tables if entry[1] in OUTPUT_MARTS and entry[2]]
    if known != output_tables:
        refusals.append(
            Refusal("marts.enrichments", "", "contract: an enrichment has no type or output table")
        )
    contract = completed(
        marts,
        # What is optional is expected where it stands, and its rows only there (check_people).
        output_tables=[
            entry
            for entry in known
            if entry[1] not in OPTIONAL_OUTPUTS or ("enrichment", entry[2]) in columns
        ],
        attributes=attributes,
        has_user_table=any(table.endswith(USER_TABLE_SUFFIX) for _, table in columns),
    )
    try:
        make_allowed(connection, contract)
    except duckdb.Error:
        # Names of the file's own make no tables.
        connection.execute("use memory")
        for schema in ("marts", "enrichment", DATAVERSE_SCHEMA):
            connection.execute(f"drop schema if exists allowed.{schema} cascade")
        refusals.append(
            Refusal(
                "marts.enrichments",
                "output_table",
                "contract: output tables or columns with impossible names",
            )
        )
        make_allowed(connection, marts)
        return marts
    return contract


def definitions(connection: duckdb.DuckDBPyConnection, database: str) -> dict[tuple[str, str], str]:
    """Every table and view with its definition as SQL, which the engine writes in one way for one thing."""
    return {
        (schema, name): sql
        for schema, name, sql in connection.execute(
            "select schema_name, table_name, sql from duckdb_tables() where database_name = $database and not internal "
            "union all "
            "select schema_name, view_name, sql from duckdb_views() where database_name = $database and not internal",
            {"database": database},
        ).fetchall()
    }


def difference(expected: str | None, actual: str | None) -> str | None:
    """What is wrong with a column's type; None where nothing is."""
    if expected is None:
        return "contract: no such column is allowed"
    if actual is None:
        return "contract: the column is missing"
    return None if expected == actual else f"contract: type {actual} instead of {expected}"


def check_comments(
    connection: duckdb.DuckDBPyConnection, keys: Iterable[tuple[str, str]], refusals: list[Refusal]
) -> None:
    """Every table and column says what it is, in the contract's words."""
    expected, found = comments(connection, "allowed"), comments(connection, "candidate")
    for key in keys:
        for (schema, table, column), text in expected.items():
            if (schema, table) != key:
                continue
            actual = found.get((schema, table, column))
            if not actual:
                refusals.append(Refusal(f"{schema}.{table}", column, "comment: is missing"))
            elif actual != text:
                refusals.append(Refusal(f"{schema}.{table}", column, "comment: is not that of the project"))


def comments(connection: duckdb.DuckDBPyConnection, database: str) -> dict[tuple[str, str, str], str | None]:
    """The comment on every table and view, whose column is empty, and on every column."""
    return {
        (schema, table, column): comment
        for schema, table, column, comment in connection.execute(
            "select schema_name, table_name, '', comment from duckdb_tables() where database_name = $database "
            "union all select schema_name, view_name, '', comment from duckdb_views() "
            "where database_name = $database and not internal "
            "union all select schema_name, table_name, column_name, comment from duckdb_columns() "
            "where database_name = $database and not internal",
            {"database": database},
        ).fetchall()
    }


def check_small_numbers(connection: duckdb.DuckDBPyConnection, sound: Sequence[Table]) -> list[Refusal]:
    """The mode that the file names, and what it asks for."""
    if all(table.name != PUBLICATION.name for table in sound):
        return []
    modes = connection.execute("select distinct small_numbers from candidate.marts.publication").fetchall()
    if len(modes) != 1 or modes[0][0] not in MODES:
        return [
            Refusal(
                f"marts.{PUBLICATION.name}",
                "small_numbers",
                f"small numbers: is not one of {', '.join(MODES)}",
            )
        ]
    return small_numbers.check(connection) if modes == [(small_numbers.BAND,)] else []


def check_people(connection: duckdb.DuckDBPyConnection, sound: Sequence[Table]) -> list[Refusal]:
    """Rows about single contacts stand under an output table of their own, or nowhere: whoever hands the file on sees
    by it that they are there.
    """
    names = {table.name for table in sound if table.schema == "marts"}
    if "enrichments" not in names:
        return []
    hidden = (
        "select count(*) from candidate.marts.{mart} as people"
        " left join candidate.marts.enrichments as enrichments using (enrichment_id)"
        " left join duckdb_views() as views on views.database_name = 'candidate'"
        " and views.schema_name = 'enrichment' and views.view_name = enrichments.output_table"
        " where views.view_name is null or enrichments.enrichment_type is distinct from ?"
    )
    return [
        Refusal(f"marts.{mart}", "enrichment_id", "people: rows of an enrichment that does not publish them")
        for kind in OPTIONAL_OUTPUTS
        if (mart := OUTPUT_MARTS[kind]) in names
        and connection.execute(hidden.format(mart=quoted(mart)), [kind]).fetchone() != (0,)
    ]


def check_texts(
    connection: duckdb.DuckDBPyConnection, sound: Iterable[Table], secrets: Sequence[str]
) -> list[Refusal]:
    """Addresses and secrets in values, comments, view texts, defaults and names, found by SQL. Reads every column of
    the sound tables to the last row, and says where that does not go.
    """
    refusals: list[Refusal] = []

    def look(relation: str, source: str, texts: dict[str, str], others: Iterable[str] = ()) -> None:
        """`texts` maps what a refusal calls a column to its expression; one scan of the source for all of them, and
        for `others`, which are only read. `relation` is whose they are, as an expression; `source` may group by it.
        """
        aggregates = []
        for expression in texts.values():
            value = f"cast({expression} as varchar)"
            aggregates.append(f"coalesce(bool_or({IS_ADDRESS_LIKE.replace('value', value)}), false)")
            # Secrets go in as parameters, so that no log or error of the engine can show them.
            is_secret = " or ".join(f"contains({value}, ?)" for _ in secrets) or "false"
            aggregates.append(f"coalesce(bool_or({is_secret}), false)")
        aggregates += [f"bit_xor(hash({column}))" for column in others]
        for table, *found in connection.execute(
            f"select {relation} as relation, {', '.join(aggregates)} from {source}",
            [*secrets] * len(texts),
        ).fetchall():
            for position, column in enumerate(texts):
                if found[2 * position]:
                    refusals.append(Refusal(table, column, "address: address-like text"))
                if found[2 * position + 1]:
                    refusals.append(Refusal(table, column, "secret: a secret of the configuration"))

    for table in sound:
        texts = {column.name: quoted(column.name) for column in table.columns if not is_number(column.type)}
        others = [quoted(column.name) for column in table.columns if column.name not in texts]
        name = f"{table.schema}.{table.name}"
        try:
            look(literal(name), f"candidate.{table.qualified_name}", texts, others)
        except duckdb.Error as error:
            refusals.append(
                Refusal(name, "", f"rows: cannot be read to the last one ({type(error).__name__})")
            )
    for catalogue, name, attributes in (
        ("duckdb_tables()", "table_name", ("comment", "tags", "table_name", "sql")),
        ("duckdb_views()", "view_name", ("comment", "tags", "view_name", "sql")),
        ("duckdb_columns()", "table_name", ("comment", "tags", "column_name", "column_default")),
        ("duckdb_schemas()", "schema_name", ("comment", "tags", "schema_name")),
    ):
        look(
            f"schema_name || '.' || {name}",
            f"{catalogue} where database_name = 'candidate' and not internal group by relation order by relation",
            {f"({attribute})": attribute for attribute in attributes},
        )
    return refusals


def check_keys(connection: duckdb.DuckDBPyConnection, sound: Iterable[Table]) -> list[Refusal]:
    """Whole numbers and runs of digits that are keys of the private file.

    Only what is far beyond any count is looked up, so that an honest file costs one scan of itself. A double keeps 53
    bits: a key that went through one cannot be told from another number, and is none any more.
    """
    connection.execute("create temp table suspects (table_name varchar, column_name varchar, number bigint)")
    for table in sound:
        source = f"candidate.{table.qualified_name}"
        integers = [column.name for column in table.columns if column.type.endswith(("BIGINT", "HUGEINT"))]
        texts = [column.name for column in table.columns if not is_number(column.type)]
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
                f"insert into suspects select distinct {literal(f'{table.schema}.{table.name}')}, {literal(name)}, "
                f"try_cast(number as bigint) from ({numbers}) where try_cast(number as bigint) is not null"
            )
    refusals: list[Refusal] = []
    if connection.execute("select count(*) from suspects").fetchone() == (0,):
        return refusals
    for raw_table, key in PRIVATE_KEYS:
        for name, column in connection.execute(
            "select distinct suspects.table_name, suspects.column_name from suspects "
            f"semi join private.raw.{raw_table} as raw_rows on suspects.number = raw_rows.{key} order by all"
        ).fetchall():
            refusals.append(Refusal(name, column, f"key: {key} of the private file"))
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


def column_types(
    connection: duckdb.DuckDBPyConnection, database: str
) -> dict[tuple[str, str], dict[str, str]]:
    """The columns of every table and view with their types, in their order."""
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, data_type in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = $database and not internal order by schema_name, table_name, column_index",
        {"database": database},
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
                Refusal(WHOLE_FILE, "", "bytes: a known address, key or secret stands in the file's bytes")
            ]
    return []


def main() -> None:
    """Read the job from standard input and print the refusals."""
    job = json.load(sys.stdin)
    refusals = check_file(
        Path(job["path"]),
        Contract.from_json(json.dumps(job["contract"])),
        completes=job["completes"],
        secrets=job["secrets"],
        private_file=None if job["private_file"] is None else Path(job["private_file"]),
        twin=Path(job["twin"]),
        needles=[bytes.fromhex(needle) for needle in job["needles"]],
    )
    json.dump([asdict(refusal) for refusal in refusals], sys.stdout)


if __name__ == "__main__":
    main()
