"""The Leadspace extraction over real HTTP: every row of the service's error table, odd answers, odd names, kills.

What was paid for is counted on the emulator's side (`service.looked_up`, `service.spent`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click.testing
import pytest
import yaml

from conftest import LEADSPACE_TOKEN, Workspace, write_csv
from emulators.firmographics import Company
from emulators.leadspace import Bulk, Handle, LeadspaceError, Record, running
from engagement.leadspace import dataset, enrich, pace, plan

SINGLE, BULK, RESULTS = "/enrich/single", "/enrich/bulk", "/v3/enrichment/results"
# So many customers go in bulk by themselves.
MANY = enrich.MOST_SINGLES + 1

COMPANIES = [
    Company(
        "Contoso Ltd",
        "contoso.example",
        "Germany",
        industry="Chemicals",
        employees=1200,
        revenue_usd=90_000_000,
    ),
    Company("Fabrikam SA", "fabrikam.example", "France", industry="Foods", employees=80),
    *(
        Company(f"Company {n:04d} Works", f"company{n:04d}.example", "Norway", employees=n)
        for n in range(1200)
    ),
]


# The emulators by their addresses.
SERVICES: dict[str, Handle] = {}


@pytest.fixture(scope="module")
def module_service() -> Iterator[Handle]:
    with running(COMPANIES) as handle:
        SERVICES[handle.url] = handle
        yield handle


@pytest.fixture
def service(module_service: Handle) -> Handle:
    module_service.reset()
    # A poll that says "not yet" costs half a second; those that wait are tested by themselves.
    module_service.switches.polls_before_done = 0
    return module_service


@pytest.fixture
def ready(workspace: Workspace, service: Handle) -> Workspace:
    """Two customers, Contoso and Fabrikam, landed and ready to be asked about."""
    workspace.enrich_companies(service.url)
    workspace.land_customers()
    return workspace


def with_customers(workspace: Workspace, count: int, *, first: int = 0) -> Workspace:
    """So many customers, each with a company of its own behind the emulator."""
    rows = [
        {
            "account_id": f"A{number:04d}",
            "name": f"Company {number:04d} Works",
            "website": f"https://www.company{number:04d}.example",
            "country": "NO",
            "tier": "1",
        }
        for number in range(first, first + count)
    ]
    return with_accounts(workspace, rows)


def with_accounts(workspace: Workspace, rows: Sequence[dict[str, str]]) -> Workspace:
    write_csv(workspace.root / "accounts.csv", rows, ["account_id", "name", "website", "country", "tier"])
    contact = {"contact_id": "C1", "account_id": rows[0]["account_id"], "email": "kim@contoso.example"}
    write_csv(workspace.root / "contacts.csv", [contact])
    workspace.land_customers()
    return workspace


def account(number: int, name: str, website: str = "", country: str = "") -> dict[str, str]:
    return {"account_id": f"A{number}", "name": name, "website": website, "country": country, "tier": "1"}


def extract(workspace: Workspace, *arguments: str, code: int = 0, exact: bool = True) -> click.testing.Result:
    """An extraction that did as was estimated before: no lookup more, and where it ended well and the service refused
    nobody (`exact`) none less; so many credits were spent.
    """
    before = estimate(workspace, *(name for name in arguments if name == "--send-again"), code=None)
    service = SERVICES.get(workspace.environment["ENGAGEMENT_LEADSPACE_URL"])
    spent = 0 if service is None else service.spent
    result = workspace.run("extract", "leadspace", *arguments)
    assert result.exit_code == code, result.stdout + result.stderr
    if code == 0:
        assert before is not None
        if "--json" in arguments:
            lookups = json.loads(result.stdout)["leadspace"]
            sent = sum(one["lookups"] for one in lookups)
        else:
            lines = [line for line in result.stdout.splitlines() if line.startswith("leadspace: ")]
            sent = sum(int(line.split()[1].replace(",", "")) for line in lines)
        assert sent <= before
        if exact:
            assert sent == before
        if service is not None and not service.emulator.faults and service.switches.credits is None:
            assert service.spent - spent == sent
    return result


def estimate(workspace: Workspace, *arguments: str, code: int | None = 0) -> int:
    """The credits that an extraction would spend, by its own word; 0 where there is nothing to estimate."""
    service = SERVICES.get(workspace.environment["ENGAGEMENT_LEADSPACE_URL"])
    asked = 0 if service is None else len(service.requests)
    result = workspace.run("extract", "leadspace", "--estimate", "--json", *arguments)
    assert code is None or result.exit_code == code, result.stdout + result.stderr
    assert service is None or len(service.requests) == asked, "an estimate contacts nobody"
    lookups = json.loads(result.stdout).get("lookups", 0)
    assert isinstance(lookups, int)
    return lookups


def facts(result: click.testing.Result) -> dict[str, Any]:
    [found] = json.loads(result.stdout)["leadspace"]
    assert isinstance(found, dict)
    return found


def outcomes(workspace: Workspace) -> dict[str, int]:
    rows = workspace.query(
        "select outcome, count(*) from raw.leadspace_responses group by outcome order by outcome"
    )
    return dict(rows)


def states(workspace: Workspace) -> list[tuple[str, str]]:
    return [
        (row[0], row[1])
        for row in workspace.query("select endpoint, state from raw.leadspace_batches order by all")
    ]


def one_error_line(result: click.testing.Result) -> str:
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert LEADSPACE_TOKEN not in result.stdout + result.stderr
    return lines[0]


def nobody_paid_twice(service: Handle) -> bool:
    return set(service.looked_up.values()) <= {1}


# --- the two endpoints


def test_few_customers_are_looked_up_one_by_one(ready: Workspace, service: Handle) -> None:
    result = extract(ready)
    assert (
        "leadspace: 2 lookups for 2 customers (company-data), 2 with an answer, 0 of them from before"
        in result.stdout
    )
    assert dict(service.looked_up) == {
        ("Contoso", "https://contoso.example", "DE"): 1,
        ("Fabrikam", "https://fabrikam.example", "FR"): 1,
    }
    assert states(ready) == [("single", "answered")] * 2
    [body] = [
        json.loads(row[0])
        for row in ready.query(
            "select response from raw.leadspace_responses"
            " join raw.leadspace_accounts using (enrichment_id, fingerprint) where account_id = 'A1'"
        )
    ]
    assert body["data"]["company"]["name"] == "Contoso Ltd"
    assert body["data"]["company"]["matching_confidence"]["level"] == "HIGH"


def test_an_answer_is_kept_as_it_was_received(ready: Workspace, service: Handle) -> None:
    service.switches.extra_unknown_fields = True
    extract(ready)
    sent = [row[0] for row in ready.query("select response from raw.leadspace_responses")]
    assert all('"emulator_unknown":' in text for text in sent)


def test_many_customers_go_in_bulks_of_at_most_500(ready: Workspace, service: Handle) -> None:
    with_customers(ready, 1001)
    result = extract(ready, "--json")
    assert sorted(size for _, size in service.bulks) == [1, 500, 500]
    assert (facts(result)["lookups"], facts(result)["answered"], service.spent) == (1001, 1001, 1001)
    assert nobody_paid_twice(service)
    assert ready.query("select count(distinct results_path) from raw.leadspace_batches") == [(3,)]
    assert outcomes(ready) == {"result": 1001}


@pytest.mark.parametrize(("endpoint", "count", "expected"), [("single", MANY, "single"), ("bulk", 2, "bulk")])
def test_the_endpoint_can_be_chosen(
    ready: Workspace, service: Handle, endpoint: str, count: int, expected: str
) -> None:
    ready.enrich_companies(service.url, endpoint=endpoint)
    with_customers(ready, count)
    extract(ready)
    assert {name for name, _ in states(ready)} == {expected}


@pytest.mark.parametrize(("count", "expected"), [(MANY - 1, "single"), (MANY, "bulk")])
def test_by_itself_it_goes_by_the_number(ready: Workspace, count: int, expected: str) -> None:
    with_customers(ready, count)
    extract(ready)
    assert {name for name, _ in states(ready)} == {expected}


def test_results_are_polled_for_until_they_are_there(ready: Workspace, service: Handle) -> None:
    service.switches.polls_before_done = 2
    with_customers(ready, MANY)
    extract(ready)
    assert [(r.method, r.status) for r in service.requests] == [
        ("POST", 202), ("GET", 204), ("GET", 204), ("GET", 200),
    ]  # fmt: skip


def test_results_that_are_not_ready_are_left_for_the_next_run(ready: Workspace, service: Handle) -> None:
    ready.environment["ENGAGEMENT_LEADSPACE_WAIT_SECONDS"] = "0"
    service.switches.polls_before_done = 3
    with_customers(ready, MANY)
    result = extract(ready)
    assert f"{MANY} customers whose results are not ready yet; the next run fetches them" in result.stderr
    assert states(ready) == [("bulk", "submitted")]
    service.switches.polls_before_done = 0
    service.emulator.bulks[service.bulks[0][0]].polls_left = 0
    found = facts(extract(ready, "--json"))
    assert (found["lookups"], found["answered"], found["waiting"]) == (0, MANY, 0)
    assert nobody_paid_twice(service)


def one_that_never_is_ready(workspace: Workspace, service: Handle) -> None:
    """Three bulks, the first of which is never ready."""
    with_customers(workspace, 1200)
    workspace.environment["ENGAGEMENT_LEADSPACE_WAIT_SECONDS"] = "0"
    service.switches.polls_before_done = 10**6
    extract(workspace)
    for bulk_id, _ in service.bulks[1:]:
        service.emulator.bulks[bulk_id].polls_left = 0


def test_a_bulk_that_never_is_ready_keeps_no_other_back(ready: Workspace, service: Handle) -> None:
    one_that_never_is_ready(ready, service)
    found = facts(extract(ready, "--json"))
    assert (found["answered"], found["waiting"]) == (700, 500)
    # after a week it is given up, and its customers are held
    age(ready, 8)
    found = facts(extract(ready, "--json"))
    assert (found["answered"], found["waiting"], found["held"]) == (700, 0, 500)
    assert nobody_paid_twice(service)


def test_a_bulk_that_cannot_be_fetched_keeps_no_other_back(ready: Workspace, service: Handle) -> None:
    one_that_never_is_ready(ready, service)
    ready.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    service.fail(f"{RESULTS}/{service.bulks[0][0]}", times=10**6, status=500)
    assert "failed (status 500)" in one_error_line(extract(ready, code=4))
    assert outcomes(ready) == {"result": 700}
    assert nobody_paid_twice(service)
    service.switches.polls_before_done = 0
    assert facts(extract(ready, "--send-again", "--json"))["answered"] == 1200


def test_send_again_fetches_what_is_there_before_it_gives_it_up(ready: Workspace, service: Handle) -> None:
    one_that_never_is_ready(ready, service)
    service.emulator.bulks[service.bulks[0][0]].polls_left = 0
    found = facts(extract(ready, "--send-again", "--json", exact=False))
    assert (found["answered"], found["lookups"]) == (1200, 0)
    assert nobody_paid_twice(service)


def test_singles_keep_to_the_documented_rate(ready: Workspace, service: Handle) -> None:
    ready.enrich_companies(service.url, endpoint="single")
    with_customers(ready, 45)
    began = time.monotonic()
    extract(ready)
    assert time.monotonic() - began >= pace.WINDOW_SECONDS
    # A machine that is busy counts a call with those after it; more than one would be no accident.
    assert [r.status for r in service.requests].count(429) <= 1
    assert {r.status for r in service.requests} <= {200, 429}


# --- what is asked, and what is not


def test_a_young_answer_is_not_asked_for_again(ready: Workspace, service: Handle) -> None:
    extract(ready)
    result = facts(extract(ready, "--json"))
    assert (result["lookups"], result["current"], result["answered"]) == (0, 2, 2)
    assert service.spent == 2


@pytest.mark.parametrize(("age_days", "lookups"), [(89, 0), (91, 2)])
def test_an_old_answer_is(ready: Workspace, service: Handle, age_days: int, lookups: int) -> None:
    extract(ready)
    age(ready, age_days)
    assert facts(extract(ready, "--json"))["lookups"] == lookups


def age(workspace: Workspace, days: int) -> None:
    import duckdb

    with duckdb.connect(str(workspace.private_file)) as connection:
        connection.execute(
            f"update raw.leadspace_responses set received_at = received_at - interval {days} day"
        )
        connection.execute(f"update raw.leadspace_batches set sent_at = sent_at - interval {days} day")


def test_a_customer_whose_data_changed_is_asked_about_again(ready: Workspace, service: Handle) -> None:
    extract(ready)
    with_accounts(
        ready,
        [
            account(1, "Contoso", "https://contoso.example", "DE"),
            account(2, "Fabrikam Foods", "https://fabrikam.example", "FR"),
        ],
    )
    assert facts(extract(ready, "--json"))["lookups"] == 1
    assert service.looked_up[("Fabrikam Foods", "https://fabrikam.example", "FR")] == 1


def test_no_match_is_an_answer_too(ready: Workspace, service: Handle) -> None:
    with_accounts(ready, [account(1, "Nobody Knows Them")])
    result = facts(extract(ready, "--json"))
    assert (result["answers"], result["warnings"]) == (1, [])
    extract(ready)
    assert service.spent == 1


def test_duplicate_customers_cost_one_lookup(ready: Workspace, service: Handle) -> None:
    with_accounts(
        ready,
        [
            account(1, "Contoso", "https://contoso.example", "DE"),
            account(2, " Contoso  ", "https://contoso.example", "DE"),
            account(3, "Contoso", "https://contoso.example", "FR"),
        ],
    )
    result = facts(extract(ready, "--json"))
    assert (result["customers"], result["lookups"], result["answered"]) == (3, 2, 3)


def test_the_customers_of_a_segment_alone(ready: Workspace, service: Handle) -> None:
    import duckdb

    ready.enrich_companies(service.url, dataset="segment:stale")
    line = one_error_line(extract(ready, code=2))
    assert "enrichments[0] (company-data): segment stale is not published yet" in line
    with duckdb.connect(str(ready.published_file)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.other as select 1 as one")
    assert "not published yet in engagement.duckdb" in one_error_line(extract(ready, code=2))
    with duckdb.connect(str(ready.published_file)) as connection:
        # two enrichments may each find an account stale, and one may have left the customer file
        connection.execute(
            "create table marts.segments as select 'stale' as segment_id;"
            "create table marts.segment_members as select unnest(['stale', 'stale', 'stale', 'rising']) as segment_id,"
            " unnest(['sales', 'service', 'sales', 'sales']) as enrichment_id,"
            " unnest(['A2', 'A2', 'A9', 'A1']) as account_id"
        )
    assert service.requests == []
    result = facts(extract(ready, "--json"))
    assert (result["customers"], result["lookups"]) == (1, 1)
    assert [name for name, _, _ in service.looked_up] == ["Fabrikam"]


def test_a_segment_in_a_published_file_that_cannot_be_read(ready: Workspace, service: Handle) -> None:
    ready.enrich_companies(service.url, dataset="segment:stale")
    ready.published_file.write_bytes(b"no database")
    line = one_error_line(extract(ready, code=2))
    assert "engagement.duckdb cannot be read" in line and "`engagement publish` makes it anew" in line


def test_without_landed_customers_nothing_is_asked(workspace: Workspace, service: Handle) -> None:
    workspace.enrich_companies(service.url)
    assert "run `engagement extract customers` first" in one_error_line(extract(workspace, code=2))
    assert service.requests == []


def test_without_consent_nothing_leaves(ready: Workspace, service: Handle) -> None:
    ready.enrich_companies(service.url, consent=None)
    result = extract(ready, code=2)
    assert "no leadspace enrichment is active and has its consents" in result.stderr
    assert "enrichments[0] (company-data): waits for consent (consent was withdrawn)" in result.stderr
    ready.enrich_companies(service.url, active=False)
    extract(ready, code=2)
    assert service.requests == []


# --- the service's error table


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("count", [2, MANY])
def test_a_wrong_token_ends_it_at_once(ready: Workspace, service: Handle, status: int, count: int) -> None:
    with_customers(ready, count)
    if status == 401:
        ready.environment["LEADSPACE_TOKEN"] = "another-token"
    else:
        service.fail(status=403, times=100)
    result = extract(ready, code=3)
    assert f"answered status {status}; LEADSPACE_TOKEN is wrong or has expired" in one_error_line(result)
    assert "another-token" not in result.stderr
    assert len(service.requests) == 1
    assert ready.query("select count(*) from raw.leadspace_responses") == [(0,)]
    # Nothing was looked up, so nobody is held.
    ready.environment["LEADSPACE_TOKEN"] = LEADSPACE_TOKEN
    service.emulator.faults.clear()
    assert facts(extract(ready, "--json"))["lookups"] == count


@pytest.mark.parametrize("count", [2, MANY])
def test_used_up_credits_end_it_with_a_plain_word(ready: Workspace, service: Handle, count: int) -> None:
    with_customers(ready, count)
    service.switches.credits = 0
    line = one_error_line(extract(ready, code=10))
    assert "answered status 427: the credits of your Leadspace program are used up" in line
    assert len(service.requests) == 1
    assert ready.query("select state, detail from raw.enrichment_runs") == []
    service.switches.credits = None
    assert facts(extract(ready, "--json"))["answered"] == count
    assert ready.query("select state from raw.enrichment_runs order by started_at") == [
        ("failed",),
        ("successful",),
    ]


def test_credits_used_up_on_the_way_keep_what_was_answered(ready: Workspace, service: Handle) -> None:
    service.switches.credits = 1
    extract(ready, code=10)
    assert outcomes(ready) == {"result": 1}
    service.switches.credits = None
    assert facts(extract(ready, "--json"))["lookups"] == 1
    assert nobody_paid_twice(service)


def test_a_bulk_that_ran_out_of_credits_is_held(ready: Workspace, service: Handle) -> None:
    """What polling answers then is not documented; here 427."""
    with_customers(ready, MANY)
    service.switches.credits = 3
    service.switches.insufficient = "accept"
    assert "status 427" in one_error_line(extract(ready, code=10))
    assert states(ready) == [("bulk", "lost")]
    service.switches.credits = None
    result = extract(ready)
    assert f"company-data: {MANY} customers held: a request of theirs may have been charged" in result.stderr
    assert facts(extract(ready, "--send-again", "--json"))["answered"] == MANY


@pytest.mark.parametrize("status", [502, 504])
@pytest.mark.parametrize(("path", "count"), [(SINGLE, 1), (BULK, MANY)])
def test_a_gateway_that_gives_up_may_have_let_the_request_through(
    ready: Workspace, service: Handle, status: int, path: str, count: int
) -> None:
    with_customers(ready, count)
    service.fail(path, status=status, body=b"<html>gateway</html>", after=True)
    assert f"was lost (status {status}) and may have been charged" in one_error_line(extract(ready, code=4))
    assert facts(extract(ready, "--json"))["held"] == count
    assert nobody_paid_twice(service)


def test_customers_without_a_result_in_a_finished_bulk_are_asked_about_again(
    ready: Workspace, service: Handle
) -> None:
    with_customers(ready, MANY)
    service.switches.credits = 5
    service.switches.insufficient = "partial"
    result = extract(ready)
    assert (
        f"{MANY - 5} customers without a result in a finished answer; the next run asks again"
        in result.stderr
    )
    service.switches.credits = None
    assert facts(extract(ready, "--json"))["lookups"] == MANY - 5
    assert nobody_paid_twice(service)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("path", [SINGLE, BULK, RESULTS])
def test_a_passing_fault_is_repeated(ready: Workspace, service: Handle, status: int, path: str) -> None:
    with_customers(ready, 1 if path == SINGLE else MANY)
    service.fail(path, status=status, headers={"Retry-After": "0"})
    extract(ready)
    assert [r.status for r in service.requests].count(status) == 1
    assert nobody_paid_twice(service)


@pytest.mark.parametrize("path", [SINGLE, BULK, RESULTS])
def test_a_service_that_fails_on_is_given_up(ready: Workspace, service: Handle, path: str) -> None:
    ready.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    with_customers(ready, 2 if path == SINGLE else MANY)
    service.fail(path, times=1000, status=503)
    line = one_error_line(extract(ready, code=4))
    assert "failed (status 503) after 1 attempts; run again later, what was answered is kept" in line
    service.emulator.faults.clear()
    extract(ready)
    assert nobody_paid_twice(service)
    assert ready.query(
        "select count(*) from raw.leadspace_accounts"
        " anti join raw.leadspace_responses using (enrichment_id, fingerprint)"
    ) == [(0,)]


def test_a_service_that_is_down(ready: Workspace) -> None:
    ready.environment |= {"ENGAGEMENT_LEADSPACE_URL": "http://127.0.0.1:9", "ENGAGEMENT_RETRY_SECONDS": "0"}
    line = one_error_line(extract(ready, code=4))
    assert "Leadspace: POST /enrichment/enrich/single failed (no connection) after 1 attempts" in line
    # It was never reached, so nobody is held.
    assert {state for _, state in states(ready)} == {"refused"}


@pytest.mark.parametrize(
    ("status", "hint"), [(404, "check ENGAGEMENT_LEADSPACE_URL"), (302, "check ENGAGEMENT_")]
)
def test_a_wrong_address(ready: Workspace, service: Handle, status: int, hint: str) -> None:
    service.fail(SINGLE, times=9, status=status, headers={"location": "https://elsewhere.example/"})
    line = one_error_line(extract(ready, code=4))
    assert f"answered status {status}; {hint}" in line
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [405, 415, 418])
def test_what_no_repetition_mends(ready: Workspace, service: Handle, status: int) -> None:
    service.fail(SINGLE, times=9, status=status)
    assert f"answered status {status}; this is no passing fault" in one_error_line(extract(ready, code=4))
    assert len(service.requests) == 1


def test_results_that_are_gone_hold_their_customers(ready: Workspace, service: Handle) -> None:
    with_customers(ready, MANY)
    service.switches.results_kept = 0
    result = extract(ready)
    assert f"the results of {MANY} customers are gone (status 404)" in result.stderr
    assert states(ready) == [("bulk", "lost")]
    service.switches.results_kept = None
    assert facts(extract(ready, "--json"))["lookups"] == 0
    assert nobody_paid_twice(service)
    assert facts(extract(ready, "--send-again", "--json"))["answered"] == MANY
    assert facts(extract(ready, "--json"))["held"] == 0


@pytest.mark.parametrize("where", ["top", "data", "flat"])
def test_an_internal_error_on_a_record_is_asked_about_by_the_next_run(
    ready: Workspace, service: Handle, where: str
) -> None:
    service.switches.failing = {"Contoso": 1100}
    service.switches.failing_where = where  # type: ignore[assignment]
    service.switches.failing_times = 1
    result = facts(extract(ready, "--json"))
    assert (result["answered"], result["failed"]) == (1, 1)
    result = facts(extract(ready, "--json"))
    assert (result["answered"], result["failed"]) == (2, 0)
    assert outcomes(ready) == {"failed": 1, "result": 2}


@pytest.mark.parametrize("count", [2, MANY])
def test_a_record_that_fails_on_is_left_to_the_next_run(
    ready: Workspace, service: Handle, count: int
) -> None:
    with_customers(ready, count)
    service.switches.failing = {"Company 0001": 1100}
    result = extract(ready)
    assert "company-data: 1 customer that the service failed on; the next run asks again" in result.stderr
    # What a run spends is what was estimated: it asks about nobody twice.
    assert service.looked_up[("Company 0001 Works", "https://www.company0001.example", "NO")] == 1
    service.switches.failing = {}
    assert facts(extract(ready, "--json"))["answered"] == count
    assert sorted(set(service.looked_up.values())) == [1, 2]


@pytest.mark.parametrize("status", ["failure", "Invalid Input"])
@pytest.mark.parametrize("where", ["top", "data", "flat"])
def test_invalid_input_on_a_record_is_not_repeated(
    ready: Workspace, service: Handle, where: str, status: str
) -> None:
    service.switches.failing = {"Contoso": 1200}
    service.switches.failing_where = where  # type: ignore[assignment]
    service.switches.failing_status = status
    result = extract(ready)
    assert (
        "1 customer refused as invalid input; correct their data, then they are sent again" in result.stderr
    )
    extract(ready)
    assert service.spent == 2
    assert outcomes(ready) == {"invalid": 1, "result": 1}


def test_a_single_that_is_refused_is_invalid(ready: Workspace, service: Handle) -> None:
    service.fail(SINGLE, status=400)
    result = facts(extract(ready, "--json", exact=False))
    assert (result["invalid"], result["answered"], result["lookups"]) == (1, 1, 1)
    assert facts(extract(ready, "--json"))["lookups"] == 0


@contextlib.contextmanager
def refusing(service: Handle, names_before: str) -> Iterator[None]:
    """Bulks with a record whose name lies before that one are refused as unreadable."""
    emulator = service.emulator
    accept = emulator.accept

    def picky(records: list[Record]) -> Bulk:
        if any(record.name < names_before for record in records):
            raise LeadspaceError(400, "Invalid input", "A record is not readable.")
        return accept(records)

    emulator.accept = picky  # type: ignore[method-assign]
    try:
        yield
    finally:
        emulator.accept = accept  # type: ignore[method-assign]


def test_a_bulk_that_is_refused_is_halved_until_the_bad_record_stands_alone(
    ready: Workspace, service: Handle
) -> None:
    with_customers(ready, MANY)
    with refusing(service, "Company 0001"):
        result = facts(extract(ready, "--json", exact=False))
    assert (result["invalid"], result["answered"], result["lookups"]) == (1, MANY - 1, MANY - 1)
    assert nobody_paid_twice(service)
    assert sorted(size for _, size in service.bulks) == [1, 3, 5, 11]


def test_bad_customers_at_the_front_stop_nobody_behind_them(ready: Workspace, service: Handle) -> None:
    with_customers(ready, 300)
    with refusing(service, "Company 0003"):
        result = facts(extract(ready, "--json", exact=False))
        assert (result["invalid"], result["answered"]) == (3, 297)
        assert facts(extract(ready, "--json"))["lookups"] == 0
    assert outcomes(ready) == {"invalid": 3, "result": 297}


def test_one_bad_customer_among_answered_ones_is_sent_once(ready: Workspace, service: Handle) -> None:
    extract(ready)
    with_accounts(ready, [account(1, "Contoso", "https://contoso.example", "DE"), account(3, "Bad")])
    service.fail(SINGLE, times=9, status=400)
    extract(ready, exact=False)
    extract(ready)
    assert [r.status for r in service.requests].count(400) == 1


def test_two_enrichments_and_a_new_name_pay_once(ready: Workspace, service: Handle) -> None:
    extract(ready)
    entry = {
        "type": "leadspace",
        "output_table": "Other",
        "mapping": {"company_name": "name", "website": "website", "country": "country"},
    }

    def add(raw: dict[str, Any]) -> None:
        first = raw["enrichments"][0]
        first["name"] = "Another name"
        raw["enrichments"].append({**entry, "name": "Second", "consent": first["consent"]})

    configuration = ready.root / "enrichments.yml"
    raw = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    add(raw)
    configuration.write_text(yaml.safe_dump(raw), encoding="utf-8")
    found = json.loads(extract(ready, "--json").stdout)["leadspace"]
    assert [(one["enrichment_id"], one["lookups"], one["answered"]) for one in found] == [
        ("another-name", 0, 2),
        ("second", 0, 2),
    ]
    assert service.spent == 2


def test_after_four_failures_a_record_is_left_alone(ready: Workspace, service: Handle) -> None:
    service.switches.failing = {"Contoso": 1100}
    for _ in range(plan.MOST_FAILURES):
        extract(ready)
    result = extract(ready)
    assert "company-data: 1 customer that the service failed on 4 times" in result.stderr
    assert service.looked_up[("Contoso", "https://contoso.example", "DE")] == 4
    service.switches.failing = {}
    assert facts(extract(ready, "--send-again", "--json"))["answered"] == 2


def test_a_service_that_refuses_everything_is_no_customers_fault(ready: Workspace, service: Handle) -> None:
    with_customers(ready, 100)
    service.fail(BULK, times=1000, status=400)
    line = one_error_line(extract(ready, code=4))
    assert "refuses every request as unreadable (status 400)" in line
    assert len(service.requests) == enrich.MOST_REFUSALS
    service.emulator.faults.clear()
    assert facts(extract(ready, "--json"))["answered"] == 100


# --- answers of another shape


@pytest.mark.parametrize("kind", ["truncated_json", "html", "cut_connection", "reset"])
def test_an_answer_cut_short_is_asked_for_again_where_that_costs_nothing(
    ready: Workspace, service: Handle, kind: Any
) -> None:
    with_customers(ready, MANY)
    service.fail(RESULTS, kind=kind)
    assert facts(extract(ready, "--json"))["answered"] == MANY
    assert nobody_paid_twice(service)


@pytest.mark.parametrize("kind", ["truncated_json", "html", "cut_connection", "reset"])
@pytest.mark.parametrize(("path", "count", "held"), [(SINGLE, 2, 1), (BULK, MANY, MANY)])
@pytest.mark.long
def test_a_lost_answer_holds_its_customers(
    ready: Workspace, service: Handle, kind: Any, path: str, count: int, held: int
) -> None:
    with_customers(ready, count)
    service.fail(path, kind=kind, after=kind != "reset")
    line = one_error_line(extract(ready, code=4))
    assert f"the answer to {held} customer" in line and "may have been charged" in line
    assert ("single" if path == SINGLE else "bulk", "uncertain") in states(ready)
    result = extract(ready)
    assert f"company-data: {held} customer" in result.stderr and "--send-again" in result.stderr
    assert nobody_paid_twice(service)
    assert facts(extract(ready, "--send-again", "--json"))["answered"] == count


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"{}", b'{"results": {}}', b'{"results": "none"}', b"null", b"7", b'"text"', b"\xff\xfe", b"",
        b'{"results": [{}',
    ],
)  # fmt: skip
def test_results_of_another_shape_are_not_stored(ready: Workspace, service: Handle, body: bytes) -> None:
    ready.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    with_customers(ready, MANY)
    service.fail(RESULTS, times=50, status=200, body=body or b" ")
    assert "an answer that is not the expected JSON" in one_error_line(extract(ready, code=4))
    assert ready.query("select count(*) from raw.leadspace_responses") == [(0,)]
    service.emulator.faults.clear()
    assert facts(extract(ready, "--json"))["answered"] == MANY
    assert nobody_paid_twice(service)


@pytest.mark.parametrize(
    "result",
    [
        {"status": "success"},
        {"status": "success", "data": None},
        {"status": "success", "data": []},
        {"status": "success", "data": {"enrichment_status": 5}},
        {"status": "success", "data": {"enrichment_status": "Company Enriched", "company": "Contoso"}},
        {"external_id": 5, "data": {"enrichment_status": "Company Enriched"}},
        [],
        None,
        "text",
    ],
)
def test_a_single_result_of_another_shape_is_not_stored(
    ready: Workspace, service: Handle, result: Any
) -> None:
    body = json.dumps({"results": [result]}).encode()
    with_customers(ready, MANY)
    service.fail(RESULTS, status=200, body=body)
    said = extract(ready)
    assert "company-data: 1 result of another shape; not stored" in said.stderr
    assert ready.query("select count(*) from raw.leadspace_responses") == [(0,)]


def test_results_for_customers_that_were_never_sent_are_not_stored(ready: Workspace, service: Handle) -> None:
    service.switches.foreign_result = True
    service.switches.duplicate_results = True
    with_customers(ready, MANY)
    said = extract(ready)
    assert f"company-data: {MANY + 1} results for a customer that was not sent; not stored" in said.stderr
    assert outcomes(ready) == {"result": MANY}
    assert ready.query("select count(*) from raw.leadspace_responses where response like '%foreign-%'") == [
        (0,)
    ]


def test_a_single_answer_for_somebody_else_is_not_stored(ready: Workspace, service: Handle) -> None:
    stranger = {"status": "success", "external_id": "x", "data": {"enrichment_status": "Company Enriched"}}
    service.fail(SINGLE, status=200, body=stranger)
    said = extract(ready)
    assert "1 result for a customer that was not sent; not stored" in said.stderr
    assert "1 customer held" in said.stderr
    assert outcomes(ready) == {"result": 1}


def test_a_single_answer_need_not_repeat_our_id_but_a_bulk_has_to(ready: Workspace, service: Handle) -> None:
    service.switches.echo_external_id = False
    assert facts(extract(ready, "--json"))["answered"] == 2
    with_customers(ready, MANY)
    said = extract(ready)
    assert f"{MANY} results for a customer that was not sent; not stored" in said.stderr
    assert f"{MANY} customers held" in said.stderr, "they were paid for"
    extract(ready)
    assert outcomes(ready) == {"result": 2}
    assert nobody_paid_twice(service)


def test_our_ids_are_known_in_any_case(ready: Workspace, service: Handle) -> None:
    with_customers(ready, MANY)
    sent = ready.query("select fingerprint from raw.leadspace_accounts")
    assert sent == []
    service.switches.polls_before_done = 10**6
    ready.environment["ENGAGEMENT_LEADSPACE_WAIT_SECONDS"] = "0"
    extract(ready)
    results = [
        {"status": "success", "external_id": row[0].upper(), "data": {"enrichment_status": "Not Enriched"}}
        for row in ready.query("select fingerprint from raw.leadspace_accounts")
    ]
    service.fail(RESULTS, status=200, body={"results": results})
    assert facts(extract(ready, "--json"))["answered"] == MANY


def test_no_word_about_what_was_enriched_is_an_answer_too(ready: Workspace, service: Handle) -> None:
    service.fail(SINGLE, times=2, status=200, body={"status": "success", "data": {}})
    assert facts(extract(ready, "--json"))["answered"] == 2
    assert outcomes(ready) == {"result": 2}


@pytest.mark.parametrize(
    ("link", "is_followed"),
    [
        ("/v3/enrichment/results/{id}", True),
        ("{id}", True),
        ("{url}/v3/enrichment/results/{id}", True),
        ("https://elsewhere.example/v3/enrichment/results/{id}", False),
        ("//elsewhere.example/{id}", False),
        ("http://[", False),
        ("", False),
        ("/", False),
        ("/\x01", False),
        ("/v3/enrichment/results/" + "x" * 70_000, False),
        ("/v3/enrichment/results/{id}?page=1", True),
    ],
)
def test_the_token_goes_to_no_other_host(
    ready: Workspace, service: Handle, link: str, is_followed: bool
) -> None:
    """The real bulk is made by a first extraction, whose results the link of the second leads to."""
    with_customers(ready, MANY)
    extract(ready)
    [(bulk_id, _)] = service.bulks
    age(ready, 91)
    service.fail(BULK, status=202, body={"id": link.format(id=bulk_id, url=service.url)})
    result = extract(ready, code=0 if is_followed else 4)
    if not is_followed:
        assert "may have been charged" in one_error_line(result)


@pytest.mark.parametrize("naming", ["v3", "v4"])
@pytest.mark.parametrize("missing", ["absent", "null", "empty"])
@pytest.mark.parametrize("case", ["lower", "title", "upper"])
def test_every_way_to_write_the_same_is_accepted(
    ready: Workspace, service: Handle, naming: Any, missing: Any, case: Any
) -> None:
    for name, value in {
        "naming": naming, "missing": missing, "status_case": case, "level_case": case,
        "numbers_as_text": case == "upper", "unmatched_content": "original_name", "extra_unknown_fields": True,
    }.items():  # fmt: skip
        setattr(service.switches, name, value)
    assert facts(extract(ready, "--json"))["answered"] == 2


# --- names that nobody expects

ODD_NAMES = [
    'O\'Brien & Söhne "GmbH"',
    "Robert'); drop table raw.accounts; --",
    "{{ ref('accounts') }} {% raw %}",
    "${jndi:ldap://x}",
    "%s %d {0}",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "株式会社コントソ",
    "ذ شركة",
    "\u202eevil\u202c",
    "🏭 Works",
    "=cmd|' /C calc'!A0",
    "null",
    "a" * dataset.LONGEST_TEXT,
]


def test_odd_names_are_sent_as_they_are(ready: Workspace, service: Handle) -> None:
    with_accounts(ready, [account(number, name) for number, name in enumerate(ODD_NAMES)])
    result = facts(extract(ready, "--json"))
    assert (result["lookups"], result["answered"]) == (len(ODD_NAMES), len(ODD_NAMES))
    assert {name for name, _, _ in service.looked_up} == set(ODD_NAMES)
    assert ready.query("select count(*) from raw.accounts") == [(len(ODD_NAMES),)]


def test_control_characters_and_runs_of_blanks_become_one_blank(ready: Workspace, service: Handle) -> None:
    with_accounts(
        ready,
        [account(1, "Con\ttoso\x00\x07\x1b Ltd\r\n  of\x85Kiel", "\thttps://contoso.example\n", "D\tE")],
    )
    extract(ready)
    assert list(service.looked_up) == [("Con toso Ltd of Kiel", "https://contoso.example", "D E")]


def test_what_cannot_be_sent_is_reported_and_not_sent(ready: Workspace, service: Handle) -> None:
    rows = [
        account(1, ""),
        account(2, "   "),
        account(3, "---"),
        account(4, "\x01\x02"),
        account(5, "a" * 10_000),
        account(6, "b" * (dataset.LONGEST_TEXT + 1)),
        account(7, "Contoso", "https://contoso.example/" + "x" * 10_000, "DE"),
    ]
    with_accounts(ready, rows)
    result = extract(ready)
    assert "company-data: 4 customers without a name; not sent, name them" in result.stderr
    assert (
        "company-data: 2 customers with a name of more than 300 characters; not sent, shorten it"
        in result.stderr
    )
    assert "company-data: 1 customer with a website or country of more than 300 characters" in result.stderr
    assert list(service.looked_up) == [("Contoso", "", "DE")]
    assert ready.query(
        "select not_sent_reason, count(*) from raw.leadspace_accounts group by all order by all"
    ) == [("name_too_long", 2), ("no_name", 4), (None, 1)]
    assert ready.query("select state from raw.enrichment_runs") == [("completed_with_warnings",)]


# --- kills


def killed_when(workspace: Workspace, service: Handle, condition: Any, *arguments: str) -> None:
    """Start the extraction and kill it as soon as the condition holds."""
    process = workspace.start("extract", "leadspace", *arguments)
    deadline = time.monotonic() + 30
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def settle(workspace: Workspace, service: Handle, customers: int, *, held: int) -> None:
    """A clean run asks about everybody else; and at a person's word about those that are held, at last about nobody."""
    assert nobody_paid_twice(service)
    result = facts(extract(workspace, "--json"))
    assert nobody_paid_twice(service), "a customer was sent twice"
    assert (result["held"], result["answered"]) == (held, customers - held)
    if held:
        result = facts(extract(workspace, "--send-again", "--json"))
        assert (result["answered"], result["lookups"]) == (customers, held)
    assert facts(extract(workspace, "--json"))["lookups"] == 0
    assert outcomes(workspace) == {"result": customers}


