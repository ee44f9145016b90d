"""Tables of the customer's own: CSV, Parquet or a table of a DuckDB file, read as they are and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb

from engagement.configuration.source import Source
from engagement.contract import quoted
from engagement.published_file import literal
from engagement.warehouse import Connection

# So many decimal digits every double holds.
DIGITS_OF_A_DOUBLE = 15


def text_of(column: str) -> str:
    """A column as text in SQL: trimmed, and null where it is empty."""
    return f"nullif(trim(cast({quoted(column)} as varchar)), '')"


def read_rows(
    source: Source,
    where: str,
    named: dict[str, str],
    text_columns: tuple[str, ...],
    query: Callable[[str], str],
    findings: list[str],
    types: dict[str, str] | None = None,
) -> list[tuple[Any, ...]] | None:
    """The rows in the file's order, or None after a finding; `types` is filled with the type of every column.
    A database of its own: the private file stays out of it.
    """
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            relation = _relation(connection, source, ())
            described = connection.execute(f"describe select * from {relation}").fetchall()
            columns = [row[0] for row in described]
            missing = [(key, column) for key, column in named.items() if column not in columns]
            # Without a header line the first contact's address would stand here.
            it_has = (
                "its first line holds an address, so a header line is missing"
                if any("@" in name for name in columns)
                else f"it has {', '.join(columns)}"
            )
            for key, column in missing:
                findings.append(f"{source.label}: has no column {column!r} ({key}); {it_has}")
            if missing:
                return None
            if types is not None:
                types.update((row[0], row[1]) for row in described)
                coarse = _coarse_columns(connection, source, types, text_columns)
                types.update((column, "VARCHAR") for column in coarse)
                text_columns = (*text_columns, *coarse)
            # Ids such as 007 must stay text, so the named columns are read as text; attributes keep their
            # types.
            return connection.execute(query(_relation(connection, source, text_columns))).fetchall()
        except duckdb.Error as error:
            findings.append(
                f"{source.label}: cannot be read as {_kind(source)} ({type(error).__name__}, {where}.path);"
                " check that it opens, and its encoding (UTF-8)"
            )
            return None


def read_texts(
    source: Source, where: str, named: dict[str, str], findings: list[str], noun: str, *, unique: bool
) -> list[tuple[Any, ...]]:
    """The named columns of every row as text, the first of them its id, which is checked; what is wrong goes to the
    findings.
    """

    def query(relation: str) -> str:
        return f"select {', '.join(text_of(column) for column in named.values())} from {relation}"

    rows = read_rows(source, where, named, tuple(dict.fromkeys(named.values())), query, findings)
    if rows is None:
        return []
    check_ids(source, where, [row[0] for row in rows], findings, noun, unique=unique)
    return rows


def _coarse_columns(
    connection: Connection, source: Source, types: Mapping[str, str], text_columns: Sequence[str]
) -> list[str]:
    """Columns of a CSV file that would be read as doubles and hold what a double does not: a number of more digits
    than it keeps, or a code such as 1e5. They stay text.
    """
    doubles = [name for name, kind in types.items() if kind == "DOUBLE" and name not in text_columns]
    if _kind(source) != "CSV" or not doubles:
        return []
    tests = ", ".join(
        f"bool_or(length(regexp_replace({quoted(name)}, '[^0-9]', '', 'g')) > {DIGITS_OF_A_DOUBLE}"
        f" or regexp_matches({quoted(name)}, '[eE]'))"
        for name in doubles
    )
    row = connection.execute(
        f"select {tests} from read_csv({literal(str(source.file))}, header = true, all_varchar = true)"
    ).fetchone()
    return [name for name, is_coarse in zip(doubles, row or (), strict=True) if is_coarse]


def _kind(source: Source) -> str:
    if source.table is not None:
        return "a table of a DuckDB file"
    return "Parquet" if source.file.suffix.lower() == ".parquet" else "CSV"


def _relation(connection: Connection, source: Source, text_columns: tuple[str, ...]) -> str:
    file = literal(str(source.file))
    if source.table is not None:
        attached = connection.execute(
            "select 1 from duckdb_databases() where database_name = 'given'"
        ).fetchone()
        if attached is None:
            connection.execute(f"attach {file} as given (read_only)")
        return "given." + ".".join(quoted(part) for part in source.table.split("."))
    if source.file.suffix.lower() == ".parquet":
        return f"read_parquet({file})"
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in text_columns)
    return f"read_csv({file}, header = true, sample_size = -1" + (f", types = {{{types}}})" if types else ")")


def check_ids(
    source: Source, where: str, ids: list[str | None], findings: list[str], noun: str, *, unique: bool
) -> None:
    """Adds what is wrong with the ids of a table's rows to the findings: none, missing, an address, or (with `unique`)
    one twice.
    """
    if not ids:
        findings.append(f"{source.label}: has no rows; at least one {noun} is needed ({where}.path)")
        return
    first_line = 2 if _kind(source) == "CSV" else 1
    unit = "line" if _kind(source) == "CSV" else "row"
    empty = [position for position, value in enumerate(ids, start=first_line) if value is None]
    if empty:
        findings.append(
            f"{source.label} {unit} {empty[0]}: {noun} without an id ({len(empty)} in all,"
            f" {where}.id); give each one"
        )
    addresses = [position for position, value in enumerate(ids, start=first_line) if value and "@" in value]
    if addresses:
        findings.append(
            f"{source.label} {unit} {addresses[0]}: the {noun}'s id looks like an e-mail address"
            f" ({len(addresses)} in all, {where}.id); name a column with an id that may be published"
        )
    if unique:
        twice = [value for value, count in Counter(value for value in ids if value).items() if count > 1]
        if twice and "@" not in twice[0]:
            findings.append(
                f"{source.label}: {len(twice)} {noun} id{'s' if len(twice) != 1 else ''} given more"
                " than once,"
                f" first {twice[0]!r} ({where}.id); keep one row for each"
            )
