"""What a published file may hold: exactly the tables, columns, types, keys, comments and views of the project's marts.

Publishing reads the marts from dbt's manifest, which is what was built; `engagement verify` from the project's folder,
where dbt need never have run. Both give the same contract (tests/python/test_verify.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engagement import project_yaml
from engagement.errors import ConfigurationError, PublishRefusedError

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
OUTPUT_MARTS = {
    "office": "original_account_engagement",
    "leadspace": "original_leadspace_companies",
    "company_file": "company_file_companies",
    "leadspace_contacts": "leadspace_contacts",
}
# Of these types the output table is there only where it is asked for, since each row is a person.
OPTIONAL_OUTPUTS = ("leadspace_contacts",)
# The mart behind the table of people (E35), which stands beside each office enrichment's output table.
USER_MART = "original_user_entity"
USER_TABLE_SUFFIX = "_UserEntity"
# The original's tables in Dataverse, by the marts behind them: views of a schema of their own.
DATAVERSE_SCHEMA = "dataverse"
DATAVERSE_MARTS = {
    "Enrichment": "original_enrichments",
    "SegmentMembership": "original_segment_memberships",
    "UnifiedActivity": "original_unified_activities",
}
# The mart that the customer's own columns are published with.
ENRICHED_CUSTOMERS = "enriched_customers"
# By this comment whoever has the published file alone tells the customer's own columns from ours.
OWN_COLUMN = "The customer's own column, as enrichments.yml names it; address-like text is masked."

# What only renames is a view on DuckDB (macros/dialect/materializations.sql).
_IS_VIEW = re.compile(r"\{\{\s*config\([^)]*materialized\s*=\s*(?:['\"]view['\"]|renaming\(\))")


@dataclass(frozen=True)
class Column:
    """One column: its type is DuckDB's. An `is_attribute` column is the customer's own and comes from no mart."""

    name: str
    type: str
    comment: str
    is_attribute: bool = False


# What the rows of a mart are for: to group and filter by, to count and add up, to say who belongs to what, to look at
# one by one, or to stand in for a table of the original.
ROLES = ("dimension", "fact", "bridge", "finding", "original")


@dataclass(frozen=True)
class Relationship:
    """Columns of a mart that find at most one row of the mart `to`, by all columns of its key.

    `is_complete`: every row finds one, so an inner join loses nothing; else some hold null or something else.
    """

    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    is_complete: bool = True


@dataclass(frozen=True)
class Table:
    """A table or, where `sql` is set, a view of the published file."""

    schema: str
    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    sql: str | None = None
    # What its rows are for (ROLES); none where they describe the file itself.
    role: str | None = None
    relationships: tuple[Relationship, ...] = ()

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
                        "relationships": tuple(
                            Relationship(
                                **{
                                    **relationship,
                                    "columns": tuple(relationship["columns"]),
                                    "to_columns": tuple(relationship["to_columns"]),
                                }
                            )
                            for relationship in table["relationships"]
                        ),
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

RELATIONSHIPS = Table(
    schema="marts",
    name="relationships",
    comment="One row per relationship of two tables of the schema marts: which columns of the one find at most one row"
    " of the other. Draw it in a BI tool, or put join_condition behind `on`. Views of other schemas join as the mart"
    " does that they show.",
    columns=(
        Column("from_table", "VARCHAR", "Table or view that is joined from."),
        Column("from_columns", "VARCHAR", "Its columns, with commas between where there are several."),
        Column(
            "to_table",
            "VARCHAR",
            "Table that is joined to: of the columns below it has each combination once.",
        ),
        Column("to_columns", "VARCHAR", "Its columns, in the order of from_columns."),
        Column(
            "from_role",
            "VARCHAR",
            "What rows of from_table are for: dimension (group and filter by), fact (count and add up), bridge (who"
            " belongs to what), finding (look at one by one) or original (in the form of the original's tables).",
        ),
        Column("to_role", "VARCHAR", "The same of to_table."),
        Column(
            "cardinality",
            "VARCHAR",
            "many to one, or one to one where from_table has each combination once as well.",
        ),
        Column(
            "join_condition",
            "VARCHAR",
            "The condition in SQL, with the names of the tables before the columns'; a table that is joined to itself"
            " is called other the second time.",
        ),
        Column(
            "is_complete",
            "BOOLEAN",
            "Whether every row of from_table finds one; else an inner join leaves out rows that hold null or a word of"
            " their own, such as none.",
        ),
    ),
)


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def completed(
    marts: Contract,
    *,
    output_tables: Iterable[tuple[str, str, str]],
    attributes: Iterable[tuple[str, str]],
    has_user_table: bool,
) -> Contract:
    """The contract of the marts and of what a configuration adds to them.

    `output_tables` holds (enrichment_id, type, output_table) of every enrichment that publishes one: each gets its view
    under its own name, an office enrichment that of E35 beside it. `attributes` are the customer's own columns (name,
    DuckDB's type), which the enriched customer table passes through.
    """
    own = tuple(
        Column(
            name,
            data_type,
            OWN_COLUMN,
            is_attribute=True,
        )
        for name, data_type in attributes
    )
    tables = [
        replace(table, columns=table.columns + own) if table.name == ENRICHED_CUSTOMERS else table
        for table in marts.tables
    ]
    by_name = {table.name: table for table in tables}
    for enrichment_id, enrichment_type, output_table in output_tables:
        tables.append(output_view(by_name[OUTPUT_MARTS[enrichment_type]], enrichment_id, output_table))
        if has_user_table and enrichment_type == "office":
            tables.append(output_view(by_name[USER_MART], enrichment_id, output_table + USER_TABLE_SUFFIX))
    tables += [dataverse_view(by_name[mart], name) for name, mart in DATAVERSE_MARTS.items()]
    return Contract(tuple(tables))


def manifest_contract(manifest_path: Path) -> Contract:
    """The contract of the marts alone, as dbt has compiled them."""
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
    marts = []
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "model" or node["schema"] != "marts":
            continue
        if not node["contract"]["enforced"]:
            raise PublishRefusedError(
                f"model {node['name']} has no enforced contract: give it one, or move it out of the marts"
            )
        sql = None
        if node["config"]["materialized"] == "view":
            # The private file's name must not stand in a view, and its catalogue is another one here.
            sql = node["compiled_code"].replace(f"{quoted(node['database'] or '')}.", "")
        marts.append(
            mart(
                node["name"],
                node["description"],
                node["columns"].values(),
                key=keys.get(unique_id, ()),
                sql=sql,
                meta=node["config"]["meta"],
            )
        )
    return marts_contract(marts)


def project_contract(project_dir: Path) -> Contract:
    """The contract of the marts alone, from the YAML and the views of the project's folder.

    Raises ConfigurationError where there are none.
    """
    marts = []
    macros = dialect_macros(project_dir)
    for path in sorted((project_dir / "models" / "marts").glob("**/_*__models.yml")):
        for model in project_yaml.load(path.read_text("utf-8")).get("models", []):
            key = [
                test["unique_key"]["arguments"]["columns"]
                for test in model.get("data_tests", ())
                if isinstance(test, dict) and "unique_key" in test
            ]
            marts.append(
                mart(
                    model["name"],
                    model["description"],
                    model["columns"],
                    key=tuple(key[0]) if key else (),
                    sql=view_text(path.with_name(f"{model['name']}.sql"), macros),
                    meta=model.get("config", {}).get("meta", {}),
                )
            )
    if not marts:
        raise ConfigurationError(
            "models/marts: no marts found; set ENGAGEMENT_PROJECT_DIR to the project's folder"
        )
    return marts_contract(marts)


def dialect_macros(project_dir: Path) -> dict[str, Any]:
    """The macros of macros/dialect as DuckDB's dialect has them, by the names that models call them by."""
    from jinja2 import Environment

    environment = Environment(extensions=["jinja2.ext.do"])
    # dbt's own gives a macro's value back; here a macro's text is its value.
    environment.globals["return"] = lambda value: value
    macros = {}
    for path in sorted((project_dir / "macros" / "dialect").glob("*.sql")):
        module = environment.from_string(path.read_text("utf-8")).module
        macros.update({name: value for name, value in vars(module).items() if name.startswith("duckdb__")})
    return {name.removeprefix("duckdb__"): macro for name, macro in macros.items()}


