"""What a published file may hold: exactly the tables, columns, types, keys, comments and views of dbt's manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engagement.errors import PublishRefusedError

# Contract types mean the same on DuckDB and Spark; these are DuckDB's names for them, as its catalogue spells them.
DUCKDB_TYPES = {
    "string": "VARCHAR",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "decimal(9,4)": "DECIMAL(9,4)",
}


# The mart behind the output table of each type of enrichment.
OUTPUT_MARTS = {"office": "original_account_engagement", "leadspace": "original_leadspace_companies"}
# The mart that the customer's own columns are published with.
ENRICHED_CUSTOMERS = "enriched_customers"


@dataclass(frozen=True)
class Column:
    """One column: its type is DuckDB's. An `is_attribute` column is the customer's own and comes from no mart."""

    name: str
    type: str
    comment: str
    is_attribute: bool = False


@dataclass(frozen=True)
class Table:
    """A table or, where `sql` is set, a view of the published file."""

    schema: str
    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    sql: str | None = None

    @property
    def qualified_name(self) -> str:
        """The quoted name without a catalogue, so that a view survives renaming the file."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True)
class Contract:
    """All tables of a published file, in the order of their names, and then its views."""

    tables: tuple[Table, ...] = field(default_factory=tuple)

    def to_json(self) -> str:
        """The contract for another process."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Contract:
        """The contract that `to_json` wrote."""
        return Contract(
            tuple(
                Table(
                    **{
                        **table,
                        "columns": tuple(Column(**column) for column in table["columns"]),
                        "key": tuple(table["key"]),
                    }
                )
                for table in json.loads(text)["tables"]
            )
        )


PUBLICATION = Table(
    schema="marts",
    name="publication",
    comment="One row: what this file is and when it was made.",
    columns=(
        Column("run_id", "VARCHAR", "Run that published the file."),
        Column("project_version", "VARCHAR", "Version of the project that made it."),
        Column(
            "small_numbers",
            "VARCHAR",
            "Mode for small numbers: show (as they are) or band (counts of people below smallest_group are null, larger"
            " ones are where their band begins, and what would tell a hidden one is hidden too).",
        ),
        Column(
            "smallest_group",
            "BIGINT",
            "Smallest number of people that is shown in band mode; null where small_numbers is show.",
        ),
        Column(
            "as_of_date",
            "DATE",
            "The as-of date D: the last whole day that counts; null where no mail was ever read.",
        ),
        Column("published_at", "TIMESTAMP", "Instant (UTC) of publishing."),
    ),
    key=("run_id",),
)


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def read_contract(
    manifest_path: Path,
    *,
    output_tables: Iterable[tuple[str, str, str]],
    attributes: Iterable[tuple[str, str]] = (),
    has_user_table: bool,
) -> Contract:
    """The contract of the published file, from the marts of dbt's manifest.

    `output_tables` holds (enrichment_id, type, output_table) of every enrichment: each gets its view under its own
    name, an office enrichment that of E35 beside it. `attributes` are the customer's own columns (name, contract
    type), which the enriched customer table passes through. Raises `PublishRefusedError` where the manifest is
    missing or a mart has no contract.
    """
    try:
        manifest: dict[str, Any] = json.loads(manifest_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PublishRefusedError(
            f"dbt's manifest {manifest_path.name} cannot be read ({type(error).__name__}): run `dbt build` first"
        ) from error
    keys = {
        node["attached_node"]: tuple(node["test_metadata"]["kwargs"]["columns"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == "unique_key"
    }
    tables: list[Table] = [PUBLICATION]
    views: list[Table] = []
    for unique_id, node in sorted(manifest["nodes"].items()):
        if node["resource_type"] != "model" or node["schema"] != "marts":
            continue
        if not node["contract"]["enforced"]:
            raise PublishRefusedError(
                f"model {node['name']} has no enforced contract: give it one, or move it out of the marts"
            )
        columns = tuple(
            Column(column["name"], duckdb_type(node["name"], column), column["description"])
            for column in node["columns"].values()
        )
        if node["name"] == ENRICHED_CUSTOMERS:
            columns += tuple(
                Column(
                    name,
                    duckdb_name(data_type),
                    "The customer's own column, as enrichments.yml names it; address-like text is masked.",
                    is_attribute=True,
                )
                for name, data_type in attributes
            )
        is_view = node["config"]["materialized"] == "view"
        table = Table(
            schema="marts",
            name=node["name"],
            comment=node["description"],
            columns=columns,
            key=() if is_view else keys.get(unique_id, ()),
            # The private file's name must not stand in a view, and its catalogue is another one here.
            sql=node["compiled_code"].replace(f"{quoted(node['database'])}.", "") if is_view else None,
        )
        (views if is_view else tables).append(table)
    by_name = {table.name: table for table in (*tables, *views)}
    for enrichment_id, enrichment_type, output_table in output_tables:
        views.append(output_view(by_name[OUTPUT_MARTS[enrichment_type]], enrichment_id, output_table))
        if has_user_table and enrichment_type == "office":
            views.append(
                output_view(by_name["original_user_entity"], enrichment_id, f"{output_table}_UserEntity")
            )
    return Contract((*tables, *views))


def output_view(source: Table, enrichment_id: str, name: str) -> Table:
    """The rows of one enrichment under its output name, without the enrichment's id."""
    columns = tuple(column for column in source.columns if column.name != "enrichment_id")
    names = ", ".join(quoted(column.name) for column in columns)
    literal = "'" + enrichment_id.replace("'", "''") + "'"
    return Table(
        schema="enrichment",
        name=name,
        comment=source.comment,
        columns=columns,
        sql=f"select {names} from {source.qualified_name} where enrichment_id = {literal}",
    )


def duckdb_name(data_type: str) -> str:
    """DuckDB's name of a contract type, or of a decimal of the customer's own."""
    return DUCKDB_TYPES.get(data_type) or data_type.upper()


def duckdb_type(model: str, column: dict[str, Any]) -> str:
    """DuckDB's name of a contract type; a type that is not shared with Spark is refused."""
    data_type = str(column["data_type"]).lower()
    if data_type not in DUCKDB_TYPES:
        raise PublishRefusedError(
            f"model {model}, column {column['name']}: type {data_type} is not one of {', '.join(DUCKDB_TYPES)}"
        )
    return DUCKDB_TYPES[data_type]