@pytest.mark.faults
def test_killed_after_a_bulk_was_accepted_and_before_its_id_was_known(
    ready: Workspace, service: Handle
) -> None:
    with_customers(ready, 600)
    service.switches.hold_after_accept = 5.0
    killed_when(ready, service, lambda: service.bulks)
    service.switches.hold_after_accept = 0.0
    assert states(ready) == [("bulk", "sending")]
    settle(ready, service, 600, held=500)


@pytest.mark.faults
def test_killed_while_waiting_for_results(ready: Workspace, service: Handle) -> None:
    with_customers(ready, 600)
    service.switches.polls_before_done = 10**6
    killed_when(ready, service, lambda: sum(r.method == "GET" for r in service.requests) >= 2)
    assert states(ready) == [("bulk", "submitted")] * 2
    for bulk in service.emulator.bulks.values():
        bulk.polls_left = 0
    settle(ready, service, 600, held=0)


@pytest.mark.faults
def test_killed_between_results(ready: Workspace, service: Handle) -> None:
    with_customers(ready, 1001)
    service.fail(RESULTS, times=1, delay=0.0, status=None)
    service.switches.polls_before_done = 1

    def all_ids_are_known_and_one_answered() -> bool:
        asked = [request for request in service.requests if request.method == "GET"]
        bulks = list(service.emulator.bulks)
        polled = all(any(bulk in request.path for request in asked) for bulk in bulks)
        return len(bulks) == 3 and polled and any(request.status == 200 for request in asked)

    killed_when(ready, service, all_ids_are_known_and_one_answered)
    for bulk in service.emulator.bulks.values():
        bulk.polls_left = 0
    settle(ready, service, 1001, held=0)


