"""The Leadspace emulator's rules, over real HTTP, and how it finds the company that a record means."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from emulators.cast import make_cast
from emulators.company import companies
from emulators.firmographics import Company, Directory, country_of, domain_of, load_companies, proper_words
from emulators.leadspace import PROGRAM_ID, SECRET, TOKEN, Handle, employees_range, revenue_range, running
from emulators.leadspace_content import DEPARTMENTS, Details, details_of

# plain HTTP needs neither a proxy nor certificates, whose loading takes longer than a test
LOOPBACK: dict[str, Any] = {"trust_env": False, "verify": False}
SINGLE, BULK, AUTHORIZE = "/enrichment/enrich/single", "/enrichment/enrich/bulk", "/oauth/authorize"
RESULTS = "/v3/enrichment/results/"

CONTOSO = Company(
    name="Contoso Instruments Inc",
    website="contoso.example",
    country="United States",
    state="WA",
    city="Tacoma",
    street="1 Main St",
    postal_code="01234",
    phone="+1 555 0100",
    linkedin="https://social.example/contoso",
    description="Makes instruments.",
    industry="Manufacturing",
    sub_industry="Instruments",
    sic="0811",
    sic_description="Instruments",
    naics="333998",
    naics_description="Other instruments",
    ownership="Private",
    employees=1200,
    revenue_usd=250_000_000,
    latitude=47.25,
    longitude=-122.44,
    fortune_500_rank=12,
    technologies=("Example CRM", "Example ERP"),
    specialties=("lenses",),
    parent="Contoso Group",
)
KNOWN = [
    CONTOSO,
    Company("Contoso Group", "group.contoso-holding.example", "United States", sic="6719"),
    Company("Fabrikam SA", "fabrikam.example", "France"),
    Company("Tailspin Toys Ltd", "tailspin.example", "GB", employees=7),
]


def record(name: str = "Contoso Instruments", **changed: Any) -> dict[str, Any]:
    """One record of a request; `website`, `country` and `external_id` as wanted, None for left out."""
    values = {"website": "https://www.contoso.example", "country": "US", "external_id": "a-1"} | changed
    company: dict[str, Any] = {"name": name}
    if values["website"] is not None:
        company["website"] = values["website"]
    if values["country"] is not None:
        company["address"] = {"country": values["country"]}
    given = {"company": company}
    return given if values["external_id"] is None else given | {"external_id": values["external_id"]}


def unknown(number: int) -> dict[str, Any]:
    return record(f"Zzyx Qwert{number}", website=None, country=None, external_id=f"u-{number}")


class Leadspace:
    """A client of a running emulator that holds the perpetual token."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.switches = handle.switches
        self.client = httpx.Client(base_url=handle.url, **LOOPBACK)
        self.client.headers["Authorization"] = f"Bearer {TOKEN}"

    def single(self, given: Any = None, **changed: Any) -> httpx.Response:
        return self.client.post(SINGLE, json=record(**changed) if given is None else given)

    def company(self, **changed: Any) -> dict[str, Any]:
        answer = self.single(**changed)
        assert answer.status_code == 200, answer.text
        company: dict[str, Any] = answer.json()["data"]["company"]
        return company

    def bulk(self, *records: dict[str, Any], **more: Any) -> httpx.Response:
        return self.client.post(BULK, json={"data": list(records), **more})

    def results(self, *records: dict[str, Any]) -> list[dict[str, Any]]:
        """What a bulk gives in the end."""
        accepted = self.bulk(*records)
        assert accepted.status_code == 202, accepted.text
        while (answer := self.client.get(accepted.json()["id"])).status_code == 204:
            assert answer.content == b""
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["results"]
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Handle]:
    with running(KNOWN) as handle:
        yield handle


@pytest.fixture
def leadspace(server: Handle) -> Leadspace:
    server.reset()
    return Leadspace(server)


