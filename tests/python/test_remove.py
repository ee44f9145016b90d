"""Enrichments that are deactivated, and those that are removed with their data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from conftest import OURS, Workspace, emulated, person, small_tenant
from emulators.firmographics import Company
from emulators.leadspace import running as running_leadspace
from engagement import audit
from engagement.addresses import Hasher, load_hash_key

COMPANIES = [
    Company("Contoso Limited", "contoso.example", "Germany"),
    Company("Fabrikam", "fabrikam.example", "France"),
]
NORTH, SOUTH, COMPANY, MORE = "north", "south", "company-data", "more-data"


def entries(workspace: Workspace) -> list[dict[str, Any]]:
    office = workspace.configuration()["enrichments"][0]
    companies = {
        "type": "leadspace",
        "consent": office["consent"],
        "mapping": {"company_name": "name", "website": "website", "country": "country"},
    }
    return [
        {**office, "name": "North", "output_table": "North", "addresses": [f"anna@{OURS}", f"ben@{OURS}"]},
        {**office, "name": "South", "output_table": "South", "addresses": [f"ben@{OURS}", f"carl@{OURS}"]},
        {**companies, "name": "Company data", "output_table": "Leadspace"},
        {**companies, "name": "More data", "output_table": "More"},
    ]


def configure(workspace: Workspace, **changes: dict[str, Any] | None) -> None:
    """All four, each with changes by its id (hyphens as _); None takes it out."""
    kept = []
    for entry in entries(workspace):
        change = changes.get(entry["name"].lower().replace(" ", "_"), {})
        if change is not None:
            kept.append({**entry, **change})
    path = workspace.root / "enrichments.yml"
    content = workspace.configuration() | {"enrichments": kept}
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def ok(workspace: Workspace, *arguments: str, code: int = 0) -> str:
    done = workspace.run(*arguments)
    assert done.exit_code == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two office enrichments that share ben, and two Leadspace ones over the same customers; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("whole"))
    with emulated(small_tenant(), workspace), running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        workspace.enrich_companies(leadspace.url)
        configure(workspace)
        ok(workspace, "run")
    return workspace


@pytest.fixture
def copy(whole: Workspace, tmp_path: Path) -> Workspace:
    """The same in a folder of its own; no service answers."""
    workspace = Workspace(tmp_path / "copy")
    workspace.environment = {
        name: value.replace(str(whole.root), str(workspace.root)) for name, value in whole.environment.items()
    }
    for name in ("data", "target"):
        shutil.copytree(whole.root / name, workspace.root / name)
    configure(workspace)
    return workspace


def tables(workspace: Workspace) -> dict[str, int]:
    """The published output tables, and how many rows each has."""
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'enrichment' order by all"
        ).fetchall()
        counts = {}
        for (name,) in names:
            row = connection.execute(f'select count(*) from enrichment."{name}"').fetchone()
            counts[name] = 0 if row is None else row[0]
        return counts


def ids_held(workspace: Workspace) -> set[str]:
    """Every enrichment that any row of the private file belongs to, models included; audit and customers aside."""
    with duckdb.connect(str(workspace.private_file), read_only=True) as connection:
        found = set()
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_columns()"
            " where column_name = 'enrichment_id' and table_name not in ('audit_events', 'settings')"
            " and schema_name in ('raw', 'intermediate', 'marts')"
        ).fetchall():
            rows = connection.execute(f'select distinct enrichment_id from "{schema}"."{table}"').fetchall()
            found |= {row[0] for row in rows}
        return found - {None, "", "customer-file"}


def mailbox_of(workspace: Workspace, name: str) -> int:
    return Hasher(load_hash_key(None, workspace.settings(services=()).hash_key_file)).mailbox(person(name).id)


@pytest.mark.long
def test_what_another_enrichment_has_stays(copy: Workspace) -> None:
    """One of each type at once; neither is in enrichments.yml any more."""
    configure(copy, north=None, company_data=None)
    answers = copy.query("select fingerprint, response from raw.leadspace_responses order by all")
    copy.published_file.rename(copy.published_file.with_suffix(".aside"))
    ok(copy, "remove", "Company data", "--yes")
    copy.published_file.with_suffix(".aside").rename(copy.published_file)
    assert "published again" in ok(copy, "remove", "North", "--yes")
    assert ids_held(copy) == {SOUTH, MORE}
    assert tables(copy).keys() == {"More", "South", "South_UserEntity"}
    # carl's and ben's; anna's only North had.
    rows = copy.query("select distinct mailbox_id from raw.office_messages order by all")
    assert rows == sorted([(mailbox_of(copy, "ben"),), (mailbox_of(copy, "carl"),)])
    assert mailbox_of(copy, "anna").to_bytes(8, "little", signed=True) not in copy.private_file.read_bytes()
    # An answer belongs to an input, so nobody pays for it twice.
    assert copy.query("select fingerprint, response from raw.leadspace_responses order by all") == answers
    with running_leadspace(COMPANIES) as leadspace:
        copy.environment["ENGAGEMENT_LEADSPACE_URL"] = leadspace.url
        assert "0 lookups for 2 customers" in ok(copy, "extract", "leadspace")
    assert ids_held(copy) == {SOUTH, MORE}
    events = audit.events(copy.settings(services=()))
    assert [
        (event["action"], event["enrichment_id"]) for event in events if event["action"] == "removal"
    ] == [
        ("removal", COMPANY),
        ("removal", NORTH),
    ]


@pytest.mark.long
def test_where_none_is_left_the_file_is_published_without_data(copy: Workspace) -> None:
    off = {"active": False}
    configure(copy, north=None, south=off, company_data=None, more_data=None)
    before = copy.published_file.read_bytes()
    copy.published_file.unlink()
    for name in (NORTH, COMPANY, MORE):
        ok(copy, "remove", name, "--yes")
    copy.published_file.write_bytes(before)
    assert "stays listed as inactive and without data" in ok(copy, "remove", "south", "--yes")
    assert tables(copy) == {"South": 0, "South_UserEntity": 0}
    assert ids_held(copy) <= {SOUTH}
    for table in (
        "office_messages",
        "office_meetings",
        "office_units",
        "office_mailboxes",
        "leadspace_responses",
    ):
        assert copy.query(f"select count(*) from raw.{table}") == [(0,)], table
    with duckdb.connect(str(copy.published_file), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.enriched_customers").fetchone() == (2,)
        assert connection.execute("select count(*) from marts.account_engagement").fetchone() == (0,)


@pytest.mark.long
def test_it_is_refused_while_it_is_active(copy: Workspace) -> None:
    said = ok(copy, "remove", "North", "--yes", code=2)
    assert "enrichments[0] (north): is active" in said and "active: false" in said
    assert "known: company-data, more-data, north, south" in ok(copy, "remove", "East", "--yes", code=2)
    configure(copy, north=None)
    assert "nobody to ask" in ok(copy, "remove", "North", code=2)
    assert ids_held(copy) == {NORTH, SOUTH, COMPANY, MORE}


@pytest.mark.long
def test_killed_in_the_midst_its_bytes_go_with_the_next_command(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.published_file.unlink()
    configure(copy, north=None)
    with monkeypatch.context() as patched:

        def killed(*arguments: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr("engagement.fresh.replace", killed)
        ok(copy, "remove", "north", "--yes", code=130)
    assert copy.query("select value from raw.settings where key = 'rebuild.wanted'") == [("true",)]
    ok(copy, "extract", "customers")
    assert copy.query("select count(*) from raw.settings where key = 'rebuild.wanted'") == [(0,)]
    assert mailbox_of(copy, "anna").to_bytes(8, "little", signed=True) not in copy.private_file.read_bytes()


@pytest.mark.long
def test_what_is_deactivated_is_skipped_and_its_last_data_stays(copy: Workspace) -> None:
    """Both types; the others go on."""
    before = tables(copy)
    assert len(before) == 6 and all(before.values())
    configure(copy, north={"active": False}, company_data={"active": False}, more_data={"max_age": "1 days"})
    tenant = small_tenant()
    with emulated(tenant, copy) as graph, running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        copy.environment["ENGAGEMENT_LEADSPACE_URL"] = leadspace.url
        done = copy.run("run", "--json")
        assert done.exit_code == 0, done.stderr
        paths = {
            request.path.split("/")[3] for request in graph.requests if request.path.endswith("/messages")
        }
        assert person("anna").id not in paths and person("ben").id in paths
    assert json.loads(done.stdout)["office"]["mailboxes_selected"] == 2
    assert tables(copy) == before
    with duckdb.connect(str(copy.published_file), read_only=True) as connection:
        states = dict(
            connection.execute("select enrichment_id, enrichment_state from marts.enrichments").fetchall()
        )
    assert states == {NORTH: "inactive", SOUTH: "active", COMPANY: "inactive", MORE: "active"}