@pytest.mark.faults
def test_killed_in_the_midst_of_single_lookups(ready: Workspace, service: Handle) -> None:
    ready.enrich_companies(service.url, endpoint="single")
    with_customers(ready, 30)
    service.switches.hold_after_accept = 0.3
    killed_when(ready, service, lambda: len(service.looked_up) >= 4)
    service.switches.hold_after_accept = 0.0
    time.sleep(0.1)  # a request that was on its way has arrived
    held = states(ready).count(("single", "sending"))
    assert 1 <= held <= 4 + enrich.MOST_NOT_LEFT
    settle(ready, service, 30, held=held)


@pytest.mark.parametrize(
    "after_seconds",
    [0.3, 0.9, 1.3, *(pytest.param(seconds, marks=pytest.mark.long) for seconds in (0.05, 0.6, 1.1, 1.6))],
)
def test_killed_at_any_time(ready: Workspace, service: Handle, after_seconds: float) -> None:
    ready.enrich_companies(service.url, endpoint="single")
    with_customers(ready, 25)
    process = ready.start("extract", "leadspace")
    time.sleep(after_seconds)
    process.kill()
    process.communicate()
    time.sleep(0.1)  # a request that was on its way has arrived
    asked_then = len(service.looked_up)
    result = facts(extract(ready, "--json"))
    assert nobody_paid_twice(service)
    assert result["held"] <= 2 + enrich.MOST_NOT_LEFT
    assert result["answered"] == 25 - result["held"]
    assert asked_then <= len(service.looked_up) <= 25


