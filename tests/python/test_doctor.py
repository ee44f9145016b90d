"""`engagement doctor` over the emulator: what is asked, what is said of each refusal, and that nothing is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conftest import NOW, OURS, SENTINEL, Workspace, emulated, person
from emulators.graph import Handle
from emulators.identifiers import seeded_guid
from emulators.tenant import Group, Tenant
from engagement import doctor

ANNA, EVE = person("anna"), person("eve")
MESSAGES = "enrichments[0] (account-engagement), a page of messages of user "
CALENDAR = "enrichments[0] (account-engagement), a page of the calendar of user "
ROLE = 'New-ManagementRoleAssignment -App "99999999-8888-7777-6666-555555555555" -Role'


def examined(workspace: Workspace, *, code: int) -> dict[str, tuple[str, str]]:
    """By what was asked: result and finding; as --json tells it, and as its lines do."""
    done = workspace.run("doctor", "--json")
    assert done.exit_code == code, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == code
    assert f"@{OURS}" not in done.stdout + done.stderr
    checks = answer["checks"]
    lines = [f"{check['result']}: {check['asked']}: {check['found']}" for check in checks]
    wrong = [line for line in lines if line.startswith((doctor.FAILED, doctor.UNANSWERED))]
    assert answer.get("errors", []) == wrong
    assert bool(wrong) == bool(code)
    assert not workspace.private_file.exists() and not (workspace.root / "data" / "hash_key").exists()
    return {check["asked"]: (check["result"], check["found"]) for check in checks}


def with_state(tenant: Tenant, name: str, state: str) -> None:
    tenant.people = [
        replace(one, mailbox_state=state) if one.id == person(name).id else one for one in tenant.people
    ]


def advice(workspace: Workspace) -> str:
    """What an administrator is told to do."""
    return "\n".join(json.loads(workspace.run("doctor", "--json").stdout)["advice"])


def test_all_is_granted(connected: Workspace, graph: Handle) -> None:
    with_state(graph.tenant, "eve", "denied")
    connected.configure(probe_forbidden=EVE.mail)
    connected.leave_sentinel()
    assert examined(connected, code=0) == {
        f"sign-in as app {graph.tenant.client_id} in tenant {graph.tenant.tenant_id}": (
            "passed",
            "a token was given",
        ),
        "enrichments[0].addresses[0], the person or group with this address": ("passed", "a person"),
        "enrichments[0].addresses[1], the person or group with this address": ("passed", "a group, 3 people"),
        "enrichments[0] (account-engagement), people in all": ("passed", "4 (allowed: 2 to 2,500)"),
        f"{MESSAGES}{ANNA.id}": ("passed", "readable, 3 items of the last 7 days"),
        f"{CALENDAR}{ANNA.id}": ("passed", "readable, 1 item of the last 7 days"),
        f"enrichments[0].probe_forbidden, that mail of user {EVE.id} is refused": ("passed", "refused"),
        f"enrichments[0].probe_forbidden, that calendar of user {EVE.id} is refused": ("passed", "refused"),
    }
    assert connected.published_file.read_bytes() == SENTINEL
    assert [path.name for path in (connected.root / "data").iterdir()] == ["engagement.duckdb"]


def test_one_page_of_one_mailbox_is_read_and_no_more(connected: Workspace, graph: Handle) -> None:
    examined(connected, code=0)
    read = [request for request in graph.requests if request.path.endswith(("/messages", "/calendarView"))]
    assert [request.path for request in read] == [
        f"/v1.0/users/{ANNA.id}/messages",
        f"/v1.0/users/{ANNA.id}/calendarView",
    ]
    assert {request.query["$top"] for request in read} == {str(doctor.ITEMS_ASKED_FOR)}
    assert "subject" not in "".join(request.query["$select"] for request in read)


def test_lines_for_a_person(connected: Workspace) -> None:
    done = connected.run("doctor")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[-2:] == [
        "not asked: enrichments[0].probe_forbidden: not configured; name a mailbox outside of the scope, or"
        " nothing shows that there is one",
        "7 checks: 6 passed, 1 not asked",
    ]
    assert done.stderr == ""


def test_without_both_consents_nothing_is_requested(connected: Workspace, graph: Handle) -> None:
    for missing in ({"consent": None}, {"tenant_consent": None}, {"active": False}):
        connected.configure(**missing)
        done = connected.run("doctor")
        assert done.exit_code == 2
        assert "nothing to do; no office enrichment is active and has its consents" in done.stderr
    assert graph.requests == []


@pytest.mark.parametrize("key", ["addresses", "opt_out"])
def test_a_wrong_list_is_told_before_anything_is_requested(
    connected: Workspace, graph: Handle, key: str
) -> None:
    (connected.root / "list.txt").write_text(f"anna@{OURS}\nnonsense\n")
    wrong: dict[str, Any] = {key: {"path": "list.txt"}}
    connected.configure(**wrong)
    done = connected.run("doctor")
    assert done.exit_code == 2
    assert f"list.txt line 2: not an e-mail address (enrichments[0].{key}.path)" in done.stderr
    assert graph.requests == []


def test_an_address_of_two_people(workspace: Workspace, tenant: Tenant) -> None:
    twice = (f"smtp:shared@{OURS}",)
    tenant.people += [person("fay", proxy_addresses=twice), person("gil", proxy_addresses=twice)]
    workspace.configure(addresses=[f"shared@{OURS}", f"sales@{OURS}"])
    with emulated(tenant, workspace):
        checks = examined(workspace, code=11)
    result, found = checks["enrichments[0].addresses[0], the person or group with this address"]
    assert result == "failed" and "2 people have this address in the directory" in found
    # the others are examined all the same
    assert checks["enrichments[0].addresses[1], the person or group with this address"][0] == "passed"
    assert checks[f"{MESSAGES}{person('ben').id}"][0] == "passed"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AZURE_CLIENT_SECRET", "wrong", "AADSTS7000215; AZURE_CLIENT_SECRET is wrong"),
        ("AZURE_TENANT_ID", "0000", "AADSTS90002; AZURE_TENANT_ID names no tenant"),
        ("AZURE_CLIENT_ID", "0000", "AADSTS700016; AZURE_CLIENT_ID is not known in this tenant"),
    ],
)
def test_a_refused_sign_in_is_a_failed_check(
    connected: Workspace, graph: Handle, variable: str, value: str, said: str
) -> None:
    connected.environment[variable] = value
    sign_in, rest = examined(connected, code=11).items()
    assert sign_in[1][0] == "failed" and said in sign_in[1][1]
    assert rest == ("enrichments[0] (account-engagement)", ("not asked", "nobody is signed in"))
    assert not [request for request in graph.requests if request.path.startswith("/v1.0/")]


def test_an_expired_secret(connected: Workspace, graph: Handle) -> None:
    body = {"error": "invalid_client", "error_description": "AADSTS7000222: x", "error_codes": [7000222]}
    graph.fail("/oauth2/", times=9, status=401, body=body)
    found = next(iter(examined(connected, code=11).values()))
    assert found[0] == "failed" and "AZURE_CLIENT_SECRET has expired; make a new secret" in found[1]


def test_a_new_token_that_is_refused(connected: Workspace, graph: Handle) -> None:
    graph.fail(
        "/v1.0/", times=99, status=401, body={"error": {"code": "InvalidAuthenticationToken", "message": ""}}
    )
    found = examined(connected, code=11)[
        "enrichments[0].addresses[0] and 1 more, the person or group with this address"
    ]
    assert "status 401 InvalidAuthenticationToken to a new token; check that ENGAGEMENT_GRAPH_URL" in found[1]


@pytest.mark.parametrize(
    ("area", "asked", "role", "other"),
    [
        ("messages", MESSAGES, '"Application Mail.ReadBasic"', "Application Calendars.Read"),
        ("calendarView", CALENDAR, '"Application Calendars.Read"', "Application Mail.ReadBasic"),
    ],
)
@pytest.mark.parametrize("code", ["ErrorAccessDenied", "Authorization_RequestDenied", ""])
def test_a_mailbox_that_is_refused(
    connected: Workspace, graph: Handle, area: str, asked: str, role: str, other: str, code: str
) -> None:
    """The code of a 403 differs between Exchange's refusal and Entra's; what is to be granted does not."""
    graph.fail(f"/{area}", times=99, status=403, body={"error": {"code": code, "message": "x"}})
    found = examined(connected, code=11)[f"{asked}{ANNA.id}"]
    assert found[0] == "failed"
    assert found[1].startswith(
        f"status 403{f' {code}' if code else ''}: refused to the app; grant it the role "
    )
    told = advice(connected)
    assert f'{ROLE} {role} -CustomResourceScope "Account engagement"' in told
    assert f'{ROLE} "{other}"' not in told
    assert 'New-ServicePrincipal -AppId "99999999-8888-7777-6666-555555555555" -ObjectId "<object id' in told
    assert (
        'New-ManagementScope -Name "Account engagement" -RecipientRestrictionFilter "MemberOfGroup -eq'
        in told
    )
    assert f'-Identity "99999999-8888-7777-6666-555555555555" -Resource "{ANNA.id}"' in told
    assert "Roles of Exchange and consents in Entra add up" in told
    assert "InScope False: the mailbox is outside the scope" in told


def test_everything_that_is_missing_is_found_at_once(workspace: Workspace, tenant: Tenant) -> None:
    """Without the directory, mail and calendar are asked for by the listed address."""
    with emulated(tenant, workspace, missing_permissions={"user", "group", "mail", "calendar"}):
        checks = examined(workspace, code=11)
        told = advice(workspace)
    failed = [found for result, found in checks.values() if result == "failed"]
    for needed in (
        "the permission User.Read.All with",
        "the permission GroupMember.Read.All with",
        "the role Application Mail.ReadBasic in Exchange",
        "the role Application Calendars.Read in Exchange",
    ):
        assert len([found for found in failed if f" {needed}" in found]) == 1, needed
    assert (
        "Application permissions: add User.Read.All, GroupMember.Read.All; then Grant admin consent" in told
    )
    assert f'{ROLE} "Application Mail.ReadBasic"' in told and f'{ROLE} "Application Calendars.Read"' in told


@pytest.mark.parametrize(
    ("missing", "permission"), [("user", "User.Read.All"), ("group", "GroupMember.Read.All")]
)
def test_a_consent_that_is_missing(
    workspace: Workspace, tenant: Tenant, missing: str, permission: str
) -> None:
    with emulated(tenant, workspace, missing_permissions={missing}):
        checks = examined(workspace, code=11)
        told = advice(workspace)
    assert len([1 for result, found in checks.values() if result == "failed" and permission in found]) == 1
    assert [line for line in told.splitlines() if "Entra" in line] == [
        "To grant in Entra: App registrations, app 99999999-8888-7777-6666-555555555555, API permissions, Microsoft"
        f" Graph, Application permissions: add {permission}; then Grant admin consent."
    ]
    assert "New-ManagementRoleAssignment" not in told


def test_several_enrichments_are_examined_each(connected: Workspace, graph: Handle) -> None:
    """What one is refused does not keep another from being asked about."""
    connected.configure(
        lambda raw: raw["enrichments"].append(
            {**raw["enrichments"][0], "name": "Other", "output_table": "Other", "addresses": [f"emea@{OURS}"]}
        )
    )
    denied = {"error": {"code": "Authorization_RequestDenied", "message": "x"}}
    graph.fail(f"/users/anna@{OURS}", status=403, body=denied)
    checks = examined(connected, code=11)
    assert checks["enrichments[0].addresses[0], the person or group with this address"][0] == "failed"
    assert checks["enrichments[1] (other), people in all"] == ("passed", "2 (allowed: 2 to 2,500)")
    assert checks[f"enrichments[1] (other), a page of messages of user {person('carl').id}"][0] == "passed"


def test_a_group_that_hides_its_members(workspace: Workspace, tenant: Tenant) -> None:
    tenant.groups.append(Group(seeded_guid("h"), f"hidden@{OURS}", "Hidden", ()))
    workspace.configure(addresses=[f"hidden@{OURS}", f"sales@{OURS}"])
    with emulated(tenant, workspace):
        found = examined(workspace, code=11)[
            "enrichments[0].addresses[0], the person or group with this address"
        ]
        assert "add Member.Read.Hidden; then Grant admin consent" in advice(workspace)
    assert (
        found[0] == "failed"
        and "hides its members: then grant the app the permission Member.Read.Hidden" in found[1]
    )


def test_addresses_that_nobody_has_and_too_few_people(connected: Workspace) -> None:
    connected.configure(addresses=[f"nobody@{OURS}", f"anna@{OURS}"])
    checks = examined(connected, code=11)
    assert checks["enrichments[0].addresses[0], the person or group with this address"] == (
        "failed",
        "the directory knows neither; correct the address or remove it",
    )
    assert "resolve to 1 people" in checks["enrichments[0] (account-engagement), people in all"][1]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            "on_premises",
            "status 404 MailboxNotEnabledForRESTAPI: the mailbox is inactive, soft-deleted or on",
        ),
        ("none", "status 404 ErrorInvalidUser: there is no such mailbox: it has no licence"),
    ],
)
def test_a_mailbox_that_is_none_is_told_and_the_next_one_asked(
    workspace: Workspace, tenant: Tenant, state: str, said: str
) -> None:
    with_state(tenant, "anna", state)
    with emulated(tenant, workspace):
        checks = examined(workspace, code=11)
    result, found = checks[f"{MESSAGES}{ANNA.id}"]
    assert result == "failed" and found.startswith(said)
    ben = person("ben").id
    assert checks[f"{MESSAGES}{ben}"][0] == checks[f"{CALENDAR}{ben}"][0] == "passed"


def test_no_more_than_five_mailboxes_are_tried(workspace: Workspace) -> None:
    people = [person(f"p{number}", mailbox_state="on_premises") for number in range(9)]
    group = Group(seeded_guid("all"), f"all@{OURS}", "All", tuple(one.id for one in people))
    workspace.configure(addresses=[f"all@{OURS}"])
    with emulated(Tenant(now=NOW, people=people, groups=[group]), workspace) as handle:
        checks = examined(workspace, code=11)
        assert len([request for request in handle.requests if request.path.endswith("/messages")]) == 5
    assert checks["enrichments[0] (account-engagement), mail and calendar"][0] == "not asked"


@pytest.mark.parametrize(
    ("readable", "revoke"),
    [("mail", "tenant-wide Mail.* consent"), ("calendar", "tenant-wide Calendars.* consent")],
)
def test_a_forbidden_mailbox_that_can_be_read(
    workspace: Workspace, tenant: Tenant, readable: str, revoke: str
) -> None:
    with_state(tenant, "eve", "denied")
    workspace.configure(probe_forbidden=EVE.mail)
    with emulated(tenant, workspace, not_denied={readable}):
        checks = examined(workspace, code=11)
        told = advice(workspace)
    other = {"mail": "calendar", "calendar": "mail"}[readable]
    where = "enrichments[0].probe_forbidden, that"
    assert checks[f"{where} {other} of user {EVE.id} is refused"] == ("passed", "refused")
    result, found = checks[f"{where} {readable} of user {EVE.id} is refused"]
    assert result == "failed" and revoke in found
    assert (
        "Entra: Enterprise applications, app 99999999-8888-7777-6666-555555555555, Permissions: revoke"
        in told
    )
    assert f'-Resource "{EVE.id}"' in told
    assert "Roles of Exchange and consents in Entra add up" in told and "tenant-wide Mail.Read" in told


def _nobody(tenant: Tenant) -> None:
    tenant.people = [one for one in tenant.people if one.id != EVE.id]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_nobody, "the directory knows no person with this address"),
        (
            lambda tenant: with_state(tenant, "eve", "on_premises"),
            "it has no mailbox (on_premises), so it proves",
        ),
        (
            lambda tenant: with_state(tenant, "eve", "none"),
            "it has no mailbox (not_found), so it proves nothing",
        ),
    ],
)
def test_a_forbidden_mailbox_that_proves_nothing(
    workspace: Workspace, tenant: Tenant, change: Callable[[Tenant], Any], said: str
) -> None:
    change(tenant)
    workspace.configure(probe_forbidden=EVE.mail)
    with emulated(tenant, workspace):
        checks = examined(workspace, code=11)
    assert any(result == "failed" and said in found for result, found in checks.values())


def test_a_forbidden_mailbox_of_a_listed_person(connected: Workspace) -> None:
    connected.configure(probe_forbidden=ANNA.mail)
    found = examined(connected, code=11)[f"enrichments[0].probe_forbidden, user {ANNA.id}"]
    assert found[1].startswith("is one of the listed people")


def test_a_service_that_fails_leaves_a_check_unanswered(connected: Workspace, graph: Handle) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    graph.fail("/calendarView", times=99, status=503)
    result, found = examined(connected, code=4)[f"{CALENDAR}{ANNA.id}"]
    assert result == "unanswered" and "failed (status 503)" in found


def test_a_service_that_is_down(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    result, found = next(iter(examined(workspace, code=4).values()))
    assert result == "unanswered" and "failed (no connection)" in found


# --- the same guard in a run


@pytest.mark.parametrize("readable", ["mail", "calendar"])
def test_a_run_stops_where_the_forbidden_mailbox_can_be_read(
    workspace: Workspace, tenant: Tenant, readable: str
) -> None:
    with_state(tenant, "eve", "denied")
    workspace.configure(probe_forbidden=EVE.mail)
    workspace.leave_sentinel()
    with emulated(tenant, workspace, not_denied={readable}) as handle:
        done = workspace.run("run")
        mailboxes = {
            request.path.split("/")[3]
            for request in handle.requests
            if request.path.endswith(("/messages", "/calendarView", "/mailFolders"))
        }
    assert done.exit_code == 2
    assert f"probe_forbidden: the app can read this mailbox though it must not ({readable})" in done.stderr
    # before any other mailbox is opened, and before anything is stored or published
    assert mailboxes == {EVE.id}
    assert workspace.query("from raw.office_messages union all by name from raw.office_meetings") == []
    assert workspace.published_file.read_bytes() == SENTINEL


def test_any_403_refuses_the_forbidden_mailbox(connected: Workspace, graph: Handle) -> None:
    connected.configure(probe_forbidden=EVE.mail)
    body = {"error": {"code": "Authorization_RequestDenied", "message": "x"}}
    graph.fail(f"/users/{EVE.id}/", times=2, status=403, body=body)
    done = connected.run("extract", "office")
    assert done.exit_code == 0, done.stderr


def test_an_export_is_no_reason_to_ask(connected: Workspace, graph: Handle) -> None:
    """Who reads an export needs no permission at Graph, and nobody is asked for him."""
    (connected.root / "export").mkdir()
    connected.configure(source={"data_connect": "export"})
    assert examined(connected, code=0) == {
        "enrichments[0] (account-engagement)": (
            "not asked",
            "it reads an export, and Graph is not asked for it",
        )
    }
    assert graph.requests == []