def project_macros(project_dir: Path) -> dict[str, Any]:
    """The macros of macros/dialect, and those of macros that call none of dbt's own."""
    from jinja2 import Environment

    path = project_dir / "macros" / "enrichment_settings.sql"
    module = Environment().from_string(path.read_text("utf-8")).module
    return {**dialect_macros(project_dir), "enrichment_settings": vars(module)["enrichment_settings"]}


def view_text(path: Path, macros: Mapping[str, Any]) -> str | None:
    """The SQL of a mart that is a view, as dbt compiles it. None where the mart is a table."""
    return model_text(path, macros) if _IS_VIEW.search(path.read_text("utf-8")) else None


def model_text(
    path: Path, macros: Mapping[str, Any], *, source: Callable[[str, str], str] | None = None
) -> str:
    """The SQL of a model, as dbt compiles it: it reads marts, or what `source` makes of raw tables, quotes names and
    calls `macros`, and nothing else.
    """
    from jinja2 import Environment

    class Adapter:
        quote = staticmethod(quoted)

    return (
        Environment()
        .from_string(path.read_text("utf-8"))
        .render(
            macros,
            config=lambda **options: "",
            ref=lambda name: f"{quoted('marts')}.{quoted(name)}",
            source=source,
            adapter=Adapter,
        )
    )


