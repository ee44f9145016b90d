"""What an export selects, in SQL: a table, or the members of a segment with the columns of what is known of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from engagement.configuration.customers import ContactsFile
from engagement.configuration.settings import Settings
from engagement.configuration.source import Source, source_of
from engagement.contract import quoted
from engagement.errors import ConfigurationError
from engagement.exports import formulas, published
from engagement.exports.definitions import Export, ExportColumn
from engagement.exports.published import Segment
from engagement.published_file import literal
from engagement.versions import Connection

# The finding of marts.segments where a segment of contacts has none because of band mode.
CONTACTS_WITHHELD = "contacts are not published where small numbers are banded"
MEMBERS, CONTACTS_OF_SEGMENT, CONTACT_FILE = "segment_members", "segment_contacts", "contacts"
# Where a field of a member is looked for, in this order, beside the segment's own table.
ENRICHED = ("enriched_customers", "customer_profiles", "account_outlook", "account_traffic")
ACCOUNTS, CONTACTS = "accounts", "contacts"
# What the rows of the contact file are joined by: names that no column of it is asked for by.
_ACCOUNT_KEY, _CONTACT_KEY = "key of the account", "key of the contact"
# What a spreadsheet cannot compute; all else is text in a CSV file.
_PLAIN_TYPES = (
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    *("UBIGINT", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIMESTAMP", "TIME"),
)


@dataclass(frozen=True)
class Field:
    """A column of an export: its name in the file, where it is from, and DuckDB's type."""

    name: str
    table: str
    column: str
    type: str

    @property
    def source(self) -> str:
        """'marts.account_outlook.usual_gap_days', or 'contacts.first_name' of the contact file."""
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Selection:
    """What is exported: the fields in their order, the SQL of their rows, and the segment where it is one."""

    fields: tuple[Field, ...]
    sql: str
    segment: Segment | None
    warnings: tuple[str, ...] = ()

    @property
    def has_contacts(self) -> bool:
        """Whether a row is a person."""
        return self.segment is not None and self.segment.audience == CONTACTS


def selection_of(export: Export, connection: Connection, settings: Settings) -> Selection:
    """What an export selects from the published file that is open.

    ConfigurationError where the table, the segment or a column is not there, or the contact file cannot be read.
    """
    known = published.tables(connection)
    if export.segment is None:
        return _of_table(export, connection, known)
    return _of_segment(export, connection, known, settings)


def _of_table(export: Export, connection: Connection, known: Mapping[str, Mapping[str, str]]) -> Selection:
    names = {name.lower(): name for name in known}
    table = names.get(str(export.table).lower())
    if table is None:
        raise ConfigurationError(
            f"{export.name}: there is no table {export.table!r} in the published file;"
            f" {_near(str(export.table), known)}"
        )
    bases = {table.partition(".")[2]: (table, known[table])}
    fields = _named_safely(export, connection, _fields(export, bases))
    return Selection(fields, f"select {_list(export, fields)} from {_quoted(table)}", None)


def _of_segment(
    export: Export, connection: Connection, known: Mapping[str, Mapping[str, str]], settings: Settings
) -> Selection:
    found = published.segments(connection)
    segment = found.get(str(export.segment))
    if segment is None:
        if not found:
            raise ConfigurationError(
                f"{export.name}: the published file has no segments; define some, then run `engagement run`"
            )
        raise ConfigurationError(
            f"{export.name}: there is no segment {export.segment!r} in the published file;"
            f" {_near(str(export.segment), found)}"
        )
    base = CONTACTS_OF_SEGMENT if segment.audience == CONTACTS else MEMBERS
    names = [base, *([MEMBERS] if base != MEMBERS else []), *ENRICHED]
    tables = {name: (f"marts.{name}", known[f"marts.{name}"]) for name in names if f"marts.{name}" in known}
    contacts = settings.configuration.customers.contacts
    source = source_of(settings.resolved(contacts.path))
    if segment.audience == CONTACTS and _asks_for_contacts(export):
        tables[CONTACT_FILE] = (CONTACT_FILE, _land_contacts(connection, export, source, contacts))
    fields = _named_safely(export, connection, _fields(export, tables, all_of=base))
    used = {field.table for field in fields}
    sql = f"select {_list(export, fields)} from {_quoted(f'marts.{base}')} as {quoted(base)}"
    for name, (table, columns) in tables.items():
        if name != base and table in used:
            sql += f" left join {_quoted(table)} as {quoted(name)} on {_joined(base, name, columns)}"
    keys = ["enrichment_id", "account_id", *(["contact_id"] if base == CONTACTS_OF_SEGMENT else [])]
    sql += f" where {quoted(base)}.segment_id = {literal(segment.segment_id)}"
    sql += f" order by {', '.join(f'{quoted(base)}.{key}' for key in keys)}"
    warnings = []
    if not segment.is_active:
        warnings.append(
            f"{export.name}: segment {segment.segment_id} is not active, and its members are not kept up"
        )
    if segment.finding == CONTACTS_WITHHELD:
        warnings.append(f"{export.name}: {CONTACTS_WITHHELD} (reporting.small_numbers)")
    return Selection(fields, sql, segment, tuple(warnings))