def test_sigterm_ends_it_and_the_request_under_way_is_held(ready: Workspace, service: Handle) -> None:
    with_customers(ready, 600)
    service.switches.hold_after_accept = 3.0
    process = ready.start("extract", "leadspace")
    while not service.bulks and process.poll() is None:
        time.sleep(0.005)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    service.switches.hold_after_accept = 0.0
    settle(ready, service, 600, held=500)


# --- check


def test_check_verifies_the_token_without_spending_a_credit(ready: Workspace, service: Handle) -> None:
    result = ready.run("check", "--connect")
    assert result.exit_code == 0, result.stderr
    assert "Leadspace: the token is accepted (no credit was spent to learn that)" in result.stdout
    ready.environment["LEADSPACE_TOKEN"] = "another-token"
    refused = ready.run("check", "--connect")
    assert refused.exit_code == 3
    assert "LEADSPACE_TOKEN is wrong or has expired" in one_error_line(refused)
    assert service.spent == 0


def test_a_web_server_that_knows_nothing_is_not_taken_for_leadspace(
    ready: Workspace, service: Handle
) -> None:
    service.fail(RESULTS, times=9, status=404, body=b"<html>404</html>")
    result = ready.run("check", "--connect")
    assert "no credit was spent" not in result.stdout
    assert "only a lookup can tell" in result.stdout


