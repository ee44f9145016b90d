"""The published schema as a star: roles and relationships of every mart, and the readers that are declared for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import pytest

from conftest import Workspace, small_tenant, write_csv
from documentation import star as documented_star
from emulators.firmographics import Company
from emulators.graph import running
from emulators.leadspace import running as running_leadspace
from engagement.contract import (
    ROLES,
    Contract,
    Relationship,
    Table,
    mart,
    project_contract,
    relationships_view,
)
from engagement.errors import PublishRefusedError
from project_fixtures import ROOT, CompiledProject
from star import broken_relationships

# What a column of this name joins, wherever it stands.
DIMENSIONS = {
    "account_id": "enriched_customers",
    "parent_account_id": "enriched_customers",
    "relative_account_id": "enriched_customers",
    "CustomerId": "enriched_customers",
    "enrichment_id": "enrichments",
    "office_enrichment_id": "enrichments",
    "leadspace_enrichment_id": "enrichments",
    "segment_id": "segments",
    "other_segment_id": "segments",
    "run_id": "run_history",
}
# Files with rows about themselves: no part of the star.
ABOUT = {"publication", "relationships"}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return project_contract(ROOT)


def marts(contract: Contract) -> Iterator[Table]:
    yield from (table for table in contract.tables if table.name not in ABOUT)


def reached(by_name: dict[str, Table], table: Table) -> set[tuple[str, str]]:
    """The columns of a table that find a row of another, in one step or over a table between: (column, table)."""
    found: set[tuple[str, str]] = set()
    for one in table.relationships:
        if len(one.columns) == 1:
            found.add((one.columns[0], one.to))
        beyond = {name: own for own, name in zip(one.columns, one.to_columns, strict=True)}
        if one.to != table.name:
            found |= {
                (beyond[column], to) for column, to in reached(by_name, by_name[one.to]) if column in beyond
            }
    return found


def test_every_key_of_a_dimension_joins_it(contract: Contract) -> None:
    by_name = {table.name: table for table in marts(contract)}
    missing = [
        f"{table.name}.{column.name}"
        for table in by_name.values()
        for column in table.columns
        if (to := DIMENSIONS.get(column.name)) not in (None, table.name)
        and (column.name, to) not in reached(by_name, table)
    ]
    assert missing == []
    # A dimension's own key ends where it is.
    assert all(table.role in ROLES for table in by_name.values())
    ends = {one.to for table in by_name.values() for one in table.relationships if len(one.columns) == 1}
    assert {by_name[name].role for name in ends} == {"dimension"}


def test_a_fact_with_accounts_and_periods_finds_its_day(contract: Contract) -> None:
    periods = re.compile(
        r"^(aggregation_starts_on|starts_on|week_ends_on|month_starts_on|day_on|counted_on)$"
    )
    for table in marts(contract):
        key = table.key or tuple(column.name for column in table.columns)
        if table.role in ("fact", "bridge") and table.name != "account_traffic":
            dated = [name for name in key if periods.match(name)]
            joined = [one.columns[0] for one in table.relationships if one.to == "days"]
            assert set(dated) <= set(joined), table.name


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, "meta.role None is not one of"),
        ({"role": "cube"}, "meta.role 'cube' is not one of"),
        ({"role": "fact", "relationships": [{"columns": ["a"]}]}, "has columns, to and"),
        (
            {"role": "fact", "relationships": [{"columns": ["a"], "to": "b", "on": "c"}]},
            "has columns, to and",
        ),
    ],
)
def test_what_is_no_relationship_is_refused(meta: dict[str, Any], said: str) -> None:
    with pytest.raises(PublishRefusedError, match=f"model m.*{said}"):
        mart("m", "One row.", [], key=(), sql=None, meta=meta)


@pytest.mark.parametrize(
    "wrong",
    [
        Relationship(("account_id",), "nowhere", ("account_id",)),
        Relationship(("account_id",), "account_recency", ("account_id",)),
        Relationship(("no_such",), "segments", ("segment_id",)),
    ],
)
def test_a_relationship_that_ends_at_no_key_is_refused(wrong: Relationship, contract: Contract) -> None:
    tables = [replace(table, relationships=()) for table in marts(contract)]
    tables[0] = replace(tables[0], relationships=(wrong,))
    with pytest.raises(PublishRefusedError, match=f"model {tables[0].name}, meta.relationships: "):
        relationships_view(tables)


def test_a_broken_relationship_is_seen() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            """
            create schema marts;
            create table marts.fact as from (values (1), (2), (2), (null)) as rows(d);
            create table marts.dimension as from (values (1), (1)) as rows(d);
            create table marts.relationships as
                select 'fact' as from_table, 'd' as from_columns, 'dimension' as to_table, 'd' as to_columns,
                    'one to one' as cardinality, 'fact.d = dimension.d' as join_condition, true as is_complete
            """
        )
        assert broken_relationships(connection) == (
            1,
            [
                "fact to dimension on fact.d = dimension.d: 5 rows of 4",
                "fact to dimension on fact.d = dimension.d: 3 of 5 rows find none",
                "fact to dimension on fact.d = dimension.d: 3 keys of 4 rows",
            ],
        )


COMPANIES = [
    Company("Contoso Limited", "contoso.example", "Germany", industry="Chemicals"),
    Company("Fabrikam", "fabrikam.example", "France"),
]


def run_and_check(workspace: Workspace) -> None:
    done = workspace.run("run", "--json")
    assert done.exit_code == 0, done.output
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        count, broken = broken_relationships(connection)
    assert (count > 100, broken) == (True, [])


@pytest.mark.long
def test_relationships_hold_after_an_account_left_the_customer_file(workspace: Workspace) -> None:
    with running(small_tenant()) as graph, running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        workspace.connect_to(graph)
        workspace.enrich_companies(leadspace.url, office={"domain_matching": True})
        run_and_check(workspace)
        accounts = workspace.root / "accounts.csv"
        kept = [line for line in accounts.read_text("utf-8").splitlines() if not line.startswith("A2")]
        accounts.write_text("\n".join(kept) + "\n", "utf-8")
        contacts = workspace.root / "contacts.csv"
        write_csv(contacts, [{"contact_id": "C1", "account_id": "A1", "email": "kim@contoso.example"}])
        run_and_check(workspace)


@pytest.mark.long
def test_relationships_hold_where_nobodys_mail_is_read(workspace: Workspace) -> None:
    """Segments are judged all the same, for an enrichment that is none."""
    with running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        workspace.enrich_companies(leadspace.url)
        run_and_check(workspace)


# --- the readers


def exposures(project: CompiledProject) -> dict[str, set[str]]:
    """The marts that each exposure depends on."""
    return {
        exposure["name"]: {
            project.manifest["nodes"][parent]["name"] for parent in exposure["depends_on"]["nodes"]
        }
        for exposure in project.manifest["exposures"].values()
    }


def read_by(*places: str) -> set[str]:
    """The tables of the schema marts that the SQL of these files of the package (patterns of their paths) names."""
    found: set[str] = set()
    for place in places:
        for file in (ROOT / "scripts" / "engagement").glob(place):
            found |= set(re.findall(r"\bmarts\.([a-z_]+)", file.read_text("utf-8")))
    return found - ABOUT


def asked_by_pages(place: str, every: set[str]) -> set[str]:
    """The marts that the SQL of these files of the pages names, which leaves the schema out."""
    found: set[str] = set()
    for file in (ROOT / "scripts" / "engagement" / "pages").glob(place):
        found |= set(re.findall(r"\b(?:from|join)\s+([a-z_]+)", file.read_text("utf-8")))
    return found & every


def test_every_reader_is_declared_with_what_it_reads(
    compiled_project: CompiledProject, contract: Contract
) -> None:
    found = exposures(compiled_project)
    every = {table.name for table in marts(contract)}
    assert found["bi_tools"] == found["exports"] == every
    assert found["digest"] == read_by("digest/**/*.py")
    assert found["status"] == read_by("report.py", "status.py")
    assert found["dataverse_views"] | found["original_output_tables"] >= {
        table.name for table in marts(contract) if table.role == "original"
    }
    semantic = {
        compiled_project.manifest["nodes"][parent]["name"]
        for model in compiled_project.manifest["semantic_models"].values()
        for parent in model["depends_on"]["nodes"]
    }
    assert found["measures"] == semantic | {"days"}
    pages = {name.removeprefix("page_"): read for name, read in found.items() if name.startswith("page_")}
    folders = {path.parent.name for path in (ROOT / "scripts/engagement/pages").glob("*/page.py")}
    assert len(folders) == 5
    # Two pages tell how enrichments stand, in the same words.
    about = asked_by_pages("enrichments.py", every)
    assert pages == {
        folder: asked_by_pages(f"{folder}/*.py", every) | (about if folder in ("hub", "results") else set())
        for folder in folders
    }


def test_the_docs_show_the_star_as_it_is() -> None:
    """`make bi-docs` writes it."""
    text = (ROOT / "docs" / "bi.md").read_text("utf-8")
    assert documented_star.with_star(text, project_contract(ROOT)) == text
