"""enrichments.yml and the environment: every finding at once, in words that help."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml

from conftest import ROOT, Workspace
from engagement.configuration.enrichments import LeadspaceEnrichment, OfficeEnrichment
from engagement.configuration.source import source_of
from engagement.errors import ConfigurationError
from engagement.identifiers import slug

Change = Callable[[dict[str, Any]], object]


def findings(workspace: Workspace, change: Change | None = None, **office: Any) -> tuple[str, ...]:
    workspace.configure(change, **office)
    with pytest.raises(ConfigurationError) as caught:
        workspace.settings()
    return caught.value.findings


def office(**keys: Any) -> Change:
    return lambda raw: raw["enrichments"][0].update(keys)


def test_a_right_configuration(workspace: Workspace) -> None:
    settings = workspace.settings()
    [(position, enrichment)] = settings.enrichments(OfficeEnrichment)
    assert (position, enrichment.enrichment_id, enrichment.retention) == (0, "account-engagement", 400)
    assert enrichment.consent is not None and enrichment.consent.on == date(2026, 1, 5)
    assert settings.private_file == workspace.private_file
    assert settings.resolved("accounts.csv") == workspace.root / "accounts.csv"
    assert ("", "reporting.time_zone", "UTC") in settings.rows()
    assert ("account-engagement", "tolerated_failures", "0.02") in settings.rows()


@pytest.mark.parametrize(("given", "landed"), [({}, "false"), ({"domain_matching": True}, "true")])
def test_domain_matching_is_off_unless_switched_on(
    workspace: Workspace, given: dict[str, Any], landed: str
) -> None:
    workspace.configure(**given)
    assert ("account-engagement", "domain_matching", landed) in workspace.settings().rows()


def test_secrets_never_show(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_HASH_KEY"] = "a-hash-key-that-is-long"
    shown = repr(workspace.settings())
    assert workspace.environment["AZURE_CLIENT_SECRET"] not in shown
    assert "a-hash-key-that-is-long" not in shown


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            office(retention="lots"),
            "enrichments[0].retention: 'lots' is not allowed; allowed: 'N days' with N from 366",
        ),
        (office(retention="365 days"), "enrichments[0].retention: '365 days' is not allowed"),
        (office(retention=760), "enrichments[0].retention: 760 is not allowed"),
        (office(refresh="yearly"), "allowed: manual, hourly, daily, weekly, monthly"),
        (
            office(source="imap"),
            "enrichments[0].source: 'imap' is not allowed; allowed: graph, or {data_connect: <folder>}",
        ),
        (
            office(source=["graph"]),
            "enrichments[0].source: a list is not allowed; allowed: graph, or {data_connect: <folder>}",
        ),
        (office(source={}), "enrichments[0].source.data_connect: missing; add it"),
        (
            office(source={"data_connect": 7}),
            "enrichments[0].source.data_connect: 7 is not allowed; allowed: text",
        ),
        (
            office(source={"data_conect": "x", "data_connect": "."}),
            "enrichments[0].source.data_conect: unknown key; did you mean data_connect?",
        ),
        (
            office(source={"data_connect": "x"}),
            "enrichments[0].source.data_connect: 'x' is no folder; put the",
        ),
        (
            office(source={"data_connect": "."}, probe_forbidden="eve@northwind.example"),
            "enrichments[0].probe_forbidden: asks Microsoft Graph, which nobody does for an export",
        ),
        (office(active="yes"), "enrichments[0].active: 'yes' is not allowed; allowed: true or false"),
        (office(output_table="drop table"), "enrichments[0].output_table: 'drop table' is not allowed"),
        (office(output_table="1st"), "enrichments[0].output_table: '1st' is not allowed"),
        (office(name="---"), "enrichments[0].name: '---' is not allowed"),
        (office(addresses=[]), "enrichments[0].addresses: is empty; allowed: at least one entry"),
        (office(addresses="x"), "enrichments[0].addresses: 'x' is not allowed; allowed: a list"),
        (office(adresses=[]), "enrichments[0].adresses: unknown key; did you mean addresses?"),
        (office(consent={"by": "x"}), "enrichments[0].consent.on: missing; add it"),
        (office(consent={"by": "x", "on": "soon"}), "enrichments[0].consent.on: 'soon' is not allowed"),
        (
            office(tolerated_failures=2),
            "enrichments[0].tolerated_failures: 2 is not allowed; allowed: a number from 0",
        ),
        (office(type="outlook"), "enrichments[0].type: 'outlook' is not allowed; allowed: office, leadspace"),
        (office(opt_out={"path": "none.csv"}), "enrichments[0].opt_out.path: 'none.csv' does not exist"),
        (lambda raw: raw["enrichments"][0].pop("type"), "enrichments[0].type: missing"),
        (lambda raw: raw["enrichments"][0].pop("name"), "enrichments[0].name: missing; add it"),
        (lambda raw: raw.update(enrichments=[]), "enrichments: is empty"),
        (lambda raw: raw.pop("customers"), "customers: missing; add it"),
        (lambda raw: raw.update(customer={}), "customer: unknown key; did you mean customers?"),
        (lambda raw: raw["reporting"].update(time_zone="Europe/Berln"), "did you mean Europe/Berlin?"),
        (
            lambda raw: raw["reporting"].update(k=2),
            "reporting.k: 2 is not allowed; allowed: a whole number from 3 to 100",
        ),
        (
            lambda raw: raw["reporting"].update(k="5"),
            "reporting.k: '5' is not allowed; allowed: a whole number",
        ),
        (
            lambda raw: raw["reporting"].update(small_numbers="hide"),
            "reporting.small_numbers: 'hide' is not allowed",
        ),
        (
            lambda raw: raw["reporting"].update(small_numbers="banded"),
            "reporting.small_numbers: 'banded' is not allowed; allowed: show, band",
        ),
        (
            office(domain_matching="on"),
            "enrichments[0].domain_matching: 'on' is not allowed; allowed: true or false",
        ),
        (
            lambda raw: [
                raw["enrichments"][0].update(domain_matching=True),
                raw["customers"]["accounts"].pop("website"),
            ],
            "enrichments[0].domain_matching: needs the accounts' websites; name their column in",
        ),
        (
            lambda raw: raw["customers"]["accounts"].update(path="gone.csv"),
            "customers.accounts.path: 'gone.csv' does",
        ),
        (lambda raw: raw["customers"]["contacts"].pop("email"), "customers.contacts.email: missing"),
        (
            lambda raw: raw["customers"]["contacts"].update(id=7),
            "customers.contacts.id: 7 is not allowed; allowed: text",
        ),
    ],
)
def test_one_line_names_key_value_and_what_is_allowed(
    workspace: Workspace, change: Change, expected: str
) -> None:
    found = findings(workspace, change)
    assert len(found) == 1, found
    assert expected in found[0]
    assert "\n" not in found[0]


def test_all_findings_come_at_once(workspace: Workspace) -> None:
    del workspace.environment["AZURE_CLIENT_ID"], workspace.environment["AZURE_CLIENT_SECRET"]
    workspace.environment["ENGAGEMENT_GRAPH_URL"] = "http://graph.example"

    def change(raw: dict[str, Any]) -> None:
        raw["reporting"]["time_zone"] = "Mars"
        raw["customers"]["accounts"]["path"] = "gone.csv"
        raw["enrichments"].append(
            {**raw["enrichments"][0], "name": "account  engagement!", "output_table": "OFFICE"}
        )
        raw["enrichments"][1]["refresh"] = "never"

    found = "\n".join(findings(workspace, change))
    for said in (
        "reporting.time_zone: 'Mars'",
        "customers.accounts.path: 'gone.csv'",
        "enrichments[1].name: 'account  engagement!' is already taken by enrichments[0]",
        "enrichments[1].output_table: 'OFFICE' is already taken by enrichments[0]",
        "enrichments[1].refresh: 'never'",
        "ENGAGEMENT_GRAPH_URL: not allowed",
        "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH not set; set them",
    ):
        assert said in found
    assert len(found.splitlines()) == 7


@pytest.mark.parametrize(
    "address", ["kim lee@contoso.example", "Kim <kim@contoso.example>", "a@b, c@d", "kim"]
)
def test_a_wrong_address_is_named_by_its_place_only(workspace: Workspace, address: str) -> None:
    [found] = findings(workspace, addresses=["anna@northwind.example", address])
    assert found.startswith("enrichments[0].addresses[1]: ")
    assert address not in found


def test_an_address_listed_twice_is_said_and_allowed(workspace: Workspace) -> None:
    workspace.configure(
        addresses=["anna@northwind.example", "sales@northwind.example", "ANNA@northwind.example"]
    )
    [warning] = workspace.settings().warnings
    assert warning.startswith("enrichments[0].addresses[2]: the same address as addresses[0]")
    assert "anna" not in warning.lower()


def test_a_value_that_may_be_personal_is_not_shown(workspace: Workspace) -> None:
    [found] = findings(workspace, output_table="kim@contoso.example")
    assert "kim@" not in found and "not shown" in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "enrichments.yml line 1: not valid YAML"),
        ("- 1", "enrichments.yml: has no keys"),
        ("a: 1\na: 2", "line 2: key 'a' is given twice"),
        ("a: !!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration(workspace: Workspace, text: str, said: str) -> None:
    (workspace.root / "enrichments.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=said.replace("[", r"\[")):
        workspace.settings()


def test_no_file_at_all(workspace: Workspace) -> None:
    (workspace.root / "enrichments.yml").unlink()
    with pytest.raises(ConfigurationError, match=r"enrichments.yml: no such file; .* ENGAGEMENT_CONFIG"):
        workspace.settings()


def test_secrets_are_needed_only_by_what_will_be_contacted(workspace: Workspace) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del workspace.environment[name]
    assert workspace.settings(services=()).client_secret is None
    workspace.configure(tenant_consent=None)
    assert workspace.settings().tenant_id is None
    workspace.configure(active=False)
    assert workspace.settings().tenant_id is None
    workspace.configure()
    with pytest.raises(ConfigurationError) as caught:
        workspace.settings()
    assert caught.value.findings == (
        "environment: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH"
        " not set; set them to the app registration's values (docs/errors.md)",
    )


def test_an_export_needs_no_secret_of_graph(workspace: Workspace) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del workspace.environment[name]
    workspace.configure(source={"data_connect": "."})
    [(_, enrichment)] = workspace.settings().ready(OfficeEnrichment)
    assert enrichment.export == "."
    workspace.configure(source="graph")
    assert "AZURE_TENANT_ID" in findings(workspace)[0]


LEADSPACE: dict[str, Any] = {
    "type": "leadspace",
    "name": "Firmographics",
    "output_table": "Leadspace",
    "mapping": {"company_name": "name", "website": "website", "country": "country"},
}


def leadspace(**keys: Any) -> Change:
    return lambda raw: raw["enrichments"].append({**LEADSPACE, **keys})


def test_a_leadspace_enrichment_needs_its_token_only_once_it_has_its_consent(workspace: Workspace) -> None:
    workspace.configure(leadspace())
    assert len(list(workspace.settings().enrichments(LeadspaceEnrichment))) == 1
    consent = {"by": "Configurer", "on": date(2026, 1, 5)}
    [found] = findings(workspace, leadspace(consent=consent))
    assert (
        found == "environment: LEADSPACE_TOKEN not set; set it to the perpetual key that Leadspace sent you,"
        " or LEADSPACE_PROGRAM_ID and LEADSPACE_SECRET to its program id and secret"
    )
    workspace.settings(services=("office",))
    workspace.environment["LEADSPACE_TOKEN"] = "a-long-key"
    [(position, enrichment)] = workspace.settings().ready(LeadspaceEnrichment)
    assert (position, enrichment.segment, enrichment.max_age, enrichment.refresh) == (1, None, 90, "weekly")
    assert "a-long-key" not in repr(workspace.settings())
    workspace.environment["LEADSPACE_TOKEN"] = "a-long-key\n"
    assert (
        "LEADSPACE_TOKEN: is too short for a key, or holds a space"
        in findings(workspace, leadspace(consent=consent))[0]
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (leadspace(mapping={"website": "website"}), "enrichments[1].mapping.company_name: missing; add it"),
        (
            leadspace(mapping={"company_name": "name", "city": "city"}),
            "enrichments[1].mapping.city: unknown key; allowed: company_name, website, country",
        ),
        (
            leadspace(mapping={"company_name": "legal_name"}),
            "enrichments[1].mapping.company_name: 'legal_name' is no column that customers.accounts names; allowed:"
            " name, website, country, tier, or add it to customers.accounts.attributes",
        ),
        (
            leadspace(dataset="some"),
            "enrichments[1].dataset: 'some' is not allowed; allowed: customers, or segment:",
        ),
        (
            leadspace(dataset="segment:stael"),
            "enrichments[1].dataset: there is no segment 'stael'; did you mean stale?",
        ),
        (leadspace(max_age="0 days"), "enrichments[1].max_age: '0 days' is not allowed; allowed: 'N days'"),
        (
            leadspace(endpoint="both"),
            "enrichments[1].endpoint: 'both' is not allowed; allowed: automatic, single, bulk",
        ),
        (leadspace(output_table="Office"), "enrichments[1].output_table: 'Office' is already taken"),
        (leadspace(tenant_consent={}), "enrichments[1].tenant_consent: unknown key"),
    ],
)
def test_each_leadspace_finding_names_the_key(workspace: Workspace, change: Change, expected: str) -> None:
    assert any(line.startswith(expected) for line in findings(workspace, change)), findings(workspace, change)


def test_a_mapped_column_may_be_one_of_the_customers_own(workspace: Workspace) -> None:
    workspace.configure(leadspace(mapping={"company_name": "tier"}, dataset="segment:stale"))
    [(_, enrichment)] = workspace.settings().enrichments(LeadspaceEnrichment)
    assert enrichment.segment == "stale"


@pytest.mark.parametrize("name", ["ENGAGEMENT_RETRY_SECONDS", "ENGAGEMENT_WORKERS"])
def test_numbers_of_the_environment(workspace: Workspace, name: str) -> None:
    workspace.environment[name] = "many"
    with pytest.raises(ConfigurationError) as caught:
        workspace.settings()
    assert caught.value.findings[0].startswith(f"{name}: 'many' is not allowed; a number from")


def test_the_project_folder_must_be_one(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(workspace.root)
    with pytest.raises(ConfigurationError) as caught:
        workspace.settings()
    assert "dbt_project.yml" in caught.value.findings[0]


def test_paths_with_a_table_of_a_duckdb_file(workspace: Workspace) -> None:
    source = source_of(workspace.root / "crm.duckdb#main.accounts")
    assert (source.file.name, source.table, source.label) == (
        "crm.duckdb",
        "main.accounts",
        "crm.duckdb#main.accounts",
    )


def test_ids_of_enrichments() -> None:
    assert slug("Account  Engagement (EMEA)") == "account-engagement-emea"


def test_the_example_of_the_project_is_right(workspace: Workspace) -> None:
    path = ROOT / "enrichments.yml"
    if not path.exists():
        pytest.fail("the project has no example enrichments.yml")
    raw = yaml.safe_load(path.read_text("utf-8"))
    office_entries = [entry for entry in raw["enrichments"] if entry["type"] == "office"]
    assert office_entries and OfficeEnrichment.model_validate(office_entries[0])