def test_where_only_a_lookup_can_tell_it_says_so_and_makes_none(ready: Workspace, service: Handle) -> None:
    service.fail(RESULTS, times=9, status=400)
    result = ready.run("check", "--connect")
    assert result.exit_code == 0
    assert (
        "only a lookup can tell whether the token is accepted, and it costs one credit; none was made"
        in result.stdout
    )
    assert service.spent == 0


def test_at_a_persons_word_one_customer_is_looked_up_and_the_answer_kept(
    ready: Workspace, service: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("engagement.commands.asking.confirm", confirm)
    service.fail(RESULTS, times=9, status=400)
    result = ready.run("check", "--connect")
    assert result.exit_code == 0, result.stderr
    assert len(asked) == 1 and "it costs one credit" in asked[0]
    assert (service.spent, outcomes(ready)) == (1, {"result": 1})
    assert facts(extract(ready, "--json"))["lookups"] == 1
    assert nobody_paid_twice(service)
    result = ready.run("check", "--connect")
    assert "nobody had to be asked about, so the token was not tried" in result.stdout


def test_a_website_that_is_a_persons_leaves_as_a_domain_or_not_at_all(
    ready: Workspace, service: Handle
) -> None:
    """Whoever keeps an address in the column of websites has not agreed for him that it leaves."""
    with_accounts(
        ready,
        [
            account(1, "Contoso Ltd", "kim.lee@Contoso.example", "DE"),
            account(2, "Fabrikam SA", "mailto:kim@gmail.com", "FR"),
            account(3, "Company 0001 Works", "www.web.de", "NO"),
            account(4, "Company 0002 Works", "https://www.company0002.example/start", "NO"),
        ],
    )
    result = extract(ready)
    assert set(service.looked_up) == {
        ("Contoso Ltd", "contoso.example", "DE"),
        ("Fabrikam SA", "", "FR"),
        ("Company 0001 Works", "", "NO"),
        ("Company 0002 Works", "https://www.company0002.example/start", "NO"),
    }
    assert "3 customers whose website is a person's address" in result.stderr
    assert "kim" not in result.stdout + result.stderr
    assert ready.query("select count(*) from raw.leadspace_accounts where website like '%kim%'") == [(0,)]


def test_two_customers_with_one_website_are_two_lookups_and_judged_apart(
    ready: Workspace, service: Handle
) -> None:
    with_accounts(
        ready,
        [
            account(1, "Contoso Ltd", "contoso.example", "DE"),
            account(2, "Contoso Logistics", "contoso.example", "DE"),
        ],
    )
    extract(ready)
    assert service.spent == 2
    assert ready.query(
        "select sent_name, answered_name, is_name_equal, is_name_contained from raw.leadspace_comparisons order by 1"
    ) == [("contoso", "contoso", True, False), ("contoso logistics", "contoso", False, True)]