def mart(
    name: str,
    description: str,
    columns: Iterable[dict[str, Any]],
    *,
    key: tuple[str, ...],
    sql: str | None,
    meta: Mapping[str, Any],
) -> Table:
    """A mart as a table or view of the published file; a view has no key. `meta` is that of its YAML.

    Raises PublishRefusedError for a role or a relationship that is none.
    """
    role = meta.get("role")
    if role not in ROLES:
        raise PublishRefusedError(f"model {name}: meta.role {role!r} is not one of {', '.join(ROLES)}")
    return Table(
        schema="marts",
        name=name,
        comment=description.strip(),
        columns=tuple(
            Column(column["name"], duckdb_type(name, column), column["description"].strip())
            for column in columns
        ),
        key=key if sql is None else (),
        sql=None if sql is None else sql.strip(),
        role=role,
        relationships=tuple(relationship(name, declared) for declared in meta.get("relationships", ())),
    )


def relationship(model: str, declared: Mapping[str, Any]) -> Relationship:
    """A relationship as the YAML of a mart declares it; `to_columns` may be left out where they have the same names."""
    unknown = set(declared) - {"columns", "to", "to_columns", "is_complete"}
    if unknown or not {"columns", "to"} <= set(declared):
        raise PublishRefusedError(
            f"model {model}, meta.relationships: has columns, to and, where wanted, to_columns and is_complete,"
            f" not {', '.join(sorted(declared))}"
        )
    columns = tuple(declared["columns"])
    return Relationship(
        columns, declared["to"], tuple(declared.get("to_columns", columns)), declared.get("is_complete", True)
    )


def marts_contract(marts: Iterable[Table]) -> Contract:
    """The table that says what the file is, and the marts: tables first, each kind by name."""
    ordered = sorted(marts, key=lambda table: (table.sql is not None, table.name))
    return Contract((PUBLICATION, *ordered, relationships_view(ordered)))


def relationships_view(marts: Iterable[Table]) -> Table:
    """The relationships of the marts as a view of the published file, so that any tool can read how its tables join.

    A view of constants and no mart: it says what the YAML says, and costs no build anything. No foreign keys, which
    DuckDB would check and keep an index for: what an account of yesterday left behind must not stop a publication.
    Raises PublishRefusedError for one that does not end at the key of a mart.
    """
    by_name = {table.name: table for table in marts}
    rows = []
    for table in by_name.values():
        for found in table.relationships:
            other = by_name.get(found.to)
            own_columns = {column.name for column in table.columns}
            if other is None or other.key != found.to_columns or not own_columns.issuperset(found.columns):
                raise PublishRefusedError(
                    f"model {table.name}, meta.relationships: {', '.join(found.columns)} to {found.to}"
                    f" ({', '.join(found.to_columns)}): they have to be columns of it and the whole key of a mart"
                )
            # A table joined to itself stands there twice.
            its_name = other.name if other != table else "other"
            texts = (
                table.name,
                ", ".join(found.columns),
                other.name,
                ", ".join(found.to_columns),
                table.role or "",
                other.role or "",
                "one to one" if table.key and set(table.key) <= set(found.columns) else "many to one",
                " and ".join(
                    f"{table.name}.{own} = {its_name}.{its}"
                    for own, its in zip(found.columns, found.to_columns, strict=True)
                ),
            )
            values = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
            rows.append(f"({values}, {'true' if found.is_complete else 'false'})")
    names = ", ".join(column.name for column in RELATIONSHIPS.columns)
    return replace(RELATIONSHIPS, sql=f"select * from (values {', '.join(rows)}) as declared ({names})")


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


def dataverse_view(source: Table, name: str) -> Table:
    """The rows of a mart under the name of the original's table in Dataverse."""
    names = ", ".join(quoted(column.name) for column in source.columns)
    return Table(
        schema=DATAVERSE_SCHEMA,
        name=name,
        comment=source.comment,
        columns=source.columns,
        sql=f"select {names} from {source.qualified_name}",
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