def _joined(base: str, name: str, columns: Mapping[str, str]) -> str:
    """By the account, and by the enrichment by whose engagement it was judged where the table tells them apart."""
    if name == CONTACT_FILE:
        return (
            f"{quoted(base)}.account_id = {quoted(name)}.{quoted(_ACCOUNT_KEY)}"
            f" and {quoted(base)}.contact_id = {quoted(name)}.{quoted(_CONTACT_KEY)}"
        )
    keys = ["account_id"]
    if "enrichment_id" in columns:
        keys.append("enrichment_id")
    if name == MEMBERS:
        keys.append("segment_id")
    return " and ".join(f"{quoted(base)}.{key} = {quoted(name)}.{key}" for key in keys)


def _asks_for_contacts(export: Export) -> bool:
    return any(_given(column)[0].lower().startswith(f"{CONTACT_FILE}.") for column in export.columns)


def _land_contacts(
    connection: Connection, export: Export, source: Source, contacts: ContactsFile
) -> Mapping[str, str]:
    """The contact file's chosen columns as a temporary table of text, one row for each account and contact."""
    wanted = {
        column.partition(".")[2]
        for column, _ in map(_given, export.columns)
        if column.lower().startswith(f"{CONTACT_FILE}.")
    }
    where = f"{export.name}: {source.label}"
    if not source.file.is_file():
        raise ConfigurationError(f"{where} does not exist; correct customers.contacts.path")
    try:
        relation = _relation(connection, source)
        there = {
            row[0]: row[1] for row in connection.execute(f"describe select * from {relation}").fetchall()
        }
        for column in (contacts.id, contacts.account, *wanted):
            if column not in there:
                raise ConfigurationError(f"{where} has no column {column!r}; {_near(column, there)}")
        columns = "".join(
            f", min(cast({quoted(name)} as varchar)) as {quoted(name)}" for name in sorted(wanted)
        )
        connection.execute(
            f"create or replace temp table {quoted(CONTACT_FILE)} as"
            f" select trim(cast({quoted(contacts.account)} as varchar)) as {quoted(_ACCOUNT_KEY)},"
            f" trim(cast({quoted(contacts.id)} as varchar)) as {quoted(_CONTACT_KEY)}{columns}"
            f" from {relation} group by 1, 2"
        )
    except duckdb.Error as error:
        raise ConfigurationError(
            f"{where} cannot be read ({type(error).__name__}); check that it opens, and its encoding (UTF-8)"
        ) from None
    return dict.fromkeys(sorted(wanted), "VARCHAR")


def _relation(connection: Connection, source: Source) -> str:
    file = literal(str(source.file))
    if source.table is not None:
        connection.execute(f"attach if not exists {file} as given (read_only)")
        return "given." + ".".join(quoted(part) for part in source.table.split("."))
    if source.file.suffix.lower() == ".parquet":
        return f"read_parquet({file})"
    return f"read_csv({file}, header = true, all_varchar = true)"


def _fields(
    export: Export, tables: Mapping[str, tuple[str, Mapping[str, str]]], *, all_of: str | None = None
) -> tuple[Field, ...]:
    """The chosen fields, or all of the first table; each from the first table that has it, unless one is named."""
    if not export.columns:
        table, columns = tables[all_of or next(iter(tables))]
        return tuple(Field(name, table, name, kind) for name, kind in columns.items())
    fields: list[Field] = []
    for column, shown in map(_given, export.columns):
        qualifier, dot, name = column.rpartition(".")
        candidates = {
            other: pair for other, pair in tables.items() if not dot or other.lower() == qualifier.lower()
        }
        if dot and not candidates and not any(column in columns for _, columns in tables.values()):
            raise ConfigurationError(
                f"{export.name}: {column!r} is of no table that {export.what} is exported with; known:"
                f" {', '.join(tables)}"
            )
        if dot and not candidates:
            # A column of the customer's own may have a dot in its name.
            candidates, name = dict(tables), column
        for table, columns in candidates.values():
            exact = {other.lower(): other for other in columns}
            if (found := exact.get(name.lower())) is not None:
                fields.append(Field(shown or found, table, found, columns[found]))
                break
        else:
            everything = [other for _, columns in candidates.values() for other in columns]
            raise ConfigurationError(
                f"{export.name}: there is no column {column!r} in {export.what}; {_near(name, everything)}"
            )
    return tuple(fields)


def _named_safely(export: Export, connection: Connection, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """A column of the customer's own may be called anything, and its name is a cell as well."""
    if not export.is_formula_safe:
        return fields
    names = connection.execute(
        f"select {formulas.as_text('name')} from (select unnest($1) as name)",
        [[field.name for field in fields]],
    ).fetchall()
    return tuple(replace(field, name=name) for field, (name,) in zip(fields, names, strict=True))


def _given(column: str | ExportColumn) -> tuple[str, str | None]:
    return (column, None) if isinstance(column, str) else (column.column, column.renamed)


def _list(export: Export, fields: tuple[Field, ...]) -> str:
    return ", ".join(f"{_value(export, field)} as {quoted(field.name)}" for field in fields)


def _value(export: Export, field: Field) -> str:
    value = f"{quoted(field.table.rpartition('.')[2])}.{quoted(field.column)}"
    if not export.is_formula_safe or field.type.startswith(_PLAIN_TYPES):
        return value
    return formulas.as_text(value if field.type == "VARCHAR" else f"cast({value} as varchar)")


def _quoted(table: str) -> str:
    return ".".join(quoted(part) for part in table.split("."))


def _near(name: str, known: Mapping[str, object] | list[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    if near:
        return f"did you mean {near[0]}?"
    some = sorted(dict.fromkeys(known))
    return f"known: {', '.join(some[:20])}{', ...' if len(some) > 20 else ''}"