def refused(answer: httpx.Response, status: int, details: str = "") -> None:
    """Check an error answer: its status, the envelope and words in the details."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "tracking_id", "request_timestamp", "details"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["request_timestamp"])
    assert details in body["details"]


# ---------------------------------------------------------------------------------------------------
# who may call, and how


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", f"Basic {TOKEN}", TOKEN])
@pytest.mark.parametrize("path", [SINGLE, BULK, RESULTS + "x", "/somewhere"])
def test_without_the_token_nothing_else_is_looked_at(
    leadspace: Leadspace, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method in ("GET", "POST", "DELETE"):
        answer = httpx.request(method, leadspace.handle.url + path, headers=headers, content=b"{", **LOOPBACK)
        assert (answer.status_code, answer.content) == (401, b"")


def test_the_free_probe_tells_a_good_token_from_a_bad_one(leadspace: Leadspace) -> None:
    refused(leadspace.client.get(RESULTS + "no-such"), 404)
    leadspace.switches.token = "another"
    assert leadspace.client.get(RESULTS + "no-such").status_code == 401
    leadspace.client.headers["Authorization"] = "bearer another"
    refused(leadspace.client.get(RESULTS + "no-such"), 404)
    assert leadspace.handle.spent == 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", SINGLE, "POST"), ("PUT", BULK, "POST"), ("POST", RESULTS + "x", "GET"), ("GET", AUTHORIZE, "POST, PUT")],
)  # fmt: skip
def test_wrong_methods(leadspace: Leadspace, method: str, path: str, allowed: str) -> None:
    answer = leadspace.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, allowed, b"")


@pytest.mark.parametrize("path", [SINGLE, BULK, AUTHORIZE])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_wrong_content_types(leadspace: Leadspace, path: str, kind: str) -> None:
    answer = leadspace.client.post(path, content=b"{}", headers={"content-type": kind} if kind else {})
    assert (answer.status_code, answer.content) == (415, b"")


def test_content_type_with_a_charset(leadspace: Leadspace) -> None:
    headers = {"content-type": "application/json; charset=UTF-8"}
    body = json.dumps(record()).encode()
    assert leadspace.client.post(SINGLE, content=body, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/intent/score/", "/v2/expansion/company", "/", RESULTS + "a/b"])
def test_other_paths_are_not_implemented(leadspace: Leadspace, path: str) -> None:
    refused(leadspace.client.get(path), 501, path)


def test_answers_carry_the_real_date(leadspace: Leadspace) -> None:
    date = parsedate_to_datetime(leadspace.single().headers["date"])
    assert abs(date.timestamp() - time.time()) < 5


def test_log_holds_every_request(leadspace: Leadspace) -> None:
    leadspace.single()
    (logged,) = leadspace.handle.requests
    assert (logged.method, logged.path, logged.status) == ("POST", SINGLE, 200)
    assert logged.headers["authorization"] == f"Bearer {TOKEN}"


def test_latency_lets_requests_overlap(leadspace: Leadspace) -> None:
    leadspace.switches.latency = 0.1
    threads = [threading.Thread(target=leadspace.single) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leadspace.handle.most_in_flight[SINGLE] == 4


# ---------------------------------------------------------------------------------------------------
# OAuth


def signed_in(leadspace: Leadspace, **changed: Any) -> httpx.Response:
    body = {"user": PROGRAM_ID, "pass": SECRET, "audience": "API_GATEWAY"} | changed
    return httpx.post(leadspace.handle.url + AUTHORIZE, json=body, **LOOPBACK)


def renewed(leadspace: Leadspace, token: str, user: str = PROGRAM_ID) -> httpx.Response:
    body = {"user": user, "refreshToken": token}
    return httpx.put(leadspace.handle.url + AUTHORIZE, json=body, **LOOPBACK)


def probe(leadspace: Leadspace, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{leadspace.handle.url}{RESULTS}x", headers=headers, **LOOPBACK).status_code


def test_token_for_credentials(leadspace: Leadspace) -> None:
    answer = signed_in(leadspace).json()
    assert set(answer) == {"token", "refreshToken", "expiration"}
    assert abs(answer["expiration"] - time.time() - 86_400) < 5
    head, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in answer["token"].split("."))
    assert json.loads(head)["alg"] == "HS384"
    assert json.loads(claims)["exp"] == answer["expiration"]
    assert SECRET not in answer["token"]
    assert probe(leadspace, answer["token"]) == 404
    assert probe(leadspace, answer["refreshToken"]) == 401


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"pass": "wrong"}, 401), ({"user": "wrong"}, 401), ({"audience": "OTHER"}, 401), ({"pass": 5}, 400),
     ({"x": "y"}, 400)],
)  # fmt: skip
def test_credentials_that_are_refused(leadspace: Leadspace, changed: dict[str, Any], status: int) -> None:
    assert signed_in(leadspace, **changed).status_code == status


def test_credentials_are_switches_and_none_may_be_missing(leadspace: Leadspace) -> None:
    leadspace.switches.program_id, leadspace.switches.secret = "p", "s"
    assert signed_in(leadspace).status_code == 401
    assert signed_in(leadspace, **{"user": "p", "pass": "s"}).status_code == 200
    body = {"user": "p", "pass": "s"}
    refused(httpx.post(leadspace.handle.url + AUTHORIZE, json=body, **LOOPBACK), 400, "audience")


def test_token_ends_and_is_renewed(leadspace: Leadspace) -> None:
    leadspace.switches.oauth_lifetime = 0.2
    first = signed_in(leadspace).json()
    assert probe(leadspace, first["token"]) == 404
    time.sleep(0.25)
    assert probe(leadspace, first["token"]) == 401
    leadspace.switches.oauth_lifetime = 60.0
    second = renewed(leadspace, first["refreshToken"]).json()
    assert probe(leadspace, second["token"]) == 404
    assert renewed(leadspace, first["refreshToken"]).status_code == 401, "it rotates"
    assert renewed(leadspace, second["refreshToken"], user="other").status_code == 401
    leadspace.switches.refresh_rotates = False
    third = renewed(leadspace, second["refreshToken"]).json()
    assert third["refreshToken"] == second["refreshToken"]
    assert renewed(leadspace, second["refreshToken"]).status_code == 200
    leadspace.handle.expire_tokens()
    assert probe(leadspace, third["token"]) == 401
    assert renewed(leadspace, second["refreshToken"]).status_code == 401
    assert probe(leadspace, TOKEN) == 404, "the perpetual one stays"


# ---------------------------------------------------------------------------------------------------
# what a request may say


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ([], "The body is not an object"),
        ({}, "company is not an object"),
        ({"company": {}}, "company.name is missing"),
        ({"company": {"website": "contoso.example"}}, "company.name is missing"),
        ({"company": {"name": "  "}}, "company.name is missing"),
        ({"company": {"name": None}}, "company.name is not a string"),
        ({"company": {"name": 5}}, "company.name is not a string"),
        ({"company": {"name": "C", "website": None}}, "company.website is not a string"),
        ({"company": {"name": "C", "url": "x"}}, "company.url"),
        ({"company": {"name": "C", "address": "US"}}, "company.address is not an object"),
        ({"company": {"name": "C", "address": {"zipcode": "1"}}}, "company.address.zipcode"),
        ({"company": {"name": "C"}, "external_id": 5}, "external_id is not a string"),
        ({"company": {"name": "C"}, "id": "5"}, "id"),
    ],
)
def test_records_that_are_refused(leadspace: Leadspace, given: Any, details: str) -> None:
    refused(leadspace.single(given), 400, details)
    where = details if details[0] == "T" else f"data[1].{details}"
    where = where.replace("The body", "data[1]")
    refused(leadspace.client.post(BULK, json={"data": [record(), given]}), 400, where)
    assert not leadspace.handle.looked_up and not leadspace.handle.bulks


@pytest.mark.parametrize("path", [SINGLE, BULK])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"company": {"name": "\xff"}}'])
def test_bodies_that_are_no_json(leadspace: Leadspace, path: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    refused(leadspace.client.post(path, content=body, headers=headers), 400, "JSON")


def test_inputs_agreed_with_leadspace_are_not_implemented(leadspace: Leadspace) -> None:
    refused(leadspace.single(record() | {"custom_fields": []}), 501, "custom_fields")


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ({}, "first and last name"),
        ({"first_name": "Kim", "email": "kim@b.example"}, "first and last name"),
        ({"first_name": " ", "last_name": "Berg", "email": "kim@b.example"}, "first and last name"),
        ({"first_name": "Kim", "last_name": "Berg"}, "company name, e-mail or website"),
        ({"first_name": "Kim", "last_name": "Berg", "age": "7"}, "person.age"),
        ({"first_name": "Kim", "last_name": 7}, "is not a string"),
    ],
)
def test_persons_that_are_refused(leadspace: Leadspace, person: dict[str, Any], why: str) -> None:
    refused(leadspace.single({"person": person}), 400, why)
    refused(leadspace.client.post(BULK, json={"data": [{"person": person}]}), 400, why)
    assert not leadspace.handle.people_looked_up and leadspace.handle.spent == 0


@pytest.mark.parametrize(
    "beside",
    [
        {"company": {"name": "Contoso"}},
        {"company": {"website": "contoso.example"}},
        {"person": {"email": "kim@b.example"}},
    ],
)
def test_a_person_is_looked_up_by_name_and_one_thing_more(
    leadspace: Leadspace, beside: dict[str, Any]
) -> None:
    leadspace.handle.switches.everybody_known = True
    person = {"first_name": "Kim", "last_name": "Berg", **beside.get("person", {})}
    sent = {**beside, "person": person, "external_id": "p-1"}
    answer = leadspace.single(sent).json()
    assert (answer["status"], answer["external_id"]) == ("success", "p-1")
    assert answer["data"]["enrichment_status"] == "Person Enriched"
    found = answer["data"]["person"]
    assert (found["first_name"], found["last_name"]) == ("Kim", "Berg")
    assert {"title", "department", "level", "phone", "linkedin_profile", "person_mobile_phone_1"} <= set(
        found
    )
    assert leadspace.handle.people_looked_up == {("Kim", "Berg", person.get("email", "")): 1}
    assert (leadspace.handle.spent, leadspace.handle.looked_up) == (1, {})
    # The same person is the same in every answer.
    assert leadspace.single(sent).json() == answer


@pytest.mark.parametrize(
    "given", [{}, {"data": []}, {"data": {}}, {"data": [record()] * 501}, {"data": [record()], "more": 1}]
)
def test_bulks_that_are_refused(leadspace: Leadspace, given: dict[str, Any]) -> None:
    refused(leadspace.client.post(BULK, json=given), 400)
    assert not leadspace.handle.bulks


def test_a_bulk_of_500_is_taken(leadspace: Leadspace) -> None:
    assert len(leadspace.results(*[unknown(n) for n in range(500)])) == 500


# ---------------------------------------------------------------------------------------------------
# rate


def test_the_31st_submit_within_a_second_is_refused(leadspace: Leadspace) -> None:
    began = time.monotonic()
    statuses = [(leadspace.single() if n % 2 else leadspace.bulk(record())).status_code for n in range(30)]
    assert set(statuses) == {200, 202}
    answer = leadspace.single()
    assert time.monotonic() - began < 0.9, "the machine is too slow for this test"
    assert (answer.status_code, answer.content) == (429, b"")
    assert "retry-after" not in answer.headers
    assert leadspace.client.get(RESULTS + "x").status_code == 404, "polls are not counted"
    assert sum(leadspace.handle.looked_up.values()) == 30
    time.sleep(max(0.0, began + 1.05 - time.monotonic()))
    assert leadspace.single().status_code == 200, "what was refused did not count"


def test_rate_and_retry_after_are_switches(leadspace: Leadspace) -> None:
    leadspace.switches.calls_per_second = 2
    leadspace.switches.retry_after = "3"
    answers = [leadspace.single() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "3"


# ---------------------------------------------------------------------------------------------------
# single results


def test_everything_known_of_a_company(leadspace: Leadspace) -> None:
    answer = leadspace.single()
    assert answer.headers["content-type"] == "application/json"
    result = answer.json()
    company = result["data"].pop("company")
    assert result == {
        "status": "success", "external_id": "a-1", "data": {"enrichment_status": "Company Enriched"},
    }  # fmt: skip
    identifier = company["ug_company_id"]
    above, *others = company.pop("family_tree")["companies"]
    details = details_of(CONTOSO)
    assert [(node["type"], node["name"]) for node in others] == [
        (relative.kind, relative.company.name) for relative in details.relatives
    ]
    # What is made up of the company, and only where it is: the tests of the content look at it.
    made_up = {
        name: company.pop(name, None)
        for name in ("department_size", "funding", "investors", "primary_location")
    }
    assert [value is not None for value in made_up.values()] == [
        bool(details.departments), bool(details.funding), bool(details.funding), bool(details.primary_location),
    ]  # fmt: skip
    assert len(company.pop("intent_modeling_v4", [])) == len(details.intents)
    assert ("domain_intent" in company) == bool(details.intents)
    company.pop("domain_intent", None)
    company["signals"].pop("g2k_rank", None)
    for name in ("web_site_technologies", "company_technologies_categories", "customTechnologiesCategories"):
        company["analytics"].pop(name, None)
    assert above.pop("ls_id") not in (identifier, "")
    assert above == {
        "type": "GU", "name": "Contoso Group", "website": "group.contoso-holding.example", "sic": "6719",
        "address": {"country": "United States"},
    }  # fmt: skip
    assert company == {
        "ug_company_id": identifier, "ls_id": identifier, "name": "Contoso Instruments Inc",
        "original_name": "Contoso Instruments", "description": "Makes instruments.",
        "website": "contoso.example", "phone": "+1 555 0100",
        "linkedin_profile": "https://social.example/contoso", "industry": "Manufacturing",
        "sub_industry": "Instruments", "sic": "0811", "sicDescription": "Instruments", "naics": "333998",
        "naicsDescription": "Other instruments", "ownership": "Private",
        "address": {"country": "United States", "state": "WA", "city": "Tacoma", "address": "1 Main St",
                    "zipcode": "01234"},
        "latitude": "47.250000", "longitude": "-122.440000",
        "employees": {"exact": 1200, "range": "1001-5000"},
        "revenue_dollar": {"exact": 250_000_000, "range": "$250M-$500M"},
        "matching_confidence": {"level": "HIGH"},
        "signals": {"fortune_500_rank": 12, "fortune_1000_rank": 12}, "specialties": ["lenses"],
        "analytics": {"installed_base_technologies": ["Example CRM", "Example ERP"]},
    }  # fmt: skip


def test_no_match_is_200(leadspace: Leadspace) -> None:
    expected = {"status": "success", "external_id": "u-1", "data": {"enrichment_status": "Not Enriched"}}
    assert leadspace.single(unknown(1)).json() == expected
    leadspace.switches.unmatched_content = "null"
    assert leadspace.single(unknown(1)).json()["data"]["company"] is None
    leadspace.switches.unmatched_content = "original_name"
    assert leadspace.single(unknown(1)).json()["data"]["company"] == {"original_name": "Zzyx Qwert1"}


def test_external_id_is_echoed_as_it_came_or_not_at_all(leadspace: Leadspace) -> None:
    assert leadspace.single(external_id="").json()["external_id"] == ""
    assert "external_id" not in leadspace.single(external_id=None).json()
    leadspace.switches.echo_external_id = False
    assert "external_id" not in leadspace.single().json()


def test_an_earlier_id_comes_before_the_name(leadspace: Leadspace) -> None:
    identifier = leadspace.company()["ug_company_id"]
    for key in ("lsid", "ugLsid"):
        found = leadspace.single({"company": {"name": "Fabrikam", key: identifier}}).json()["data"]["company"]
        assert found["name"] == "Contoso Instruments Inc"
    answer = leadspace.single({"company": {"name": "Contoso Instruments", "lsid": "x"}})
    assert answer.json()["data"]["company"]["ug_company_id"] == identifier


def test_naming_of_version_3(leadspace: Leadspace) -> None:
    leadspace.switches.naming = "v3"
    company = leadspace.company()
    assert not {"ug_company_id", "employees", "revenue_dollar"} & set(company)
    assert company["size"] == {"exact": 1200, "range": "1001-5000"}
    assert company["revenue"]["exact"] == 250_000_000
    assert company["ls_id"]


def test_what_is_not_known(leadspace: Leadspace) -> None:
    sent = {"name": "Fabrikam", "website": "fabrikam.example", "country": "FR"}
    company = leadspace.company(**sent)
    assert set(company) == {
        "ug_company_id", "ls_id", "name", "original_name", "website", "address", "matching_confidence",
    }  # fmt: skip
    assert company["address"] == {"country": "France"}
    leadspace.switches.missing = "null"
    nulls = leadspace.company(**sent)
    assert nulls["industry"] is None and nulls["employees"] == {"exact": None, "range": None}
    assert nulls["specialties"] is None and nulls["address"]["city"] is None
    leadspace.switches.missing = "empty"
    empty = leadspace.company(**sent)
    assert empty["industry"] == "" and empty["employees"] == {"exact": "", "range": ""}
    assert empty["specialties"] == [] and empty["family_tree"] == {"companies": []}
    assert set(empty) == set(nulls) > set(company)


def test_case_of_status_and_level(leadspace: Leadspace) -> None:
    cases: tuple[Any, ...] = ("lower", "title", "upper")
    for case, status, confidence in zip(
        cases, ("success", "Success", "SUCCESS"), ("high", "High", "HIGH"), strict=True
    ):
        leadspace.switches.status_case = leadspace.switches.level_case = case
        answer = leadspace.single().json()
        assert answer["status"] == status
        assert answer["data"]["company"]["matching_confidence"]["level"] == confidence


def test_numbers_as_text_and_unknown_fields(leadspace: Leadspace) -> None:
    leadspace.switches.numbers_as_text = True
    assert leadspace.company()["employees"]["exact"] == "1200"
    assert leadspace.company()["signals"]["fortune_500_rank"] == "12"
    leadspace.switches.extra_unknown_fields = True
    answer = leadspace.single().json()
    company = answer["data"]["company"]
    for level in (answer, answer["data"], company, company["address"]):
        assert "emulator_unknown" in level


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "1-10"), (1, "1-10"), (10, "1-10"), (11, "11-50"), (1000, "501-1000"), (1001, "1001-5000"),
     (50_000, "10001-50000"), (50_001, "50001+"), (2_000_000, "50001+")],
)  # fmt: skip
def test_ranges_of_headcount(number: int, expected: str) -> None:
    assert employees_range(number) == expected


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [(0, "$0M-$1M"), (999_999, "$0M-$1M"), (1_000_000, "$1M-$10M"), (999_999_999, "$500M-$1B"),
     (1_000_000_000, "$1B-$5B"), (49_999_999_999, "$10B-$50B"), (50_000_000_000, "$50B+")],
)  # fmt: skip
def test_ranges_of_revenue(dollars: int, expected: str) -> None:
    assert revenue_range(dollars) == expected


def test_threshold_of_confidence(leadspace: Leadspace) -> None:
    sent: dict[str, Any] = {"name": "Contoso Instruments", "website": None, "country": "Germany"}
    assert leadspace.company(**sent)["matching_confidence"]["level"] == "LOW"
    leadspace.switches.confidence_threshold = "LOW"
    assert leadspace.company(**sent)["name"] == "Contoso Instruments Inc"
    leadspace.switches.confidence_threshold = "MEDIUM"
    assert leadspace.single(**sent).json()["data"] == {"enrichment_status": "Not Enriched"}
    assert leadspace.company()["name"] == "Contoso Instruments Inc"


def test_restricted_location(leadspace: Leadspace) -> None:
    assert leadspace.company(country="Germany")["matching_confidence"]["level"] == "MEDIUM"
    leadspace.switches.restrict_location = True
    assert leadspace.single(country="Germany").json()["data"]["enrichment_status"] == "Not Enriched"
    for country in ("USA", None, "Atlantis?"):
        found = leadspace.single(country=country).json()["data"]["enrichment_status"]
        assert found == ("Not Enriched" if country == "Atlantis?" else "Company Enriched")


@pytest.mark.parametrize("code", [1100, 1200])
def test_failing_records(leadspace: Leadspace, code: int) -> None:
    leadspace.switches.failing = {"Fabri": code}
    found = {r["external_id"]: r for r in leadspace.results(record(), record("Fabrikam", external_id="f"))}
    assert found["a-1"]["status"] == "success"
    assert found["f"]["status"] == "failure" and found["f"]["error"]["code"] == code
    assert "data" not in found["f"]
    leadspace.switches.failing_where = "data"
    assert leadspace.single(name="Fabrikam").json()["data"]["error"]["code"] == code
    leadspace.switches.failing_where = "flat"
    leadspace.switches.failing_status = "Invalid Input"
    leadspace.switches.status_case = "title"
    answer = leadspace.single(name="Fabrikam").json()
    assert (answer["status"], answer["error_code"]) == ("Invalid Input", code)
    assert leadspace.handle.spent == 4


def test_internal_errors_pass(leadspace: Leadspace) -> None:
    leadspace.switches.failing = {"Fabrikam": 1100, "Tailspin": 1200}
    leadspace.switches.failing_times = 2
    statuses = [leadspace.single(name="Fabrikam").json()["status"] for _ in range(3)]
    assert statuses == ["failure", "failure", "success"]
    assert {leadspace.single(name="Tailspin").json()["status"] for _ in range(3)} == {"failure"}


# ---------------------------------------------------------------------------------------------------
# bulks


def test_a_bulk_is_polled_for(leadspace: Leadspace) -> None:
    accepted = leadspace.bulk(record(), unknown(1), external_bulk_id="mine")
    assert accepted.status_code == 202
    path = accepted.json()["id"]
    assert accepted.json() == {"id": path}
    assert re.fullmatch(RESULTS + r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{10}ft", path)
    assert [leadspace.client.get(path).status_code for _ in range(4)] == [204, 200, 200, 200]
    assert leadspace.handle.bulks == [(path.rpartition("/")[2], 2)]
    refused(leadspace.client.get(path + "x"), 404)
    leadspace.switches.polls_before_done = 3
    later = leadspace.bulk(record()).json()["id"]
    assert later != path
    assert [leadspace.client.get(later).status_code for _ in range(4)] == [204, 204, 204, 200]
    leadspace.switches.polls_before_done = 0
    assert leadspace.client.get(leadspace.bulk(record()).json()["id"]).status_code == 200


def test_results_are_kept_for_some_fetches_only(leadspace: Leadspace) -> None:
    leadspace.switches.results_kept = 2
    path = leadspace.bulk(record()).json()["id"]
    assert [leadspace.client.get(path).status_code for _ in range(5)] == [204, 200, 200, 404, 404]


def test_order_of_results(leadspace: Leadspace) -> None:
    sent = [unknown(n) for n in range(40)]
    ids = [each["external_id"] for each in sent]
    shuffled = [result["external_id"] for result in leadspace.results(*sent)]
    assert shuffled != ids and sorted(shuffled) == sorted(ids)
    leadspace.switches.shuffle_results = False
    assert [result["external_id"] for result in leadspace.results(*sent)] == ids


def test_results_twice_and_of_a_stranger(leadspace: Leadspace) -> None:
    leadspace.switches.duplicate_results = True
    ids = Counter(result["external_id"] for result in leadspace.results(record(), unknown(1)))
    assert ids == {"a-1": 2, "u-1": 2}
    leadspace.switches.duplicate_results = False
    leadspace.switches.foreign_result = True
    strangers = {r["external_id"] for r in leadspace.results(record(), unknown(1))} - {"a-1", "u-1"}
    assert len(strangers) == 1
    assert leadspace.handle.spent == 4


def test_what_was_looked_up_is_counted(leadspace: Leadspace) -> None:
    leadspace.single()
    leadspace.bulk(record(), record(), unknown(1))
    assert leadspace.handle.looked_up == {
        ("Contoso Instruments", "https://www.contoso.example", "US"): 3, ("Zzyx Qwert1", "", ""): 1,
    }  # fmt: skip
    leadspace.handle.reset()
    assert not leadspace.handle.looked_up and not leadspace.handle.bulks and not leadspace.handle.spent


def test_a_client_can_be_killed_after_acceptance_and_before_the_answer(leadspace: Leadspace) -> None:
    leadspace.switches.hold_after_accept = 0.5
    for path, body in ((BULK, {"data": [record()]}), (SINGLE, record())):
        before = leadspace.handle.spent
        with pytest.raises(httpx.ReadTimeout):
            leadspace.client.post(path, json=body, timeout=0.2)
        assert leadspace.handle.spent == before + 1
    assert len(leadspace.handle.bulks) == 1


class _Caller(BaseHTTPRequestHandler):
    """Takes callbacks."""

    bodies: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_callback(leadspace: Leadspace) -> None:
    leadspace.switches.polls_before_done = 99
    leadspace.switches.credits = 2
    leadspace.switches.insufficient = "partial"
    _Caller.bodies.clear()
    with HTTPServer(("127.0.0.1", 0), _Caller) as caller:
        url = f"http://127.0.0.1:{caller.server_port}/done"
        caller.timeout = 5
        first = leadspace.bulk(record(), callbackUrl=url).json()["id"]
        caller.handle_request()
        leadspace.bulk(record(), unknown(1), callbackUrl=url)
        caller.handle_request()
    assert _Caller.bodies[0] == {
        "bulkId": first.rpartition("/")[2], "callbackMethod": {"callbackUrl": url, "pollingUrl": first},
        "bulkStatus": "COMPLETED", "successRecords": 1, "personEnriched": 0, "companyEnriched": 1,
    }  # fmt: skip
    assert _Caller.bodies[1]["bulkStatus"] == "INSUFFICIENT_CREDITS"
    assert leadspace.client.get(first).status_code == 200, "what was called back is done"
    refused(leadspace.bulk(record(), callbackUrl="https://elsewhere.example/"), 501, "callback")


# ---------------------------------------------------------------------------------------------------
# credits


def test_singles_end_with_the_credits(leadspace: Leadspace) -> None:
    leadspace.switches.credits = 2
    assert [leadspace.single().status_code for _ in range(3)] == [200, 200, 427]
    refused(leadspace.single(), 427, "credits")
    assert (leadspace.handle.spent, sum(leadspace.handle.looked_up.values())) == (2, 2)
    leadspace.switches.credits = 3
    assert leadspace.single().status_code == 200


def test_misses_and_failures_cost_a_credit_or_not(leadspace: Leadspace) -> None:
    leadspace.switches.failing = {"Fabrikam": 1100}
    sent = [record(), unknown(1), record("Fabrikam")]
    leadspace.results(*sent)
    assert leadspace.handle.spent == 3
    leadspace.switches.credits_charge_misses = False
    leadspace.results(*sent)
    assert leadspace.handle.spent == 4
    leadspace.switches.credits = 5
    leadspace.results(*sent)
    assert leadspace.handle.spent == 5
    refused(leadspace.bulk(*sent), 427)


def test_a_bulk_beyond_the_credits(leadspace: Leadspace) -> None:
    leadspace.switches.credits = 2
    leadspace.switches.shuffle_results = False
    sent = [unknown(n) for n in range(3)]
    refused(leadspace.bulk(*sent), 427)
    assert not leadspace.handle.bulks and not leadspace.handle.looked_up

    leadspace.switches.insufficient = "accept"
    accepted = leadspace.bulk(*sent)
    assert accepted.status_code == 202
    assert leadspace.client.get(accepted.json()["id"]).status_code == 204
    refused(leadspace.client.get(accepted.json()["id"]), 427)
    assert (len(leadspace.handle.looked_up), leadspace.handle.spent) == (0, 0)

    leadspace.switches.insufficient = "partial"
    assert [r["external_id"] for r in leadspace.results(*sent)] == ["u-0", "u-1"]
    assert leadspace.handle.spent == 2
    refused(leadspace.bulk(*sent), 427)


def test_a_bulk_of_exactly_the_credits(leadspace: Leadspace) -> None:
    leadspace.switches.credits = 3
    assert len(leadspace.results(*[unknown(n) for n in range(3)])) == 3
    refused(leadspace.bulk(unknown(4)), 427)


# ---------------------------------------------------------------------------------------------------
# faults


def test_faults(leadspace: Leadspace) -> None:
    leadspace.handle.fail("single", status=500)
    refused(leadspace.single(), 500)
    leadspace.handle.fail("single", status=503, body=b"<html>")
    assert leadspace.single().text == "<html>"
    leadspace.handle.fail("single", status=429)
    assert (answer := leadspace.single()).status_code == 429 and answer.content == b""
    leadspace.handle.fail("single", kind="truncated_json")
    with pytest.raises(json.JSONDecodeError):
        leadspace.single().json()
    leadspace.handle.fail("single", kind="html")
    assert leadspace.single().headers["content-type"].startswith("text/html")
    for kind in ("reset", "cut_connection"):
        leadspace.handle.fail("single", kind=kind)
        with pytest.raises(httpx.TransportError):
            leadspace.single()
    assert not leadspace.handle.looked_up, "a fault comes before the work"
    leadspace.switches.envelope = False
    leadspace.handle.fail("single", status=502)
    assert leadspace.single().content == b""
    assert leadspace.single({}).content == b""
    assert leadspace.single().status_code == 200


@pytest.mark.parametrize("kind", ["answer", "reset", "html"])
def test_an_answer_can_be_lost_after_the_work(leadspace: Leadspace, kind: Any) -> None:
    leadspace.handle.fail("bulk", kind=kind, status=504 if kind == "answer" else None, after=True)
    try:
        assert leadspace.bulk(record()).status_code in (504, 200)
    except httpx.TransportError:
        assert kind == "reset"
    assert [size for _, size in leadspace.handle.bulks] == [1]


# ---------------------------------------------------------------------------------------------------
# running it


def test_unknown_switch_is_refused() -> None:
    with pytest.raises(TypeError, match="polls_before_done"), running(KNOWN, polls=3):
        pass


def test_stopping_refuses_connections() -> None:
    with running(Directory(KNOWN), polls_before_done=0) as handle:
        assert handle.switches.polls_before_done == 0
        handle.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(handle.url, **LOOPBACK)


@pytest.mark.parametrize("source", ["directory", "companies"])
def test_runs_as_a_process_and_ends_with_its_parents_pipe(tmp_path: Path, source: str) -> None:
    (tmp_path / "known.csv").write_text("Name,Domain\nContoso Instruments,contoso.example\n")
    given = {"directory": "emulators.company", "companies": str(tmp_path / "known.csv")}[source]
    name = {"directory": "Sequoia Dairy Inc", "companies": "Contoso Instruments"}[source]
    url_file = tmp_path / "url"
    process = subprocess.Popen(
        [sys.executable, "-m", "emulators.leadspace", f"--{source}", given,
         "--url-file", str(url_file), "--until-input-ends"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")},
    )  # fmt: skip
    try:
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        url = url_file.read_text()
        assert line == f"listening on {url}\n"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(url + SINGLE, json={"company": {"name": name}}, headers=headers, **LOOPBACK)
        assert answer.json()["data"]["enrichment_status"] == "Company Enriched"
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------------------------------------------
# files of companies


def test_columns_of_a_file_go_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "companies.csv"
    path.write_text(
        "Company,URL,zip,Revenue_mUSD,employees,sic,technologies,as_of_year,other\n"
        "Old,old.example,,1,10,0100,,1999,x\n"
        "New,,01234,1.5,12.0,,CRM; ERP;,2020,x\n"
        ",nameless.example,,,,,,,\n"
        "Odd,,,many,,,,,\n"
    )
    assert load_companies(path) == [
        Company("New", postal_code="01234", revenue_usd=1_500_000, employees=12, technologies=("CRM", "ERP")),
        Company("Old", "old.example", revenue_usd=1_000_000, employees=10, sic="0100"),
        Company("Odd"),
    ]
    parquet = tmp_path / "companies.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"copy (from read_csv('{path}', all_varchar = true)) to '{parquet}'")
    assert load_companies(parquet) == load_companies(path)


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("website,country\na.example,US\n")
    with pytest.raises(ValueError, match="no column of company names; it has website, country"):
        load_companies(tmp_path / "x.csv")


# ---------------------------------------------------------------------------------------------------
# what is the same, however it is written


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("https://www.Contoso.Example/de?x=1#y", "contoso.example"),
        ("contoso.example", "contoso.example"),
        ("HTTP://shop.contoso.example:8080/", "contoso.example"),
        ("//www2.contoso.example", "contoso.example"),
        ("https://user:word@contoso.example/", "contoso.example"),
        (" contoso.example. ", "contoso.example"),
        ("www.contoso.co.uk", "contoso.co.uk"),
        ("a.b.contoso.com.au", "contoso.com.au"),
        ("co.uk", "co.uk"),
        ("deep.contoso.de", "contoso.de"),
        ("www.palo-alto.ca.us", "palo-alto.ca.us"),
        ("localhost", ""), ("10.0.0.1", ""), ("n/a", ""), ("", ""), (None, ""), ("a..example", ""), ("no site", ""),
    ],
)  # fmt: skip
def test_domains(website: str | None, domain: str) -> None:
    assert domain_of(website) == domain


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("The Contoso Company, Inc.", "contoso"),
        ("CONTOSO GmbH & Co. KG", "contoso"),
        ("Contoso A/S", "contoso"),
        ("Contoso S.A.S.", "contoso"),
        ("Contoso S. p. A.", "contoso s p a"),
        ("PT Contoso Indah Tbk", "contoso indah"),
        ("Smith & Sons", "smith sons"),
        ("Smith and Sons", "smith sons"),
        ("Société Générale", "societe generale"),
        ("Ørsted", "orsted"),
        ("Müller", "muller"),
        ("Lowe's", "lowes"),
        ("U.S. Steel", "us steel"),
        ("Contoso Intl", "contoso international"),
        ("Company", "company"),
        ("AS", "as"),
        ("株式会社", "株式会社"),
        ("...", ""),
    ],
)
def test_words_of_names(name: str, words: str) -> None:
    assert " ".join(proper_words(name)) == words


def test_countries() -> None:
    for spellings in (("USA", "us", "U.S.", "U.S.A.", "United States of America"), ("DE", "DEU", "Deutschland"),
                      ("UK", "GB", "England", "united kingdom "), ("The Netherlands", "NL", "Holland"),
                      ("Österreich", "austria")):  # fmt: skip
        assert len({country_of(spelling) for spelling in spellings}) == 1
    assert country_of("Germany") != country_of("Norway")
    assert {country_of(text) for text in (None, "", "  ", "XX", "QQQ", "Narnia/ Oz")} == {""}
    assert country_of("Narnia") != country_of("Oz land")


# ---------------------------------------------------------------------------------------------------
# matching

DIRECTORY = Directory(
    [
        *KNOWN,
        Company("Blue Heron Paper Co.", "blueheron.example", "US"),
        Company("Blue Yonder Airlines", "yonder.example", "US"),
        Company("International Measuring Works", "imw.example", "DE"),
        Company("Delta", "delta-air.example", "US"),
        Company("Energy Group", "energy-group.example", "US"),
        Company("Alpine Ski House", None, "Switzerland"),
        Company("Alpine Ski House", None, "Switzerland", employees=5),
        Company("Margie's Travel", "facebook.com/margies", "US"),
        Company("Lucerne Publishing Holding AG", None, "CH"),
        Company("Wingtip", "wingtip.example", None),
        Company("Trey Research", "trey.example", "US"),
        *(Company(f"Delta Filler{n} {word}", f"filler{n}.example", "US")
          for n, word in enumerate(["Energy", "Travel", "Group", "Paper"] * 30)),
    ]
)  # fmt: skip


def level(name: str, website: str | None = None, country: str | None = None) -> str:
    found = DIRECTORY.match(name, website, country)
    return "none" if found is None else f"{found.confidence}: {found.company.name}"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        # website and name
        (("contoso instruments", "http://www.contoso.example/x", "USA"), "HIGH: Contoso Instruments Inc"),
        (("Contoso", "contoso.example", None), "HIGH: Contoso Instruments Inc"),
        (("IMW", "imw.example", "Germany"), "HIGH: International Measuring Works"),
        (("Contoso Instruments", "contoso.example", "Norway"), "MEDIUM: Contoso Instruments Inc"),
        # website alone
        (("Woodgrove Bank", "contoso.example", "US"), "MEDIUM: Contoso Instruments Inc"),
        (("Woodgrove Bank", "contoso.example", "Norway"), "LOW: Contoso Instruments Inc"),
        # website of the one, name of the other: one of the two is old, and nothing is sure
        (("Trey Research", "contoso.example", "US"), "MEDIUM: Trey Research"),
        (("Trey Research", "contoso.example", None), "LOW: Trey Research"),
        # name and country
        (("Blue Heron Paper Company", None, "United States"), "HIGH: Blue Heron Paper Co."),
        (("BlueHeron Paper", None, "US"), "HIGH: Blue Heron Paper Co."),
        (("Blue Heron Paper", None, None), "MEDIUM: Blue Heron Paper Co."),
        (("Blue Heron Paper", None, "FR"), "LOW: Blue Heron Paper Co."),
        (("Blue Heron Paper", "elsewhere.example", "US"), "MEDIUM: Blue Heron Paper Co."),
        (("Blue Heron Paper", "blueheron-paper.example", "US"), "HIGH: Blue Heron Paper Co."),
        (("Blue Heron Paper", "elsewhere.example", "FR"), "VERY LOW: Blue Heron Paper Co."),
        (("Wingtip", None, "US"), "MEDIUM: Wingtip"),
        (("Alpine Ski House", None, "Suisse"), "HIGH: Alpine Ski House"),
        # weak words
        (("Lucerne Publishing", None, "CH"), "MEDIUM: Lucerne Publishing Holding AG"),
        # other words
        (("International Measuring Works Berlin", None, "DE"), "LOW: International Measuring Works"),
        (("International Measuring Works Berlin", None, "FR"), "VERY LOW: International Measuring Works"),
        (("International Measuring Works Berlin", "elsewhere.example", "FR"), "none"),
        (("Heron Paper Blue", None, "US"), "LOW: Blue Heron Paper Co."),
        (("Blue Sky", None, "US"), "none"),
        (("Blue Yonder", None, "US"), "VERY LOW: Blue Yonder Airlines"),
        # common and generic names mean nothing alone
        (("Delta", None, None), "VERY LOW: Delta"),
        (("Delta", None, "FR"), "none"),
        (("Delta", "delta-faucet.example", None), "none"),
        (("Delta Faucets", None, "US"), "none"),
        (("Energy", None, None), "none"),
        (("Energy", None, "FR"), "none"),
        (("Group", None, None), "none"),
        (("", None, None), "none"),
        (("", "contoso.example", None), "MEDIUM: Contoso Instruments Inc"),
        (("Inc.", None, "US"), "none"),
        # a page at a host of many says nothing
        (("Proseware", "https://facebook.com/proseware", "US"), "none"),
        (("Margie's Travel", "https://facebook.com/margies", "US"), "HIGH: Margie's Travel"),
    ],
)
def test_matching(record: tuple[str, str | None, str | None], expected: str) -> None:
    assert level(*record) == expected


def test_ties_go_to_the_better_known_then_to_the_first() -> None:
    found = DIRECTORY.match("Alpine Ski House", None, "CH")
    assert found is not None and found.company.employees == 5
    twins = [Company("Adventure Works", city=city) for city in ("Oslo", "Bergen")]
    for order in (twins, twins[::-1]):
        again = Directory(order).match("Adventure Works")
        assert again is not None and again.company == order[0]


def test_an_empty_directory() -> None:
    assert Directory([]).match("Contoso", "contoso.example", "US") is None


# ---------------------------------------------------------------------------------------------------
# the made-up provider


def test_made_up_companies_are_the_same_on_every_call_and_invented() -> None:
    known = companies()
    assert known == companies()
    assert len(known) == 90
    assert all((c.website or "").endswith(".example") for c in known)
    texts = [str(c) for c in known]
    assert sum("@" in text for text in texts) == 1, "one description has an address, to be masked"
    assert sum(" info@" in text for text in texts) == 1
    assert {c.parent for c in known if c.parent} <= {c.name for c in known}
    assert all(c.employees for c in known if c.revenue_usd)
    assert 4 <= sum(c.revenue_usd is None for c in known) <= 12


def test_most_of_the_demos_accounts_are_found_and_rightly() -> None:
    directory = Directory(companies())
    found = {
        account.account_id: directory.match(account.name, f"https://www.{account.domain}", account.country)
        for account in make_cast().accounts
    }
    assert Counter(m.confidence if m else None for m in found.values()) == {
        "HIGH": 45, "MEDIUM": 4, "LOW": 1, None: 10,
    }  # fmt: skip
    for account in make_cast().accounts:
        match = found[account.account_id]
        if match is not None and match.company.name != "Van Rijn Lenzen BV":
            assert account.name.split()[0].lower() in match.company.name.lower()


def test_made_up_details_are_the_same_on_every_call_and_never_of_all() -> None:
    known = companies()
    found = [details_of(company) for company in known]
    assert found == [details_of(company) for company in companies()]
    assert all(
        details == Details() for company, details in zip(known, found, strict=True) if not company.employees
    )
    for part in fields(Details):
        if not part.name.startswith("fortune"):  # the made-up companies are too small
            given = sum(bool(getattr(details, part.name)) for details in found)
            assert 5 <= given <= 80, part.name
    assert {relative.kind for details in found for relative in details.relatives} == {
        "DU", "SITE", "PARENT", "HQ", "SU",
    }  # fmt: skip
    assert all(
        sum(details.departments.values()) <= 1.5 * (company.employees or 0) + len(DEPARTMENTS)
        for company, details in zip(known, found, strict=True)
    )


# ---------------------------------------------------------------------------------------------------
# real companies


def test_real_accounts_are_found_rightly(test_data: Path) -> None:
    companies_known = load_companies(test_data / "firmographics.parquet")
    assert len(companies_known) > 72_000
    assert max(c.revenue_usd or 0 for c in companies_known) == 648_125_000_000
    directory = Directory(companies_known)
    with (test_data / "enron" / "accounts.csv").open(encoding="utf-8", newline="") as file:
        accounts = [(row["name"], row["website"], row["country"]) for row in csv.DictReader(file)]
    began = time.perf_counter()
    found = {row: directory.match(*row) for row in accounts}
    assert time.perf_counter() - began < 1.0
    counts = Counter(m.confidence if m else None for m in found.values())
    assert counts["HIGH"] > 95 and counts["MEDIUM"] > 35 and counts["LOW"] + counts["VERY LOW"] < 30
    by_name = {row[0]: m for row, m in found.items() if m is not None}
    for name, expected in (
        ("American Electric Power", "American Electric Power"),
        ("International Business Machines", "International Business Machines Corporation"),
        ("Deutsche Bank", "Deutsche Bank Aktiengesellschaft"),
        ("J.P. Morgan Chase", "JPMorgan Chase"),
        ("Smurfit-Stone Container", "Smurfit-Stone Container"),
    ):
        assert (by_name[name].company.name, by_name[name].confidence) == (expected, "HIGH")
    # law firms, agencies and associations, of which the lists have none
    for name in ("Adams Broadwell Joseph & Cardozo", "Bonneville Power Administration", "Ocean Energy",
                 "Summit Energy Services", "Panda Energy", "Southern Energy"):  # fmt: skip
        assert name not in by_name


def test_the_accounts_own_firmographics_load(test_data: Path) -> None:
    path = test_data / "enron" / "firmographics.csv"
    known = load_companies(path)
    directory = Directory(known)
    assert len(known) > 150
    for company in known:
        found = directory.match(company.name, company.website, company.country)
        assert found is not None and found.confidence == "HIGH", company
