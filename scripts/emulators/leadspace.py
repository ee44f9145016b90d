"""An emulator of Leadspace's enrichment API for companies and persons, over HTTP on loopback.

What the public pages leave open is a switch, so that nothing can come to lean on a guess; the defaults are
the likelier guesses. It is strict where the pages are: a record without a name, a body that is no JSON, or a
property that the request schema does not know is refused. What is not implemented (intent, discovery) is answered
with 501 naming it. Its clock (`Date` header) is the real one.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from random import Random
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulators.firmographics import (
    CONFIDENCES,
    Company,
    Confidence,
    Directory,
    Match,
    country_of,
    load_companies,
)
from emulators.identifiers import seeded_bytes, seeded_guid
from emulators.leadspace_content import (
    ContentSwitches,
    cased,
    company_content,
    company_id,
    employees_range,
    revenue_range,
)
from emulators.leadspace_people import (
    KnownPerson,
    PersonInput,
    PersonSwitches,
    person_content,
    person_of,
)
from emulators.server import Handle as ServerHandle
from emulators.server import (
    Refusal,
    Service,
    add_serving_options,
    call,
    in_thread,
    overwrite,
    serve,
    set_switches,
    surround,
)

__all__ = [
    "PROGRAM_ID",
    "SECRET",
    "TOKEN",
    "Emulator",
    "Handle",
    "Switches",
    "create_app",
    "employees_range",
    "revenue_range",
    "running",
]

TOKEN = "emulator-perpetual-token-not-a-real-one"
PROGRAM_ID = "emulator-program"
SECRET = "emulator-secret-not-a-real-one"
BULK_MAXIMUM = 500
SINGLE_PATH, BULK_PATH = "/enrichment/enrich/single", "/enrichment/enrich/bulk"
RESULTS_PATH = "/v3/enrichment/results/"

Json = dict[str, Any]


@dataclass(slots=True)
class Switches(PersonSwitches, ContentSwitches):
    """What a test may change while the emulator runs."""

    # who may call, and how often
    token: str = TOKEN  # the perpetual one
    program_id: str = PROGRAM_ID  # `user` of the OAuth calls
    secret: str = SECRET  # their `pass`
    oauth_lifetime: float = 86_400.0  # seconds
    refresh_rotates: bool = True  # a refresh gives another refresh token, and the old one is worth nothing
    refresh_refused: bool = False  # every refresh is answered 401
    # documented are epoch seconds as a number
    expiration: Literal["seconds", "milliseconds", "text", "iso", "absent"] = "seconds"
    unauthorized_body: bytes = b""  # of a 401; to be ignored
    unknown_program: bool = False  # submits are answered 427, as for a Program ID that is not valid
    # by token: the version that its program has, where `naming` is that of all others
    programs: dict[str, Literal["v4", "v3"]] = field(default_factory=dict)
    calls_per_second: int = 30  # submits in any one second, beyond which 429 is answered
    count_polls: bool = False  # whether polls count as calls too
    # that header of a 429, of which no page says anything; "date+2" is the date two seconds from now
    retry_after: str | None = None
    envelope: bool = True  # the error body of 400, 427, 5xx; it "may be missing"
    largest_body: int | None = None  # bytes, beyond which 413 is answered; None: without limit
    latency: float = 0.0  # seconds every answer takes
    # seconds between a submit's acceptance, when it is counted and paid, and its answer: for killing a client
    hold_after_accept: float = 0.0

    # credits, of which a record costs one
    credits: int | None = None  # what the program has in all, spent ones included; None: unlimited
    credits_charge_misses: bool = True  # records without a match, and failed ones, cost one too
    # a bulk of more records than credits: 427 on submit; results for the first ones alone; or 202, and 427
    # when polled, or whatever `poll_of_failed` says. With no credit left at all, the first two both refuse.
    insufficient: Literal["refuse", "partial", "accept"] = "refuse"

    # bulks
    more_than_maximum: Literal["refuse", "accept"] = "refuse"  # 501 records
    empty_list: Literal["refuse", "accept"] = "refuse"
    duplicate_ids: Literal["refuse", "accept"] = "accept"  # two records of one external_id
    results_link: Literal["relative", "bare", "absolute"] = "relative"  # the `id` of an accepted bulk
    internal_error: bool = False  # a bulk is looked up and paid, and ends as INTERNAL_ERROR
    # what polling answers where a bulk ended without its results; `partial` has those of the first half, or of what
    # the credits sufficed for
    poll_of_failed: Literal["427", "204", "partial", "empty", "404", "500"] = "427"
    polls_before_done: int = 1  # polls answered with 204 before the one with 200
    results_kept: int | None = None  # fetches after which results are 404; None: for ever
    results_kept_seconds: float | None = None  # from the submit on, after which they are 404 too
    shuffle_results: bool = True
    duplicate_results: bool = False  # every result comes twice
    second_differs: bool = False  # and the second one, right after the first, says that there is no match
    missing_results: int = 0  # so many of a bulk's results do not come
    foreign_result: bool = False  # one more result, of an external_id that was never sent
    callback_after: float = 0.05  # seconds from a submit to its callback, at which the bulk is done

    # the shape of a result; that of its content stands in ContentSwitches
    unmatched_content: Literal["nothing", "null", "original_name"] = "nothing"  # `company` of no match
    status_case: Literal["lower", "title", "upper"] = "lower"  # of status
    echo_external_id: bool = True

    # what is found
    confidence_threshold: Confidence = "VERY LOW"  # worse matches come back as Not Enriched
    restrict_location: bool = False  # as do matches in another country than the given one
    failing: dict[str, int] = field(default_factory=dict)  # part of a name: record code, 1100 or 1200
    failing_times: int | None = None  # after so many 1100s a record is fine; None: never
    # error.code, data.error.code, error_code, errors[0].code, error itself, data.errorCode
    failing_where: Literal["top", "data", "flat", "list", "text", "inner"] = "top"
    failing_status: str = "failure"  # such a record's `status`; "Invalid Input" has been seen too


class LeadspaceError(Refusal):
    """An error answer of the service; `bare` ones have no body in any case."""

    def __init__(
        self,
        status: int,
        message: str,
        details: str = "",
        *,
        bare: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.details = details
        self.bare = bare


def not_implemented(what: str) -> LeadspaceError:
    """Refuse what this emulator does not do."""
    return LeadspaceError(501, "Not implemented", f"The emulator does not implement {what}.")


# ---------------------------------------------------------------------------------------------------
# requests

COMPANY_INPUT = {"name", "website", "companyLinkedinUrl", "lsid", "ugLsid", "address"}
ADDRESS_INPUT = {"country", "state", "city", "street", "postalcode"}
PERSON_INPUT = {
    "first_name",
    "last_name",
    "email",
    "title",
    "person_phone",
    "person_country",
    "linkedinUrl",
}
RECORD_INPUT = {"company", "person", "external_id"}
BULK_INPUT = {"data", "callbackUrl", "external_bulk_id"}
NOT_IMPLEMENTED_INPUT = {"custom_fields"}


@dataclass(frozen=True, slots=True)
class Record:
    """One record that is to be looked up."""

    name: str
    website: str
    country: str
    identifier: str  # lsid or ugLsid
    external_id: str | None
    person: PersonInput | None = None

    @property
    def label(self) -> str:
        """What `failing` looks for a part of."""
        return self.name if self.person is None else " ".join((*self.person.key, self.name))

    @property
    def key(self) -> tuple[str, str, str]:
        """What records are counted by: name, website and country as they were sent, "" where not."""
        return (self.name, self.website, self.country)


def _checked(given: Any, where: str, known: set[str], texts: set[str]) -> Json:
    """Check one object of a request: its properties are known, and those in `texts` are strings."""
    if not isinstance(given, dict):
        raise LeadspaceError(400, "Invalid input", f"{where or 'The body'} is not an object.")
    prefix = f"{where}." if where else ""
    for name, value in given.items():
        if name in NOT_IMPLEMENTED_INPUT:
            raise not_implemented(prefix + name)
        if name not in known:
            raise LeadspaceError(400, "Invalid input", f"The emulator does not know {prefix}{name}.")
        if name in texts and not isinstance(value, str):
            raise LeadspaceError(400, "Invalid input", f"{prefix}{name} is not a string.")
    return given


def _record(given: Any, where: str = "") -> Record:
    record = _checked(given, where, RECORD_INPUT, {"external_id"})
    prefix = f"{where}." if where else ""
    person = None
    if "person" in record:
        given_person = _checked(record["person"], f"{prefix}person", PERSON_INPUT, PERSON_INPUT)
        person = PersonInput(*(given_person.get(name, "") for name in ("first_name", "last_name", "email")))
    company = _checked(
        record.get("company", None if person is None else {}),
        f"{prefix}company",
        COMPANY_INPUT,
        COMPANY_INPUT - {"address"},
    )
    if person is not None:
        if not person.first_name.strip() or not person.last_name.strip():
            raise LeadspaceError(400, "Insufficient input", f"{prefix}person has no first and last name.")
        if not any(
            text.strip() for text in (company.get("name", ""), company.get("website", ""), person.email)
        ):
            raise LeadspaceError(
                400, "Insufficient input", f"{prefix}person has no company name, e-mail or website."
            )
    elif not company.get("name", "").strip():
        raise LeadspaceError(400, "Insufficient input", f"{prefix}company.name is missing.")
    address = _checked(company.get("address", {}), f"{prefix}company.address", ADDRESS_INPUT, ADDRESS_INPUT)
    return Record(
        company.get("name", ""),
        company.get("website", ""),
        address.get("country", ""),
        company.get("ugLsid", "") or company.get("lsid", ""),
        record.get("external_id"),
        person,
    )


# ---------------------------------------------------------------------------------------------------
# results


def _with_gaps(value: Any, missing: str) -> Any:
    """Write what is not known as the switch says; None stands for a value left out where it is `absent`."""
    if isinstance(value, dict):
        kept = {name: _with_gaps(part, missing) for name, part in value.items()}
        if missing == "absent":
            return {name: part for name, part in kept.items() if part is not None} or None
        return kept
    if isinstance(value, list):
        if value:
            return [_with_gaps(part, missing) for part in value]
        return [] if missing == "empty" else None
    return "" if value is None and missing == "empty" else value


# ---------------------------------------------------------------------------------------------------
# state


@dataclass(slots=True)
class Bulk:
    """A bulk that was accepted."""

    id: str
    size: int
    results: list[Json] | None  # None: there will be none, for want of credits
    polls_left: int
    fetched: int = 0
    status: str = "COMPLETED"  # or INSUFFICIENT_CREDITS, or INTERNAL_ERROR
    accepted_at: float = field(default_factory=time.monotonic)


class Emulator(Service):
    """The state behind the app: companies, credits, bulks, tokens. Tests reach it through `running`."""

    cut_off = b'{"results":[{"status":"success","external_id":"'

    def __init__(self, directory: Directory, switches: Switches) -> None:
        super().__init__()
        self.directory = directory
        self.switches = switches
        self.looked_up: Counter[tuple[str, str, str]] = Counter()
        self.people_looked_up: Counter[tuple[str, str, str]] = Counter()
        self.bulks: dict[str, Bulk] = {}
        self.spent = 0
        self.naming: Literal["v4", "v3"] | None = None  # of the program that asks; None: the switch's
        self._failed: Counter[str] = Counter()  # 1100s so far, by the record's name
        self._calls: deque[float] = deque()
        self._tokens: dict[str, float] = {}  # token: when it ends, monotonic seconds
        self._refresh_tokens: set[str] = set()
        self._by_id: dict[str, Company] | None = None
        self._callbacks: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Drop log, faults, tokens, bulks and every count."""
        super().forget()
        self.looked_up.clear()
        self.people_looked_up.clear()
        self.bulks.clear()
        self.spent = 0
        self._failed.clear()
        self._calls.clear()
        self.expire_tokens()

    # -- transport ----------------------------------------------------------------------------------

    def latency(self) -> float:
        """Give the seconds that every answer takes."""
        return self.switches.latency

    def headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Give the real date."""
        return [(b"date", formatdate(usegmt=True).encode())]

    def counted_as(self, request: Request) -> str | None:
        """Count requests in flight by path."""
        return request.url.path

    def admit(self, request: Request, busy: int) -> None:
        """Note when it came: calls are counted by that, however long their answers take."""
        request.state.arrived = time.monotonic()

    def check(self, request: Request) -> None:
        """Refuse a request without a living token before anything else of it is looked at, then one too many."""
        path, switches = request.url.path, self.switches
        if path == "/oauth/authorize":
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = token in (switches.token, *switches.programs) or (
            self._tokens.get(token, 0.0) > time.monotonic()
        )
        if scheme.lower() != "bearer" or not token or not known:
            raise LeadspaceError(401, "Unauthorized", bare=True)
        request.state.naming = switches.programs.get(token)
        if request.method == "POST" and path in (SINGLE_PATH, BULK_PATH):
            self.count_call(request.state.arrived)
            if switches.unknown_program:
                raise LeadspaceError(427, "Invalid program", "The Program ID is not valid.")
        elif switches.count_polls and request.method == "GET" and path.startswith(RESULTS_PATH):
            self.count_call(request.state.arrived)

    def refuse(self, request: Request, error: Exception) -> Response:
        """Answer with an error of the service."""
        assert isinstance(error, LeadspaceError)
        if error.status == 401 and self.switches.unauthorized_body:
            return Response(self.switches.unauthorized_body, 401, {"content-type": "text/html"})
        if error.bare or not self.switches.envelope:
            return Response(status_code=error.status, headers=error.headers)
        body = error_body(error, seeded_guid(f"tracking:{len(self.requests)}"))
        return Response(body, error.status, {"content-type": "application/json", **error.headers})

    def usual_body(self, status: int) -> bytes:
        """Give the envelope for the statuses that have one."""
        if status in (204, 401, 405, 415, 429) or not self.switches.envelope:
            return b""
        return error_body(LeadspaceError(status, "Error", "A fault."), seeded_guid("tracking:fault"))

    # -- tokens and rate ----------------------------------------------------------------------------

    def issue_token(self) -> Json:
        """Give a token that lives for `oauth_lifetime` real seconds, and what refreshes it."""
        lifetime = self.switches.oauth_lifetime
        expiration = int(time.time() + lifetime)
        claims = {"aud": "API_GATEWAY", "exp": expiration, "programId": self.switches.program_id}
        parts = [{"alg": "HS384", "typ": "JWT"}, claims | {"jti": secrets.token_urlsafe(9)}]
        signed = b".".join(_base64(msgspec.json.encode(part)) for part in parts)
        signature = _base64(hmac.digest(self.switches.secret.encode(), signed, "sha384"))
        token = (signed + b"." + signature).decode()
        self._tokens[token] = time.monotonic() + lifetime
        refresh = secrets.token_urlsafe(32)
        self._refresh_tokens.add(refresh)
        answer: Json = {"token": token, "refreshToken": refresh, "expiration": expiration}
        match self.switches.expiration:
            case "milliseconds":
                answer["expiration"] = expiration * 1000
            case "text":
                answer["expiration"] = str(expiration)
            case "iso":
                answer["expiration"] = datetime.fromtimestamp(expiration, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            case "absent":
                del answer["expiration"]
        return answer

    def refresh(self, refresh_token: str) -> Json | None:
        """Give a new token for a refresh token; None for one that is worth nothing."""
        if refresh_token not in self._refresh_tokens or self.switches.refresh_refused:
            return None
        answer = self.issue_token()
        if self.switches.refresh_rotates:
            self._refresh_tokens.discard(refresh_token)
        else:
            self._refresh_tokens.discard(answer["refreshToken"])
            answer["refreshToken"] = refresh_token
        return answer

    def expire_tokens(self) -> None:
        """End the life of every OAuth token issued so far, refresh tokens included."""
        self._tokens.clear()
        self._refresh_tokens.clear()

    def count_call(self, now: float) -> None:
        """Refuse one call more than a second may have; what is refused does not count."""
        while self._calls and self._calls[0] <= now - 1.0:
            self._calls.popleft()
        if len(self._calls) >= self.switches.calls_per_second:
            wait = self.switches.retry_after
            if wait is not None and wait.startswith("date+"):
                wait = formatdate(time.time() + float(wait.removeprefix("date+")), usegmt=True)
            raise LeadspaceError(
                429, "Too many requests", bare=True, headers={"retry-after": wait} if wait else None
            )
        self._calls.append(now)

    # -- looking up ---------------------------------------------------------------------------------

    def credits_left(self) -> int | None:
        """Give the credits that are left; None: without limit."""
        credits = self.switches.credits
        return None if credits is None else max(credits - self.spent, 0)

    def find(self, record: Record) -> Match | KnownPerson | None:
        """Find a record's person, or else its company: by an id of an earlier answer, else by name, website and
        country.
        """
        if record.person is not None:
            return person_of(record.person, everybody=self.switches.everybody_known)
        if record.identifier:
            if self._by_id is None:
                self._by_id = {company_id(c): c for c in reversed(self.directory.companies)}
            known = self._by_id.get(record.identifier)
            if known is not None:
                return Match(known, "HIGH")
        found = self.directory.match(record.name, record.website, record.country)
        threshold = CONFIDENCES.index(self.switches.confidence_threshold)
        if found is None or CONFIDENCES.index(found.confidence) > threshold:
            return None
        if self.switches.restrict_location:
            wanted, there = country_of(record.country), country_of(found.company.country)
            if wanted and there and wanted != there:
                return None
        return found

    def failure(self, record: Record) -> int | None:
        """Give the code with which this record fails now."""
        for part, code in self.switches.failing.items():
            if part in record.label:
                times = self.switches.failing_times
                if code == 1100 and times is not None and self._failed[record.label] >= times:
                    return None
                return code
        return None

    def look_up(self, record: Record, found: Match | KnownPerson | None, failing: int | None) -> Json:
        """Give the result of one record, count it and charge it."""
        if record.person is None:
            self.looked_up[record.key] += 1
        else:
            self.people_looked_up[record.person.key] += 1
        if failing is not None:
            self._failed[record.label] += 1
        if self.costs(found, failing):
            self.spent += 1
        return self.result(record, found, failing)

    def costs(self, found: Match | KnownPerson | None, failing: int | None) -> bool:
        """Tell whether a record costs a credit."""
        return self.switches.credits_charge_misses or (found is not None and failing is None)

    def result(self, record: Record, found: Match | KnownPerson | None, failing: int | None) -> Json:
        """Give an EnrichmentResult."""
        switches = self.switches
        if self.naming is not None and self.naming != switches.naming:
            switches = replace(switches, naming=self.naming)
        top: Json = {"status": cased("success", switches.status_case)}
        if switches.echo_external_id and record.external_id is not None:
            top["external_id"] = record.external_id
        if switches.extra_unknown_fields:
            top["emulator_unknown"] = True
        if failing is not None:
            top["status"] = cased(switches.failing_status, switches.status_case)
            message = "Internal error" if failing == 1100 else "Invalid input"
            error: Json = {"code": str(failing) if switches.numbers_as_text else failing, "message": message}
            places: dict[str, Json] = {
                "top": {"error": error},
                "data": {"data": {"error": error}},
                "flat": {"error_code": error["code"]},
                "list": {"errors": [error]},
                "text": {"error": str(failing)},
                "inner": {"data": {"errorCode": error["code"]}},
            }
            return top | places[switches.failing_where]
        data: Json
        if found is None:
            data = {"enrichment_status": "Not Enriched"}
            if switches.unmatched_content == "null":
                data["company"] = None
            elif switches.unmatched_content == "original_name":
                data["company"] = {"original_name": record.name}
        elif isinstance(found, KnownPerson):
            data = self._person_data(record, found)
        else:
            above = self.directory.match(found.company.parent) if found.company.parent else None
            parent = above.company if above and above.company.name == found.company.parent else None
            content = company_content(found.company, record.name, found.confidence, switches, parent)
            data = {
                "enrichment_status": cased("Company Enriched", switches.enrichment_status_case),
                "company": _with_gaps(content, switches.missing),
            }
        if switches.extra_unknown_fields:
            data |= {"emulator_unknown": None, "cdi_matched": "", "total_scores": []}
        return top | {"data": data}

    def _person_data(self, record: Record, found: KnownPerson) -> Json:
        """Give `data` of a person who is known, with his company where that is asked for and known too."""
        switches = self.switches
        status = "Person Enriched" if switches.person_status == "person" else "Person & Company Enriched"
        data: Json = {"enrichment_status": cased(status, switches.enrichment_status_case)}
        if switches.person_object != "absent":
            content = person_content(found, switches)
            data["person"] = (
                _with_gaps(content, "absent" if switches.person_words == "absent" else switches.missing)
                if isinstance(content, dict) and content
                else content
            )
        if switches.person_status == "both":
            match = self.directory.match(record.name, record.website, record.country)
            if match is not None:
                content = company_content(match.company, record.name, match.confidence, switches, None)
                data["company"] = _with_gaps(content, switches.missing)
        return data

    # -- bulks --------------------------------------------------------------------------------------

    def accept(self, records: list[Record]) -> Bulk:
        """Take a bulk, or refuse it for want of credits; what is taken is counted and paid at once."""
        found = [(record, self.find(record), self.failure(record)) for record in records]
        left = self.credits_left()
        affordable = len(found)
        if left is not None:
            affordable = 0
            for _, match, failing in found:
                left -= self.costs(match, failing)
                if left < 0:
                    break
                affordable += 1
        identifier = str(uuid4())[:-2] + "ft"
        switches = self.switches
        results: list[Json] | None = None
        status = "COMPLETED" if affordable == len(found) else "INSUFFICIENT_CREDITS"
        if affordable == len(found) or (switches.insufficient == "partial" and affordable):
            results = self._arranged([self.look_up(*each) for each in found[:affordable]], identifier)
        elif switches.insufficient != "accept":
            raise out_of_credits()
        elif switches.poll_of_failed == "partial":
            results = self._arranged([self.look_up(*each) for each in found[:affordable]], identifier)
        if switches.internal_error and status == "COMPLETED":
            status = "INTERNAL_ERROR"
            results = (
                results[: len(results) // 2] if results and switches.poll_of_failed == "partial" else None
            )
        bulk = Bulk(identifier, len(records), results, switches.polls_before_done, status=status)
        self.bulks[identifier] = bulk
        return bulk

    def _arranged(self, results: list[Json], identifier: str) -> list[Json]:
        switches = self.switches
        results = results[switches.missing_results :]
        if switches.duplicate_results:
            second: Json = {"data": {"enrichment_status": "Not Enriched"}} if switches.second_differs else {}
            results = [each for result in results for each in (result, result | second)]
        if switches.foreign_result:
            stranger = Record("Nobody asked for this", "", "", "", f"foreign-{identifier[:8]}")
            results = [*results, self.result(stranger, None, None)]
        if switches.shuffle_results and not switches.second_differs:
            Random(seeded_bytes(f"shuffle:{len(self.bulks)}")).shuffle(results)
        return results

    def call_back(self, url: str, bulk: Bulk) -> None:
        """Tell the caller when the bulk is done; whether that arrives is nobody's concern."""
        task = asyncio.create_task(self._call_back(url, bulk))
        self._callbacks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._callbacks.discard)

    async def _call_back(self, url: str, bulk: Bulk) -> None:
        await asyncio.sleep(self.switches.callback_after)
        bulk.polls_left = 0
        statuses = [
            result.get("data", {}).get("enrichment_status", "").lower() for result in bulk.results or ()
        ]
        successful = sum(1 for result in bulk.results or () if "enrichment_status" in result.get("data", {}))
        body = {
            "bulkId": bulk.id,
            "callbackMethod": {"callbackUrl": url, "pollingUrl": RESULTS_PATH + bulk.id},
            "bulkStatus": bulk.status,
            "successRecords": successful,
            "personEnriched": sum(1 for status in statuses if status.startswith("person")),
            "companyEnriched": sum(1 for status in statuses if status.endswith("company enriched")),
        }
        try:
            async with httpx.AsyncClient(trust_env=False, verify=False, timeout=2.0) as client:
                await client.post(url, json=body)
        except httpx.HTTPError:
            pass


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def error_body(error: LeadspaceError, tracking_id: str) -> bytes:
    """Give an error answer's body in the service's shape."""
    return msgspec.json.encode(
        {
            "error": error.message,
            "tracking_id": tracking_id,
            "request_timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "details": error.details,
        }
    )


def out_of_credits() -> LeadspaceError:
    """Give the non-standard refusal of a program without credits."""
    return LeadspaceError(427, "Insufficient credits", "The program has too few credits for this request.")


# ---------------------------------------------------------------------------------------------------
# endpoints


def _state(request: Request) -> Emulator:
    emulator: Emulator = request.app.state.emulator
    return emulator


def _answer(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, {"content-type": "application/json"})


async def _json(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise LeadspaceError(415, "Unsupported media type", bare=True)
    body = await request.body()
    largest = _state(request).switches.largest_body
    if largest is not None and len(body) > largest:
        raise LeadspaceError(413, "Payload too large", bare=True)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LeadspaceError(400, "Invalid JSON", "The body is not JSON.") from error


async def authorize(request: Request) -> Response:
    """Issue a token for the program's credentials (POST) or for a refresh token (PUT)."""
    emulator = _state(request)
    known = {"user", "pass", "audience"} if request.method == "POST" else {"user", "refreshToken"}
    given = _checked(await _json(request), "", known, known)
    for name in sorted(known - set(given)):
        raise LeadspaceError(400, "Invalid input", f"{name} is missing.")
    answer: Json | None = None
    if given["user"] == emulator.switches.program_id:
        if request.method == "PUT":
            answer = emulator.refresh(given["refreshToken"])
        elif given["pass"] == emulator.switches.secret and given["audience"] == "API_GATEWAY":
            answer = emulator.issue_token()
    if answer is None:
        raise LeadspaceError(401, "Unauthorized", bare=True)
    return _answer(answer)


async def single(request: Request) -> Response:
    """Look up one record."""
    emulator = _state(request)
    record = _record(await _json(request))
    emulator.naming = request.state.naming
    if emulator.credits_left() == 0:
        raise out_of_credits()
    result = emulator.look_up(record, emulator.find(record), emulator.failure(record))
    await asyncio.sleep(emulator.switches.hold_after_accept)
    return _answer(result)


async def bulk(request: Request) -> Response:
    """Take up to 500 records; their results are polled for."""
    emulator = _state(request)
    switches = emulator.switches
    given = _checked(await _json(request), "", BULK_INPUT, BULK_INPUT - {"data"})
    emulator.naming = request.state.naming
    data = given.get("data")
    if (
        not isinstance(data, list)
        or (not data and switches.empty_list == "refuse")
        or (len(data) > BULK_MAXIMUM and switches.more_than_maximum == "refuse")
    ):
        raise LeadspaceError(400, "Invalid input", f"data is not a list of 1 to {BULK_MAXIMUM} records.")
    records = [_record(element, f"data[{index}]") for index, element in enumerate(data)]
    ids = [record.external_id for record in records if record.external_id is not None]
    if switches.duplicate_ids == "refuse" and len(set(ids)) < len(ids):
        raise LeadspaceError(400, "Invalid input", "Two records have one external_id.")
    url = given.get("callbackUrl")
    if url is not None and urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise not_implemented("a callback to another machine")
    accepted = emulator.accept(records)
    if url is not None:
        emulator.call_back(url, accepted)
    await asyncio.sleep(emulator.switches.hold_after_accept)
    link = RESULTS_PATH + accepted.id
    if switches.results_link == "bare":
        link = accepted.id
    elif switches.results_link == "absolute":
        link = str(request.base_url).rstrip("/") + link
    return _answer({"id": link}, 202)


async def results(request: Request) -> Response:
    """Give a bulk's results, 204 while it is at work, 404 for one that is not known (any more)."""
    emulator = _state(request)
    asked = emulator.bulks.get(request.path_params["bulk"])
    kept, seconds = emulator.switches.results_kept, emulator.switches.results_kept_seconds
    if (
        asked is None
        or (kept is not None and asked.fetched >= kept)
        or (seconds is not None and time.monotonic() - asked.accepted_at >= seconds)
    ):
        raise LeadspaceError(404, "Not found", "There are no such results.")
    if asked.polls_left > 0:
        asked.polls_left -= 1
        return Response(status_code=204)
    asked.fetched += 1
    if asked.results is not None:
        return _answer({"results": asked.results})
    match emulator.switches.poll_of_failed:
        case "204":
            return Response(status_code=204)
        case "partial" | "empty":
            return _answer({"results": []})
        case "404":
            raise LeadspaceError(404, "Not found", "There are no such results.")
        case "500":
            raise LeadspaceError(500, "Internal error", "The results were lost.")
    raise out_of_credits()


async def unknown(request: Request) -> Response:
    """Refuse everything else."""
    raise not_implemented(f"{request.method} {request.url.path}")


def _only(*methods: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Any:
    """Refuse other methods of a path that exists."""

    async def answer(request: Request) -> Response:
        if request.method not in methods:
            raise LeadspaceError(405, "Method not allowed", bare=True, headers={"allow": ", ".join(methods)})
        return await endpoint(request)

    return answer


EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


async def _refuse(request: Request, error: Exception) -> Response:
    return _state(request).refuse(request, error)


def create_app(
    directory: Directory | Iterable[Company],
    switches: Switches | None = None,
    *,
    kind: type[Emulator] = Emulator,
    **changed: Any,
) -> Starlette:
    """Make the app over companies; keyword arguments set fields of `Switches`. State: `app.state.emulator`."""
    switches = Switches() if switches is None else switches
    set_switches(switches, changed)
    paths = {
        "/oauth/authorize": _only("POST", "PUT", endpoint=authorize),
        SINGLE_PATH: _only("POST", endpoint=single),
        BULK_PATH: _only("POST", endpoint=bulk),
        RESULTS_PATH + "{bulk}": _only("GET", endpoint=results),
        "/{path:path}": unknown,
    }
    app = Starlette(
        routes=[Route(path, endpoint, methods=EVERY_METHOD) for path, endpoint in paths.items()],
        exception_handlers={LeadspaceError: _refuse},
    )
    directory = directory if isinstance(directory, Directory) else Directory(directory)
    emulator = kind(directory, switches)
    app.state.emulator = emulator
    return surround(app, emulator)


# ---------------------------------------------------------------------------------------------------
# running it


class Handle(ServerHandle):
    """A running emulator, as a test sees it."""

    def __init__(self, url: str, emulator: Emulator, stop: Callable[[], None]) -> None:
        super().__init__(url, emulator, stop)
        self.emulator = emulator
        self.switches = emulator.switches

    @property
    def looked_up(self) -> Counter[tuple[str, str, str]]:
        """How often each (name, website, country), as sent, was looked up, and so paid for."""
        return self.emulator.looked_up

    @property
    def people_looked_up(self) -> Counter[tuple[str, str, str]]:
        """How often each person (first name, last name, e-mail), as sent, was looked up, and so paid for."""
        return self.emulator.people_looked_up

    @property
    def bulks(self) -> list[tuple[str, int]]:
        """Id and size of every bulk that was accepted, oldest first."""
        return [(each.id, each.size) for each in list(self.emulator.bulks.values())]

    @property
    def spent(self) -> int:
        """Credits spent so far."""
        return self.emulator.spent

    def expire_tokens(self) -> None:
        """Make every OAuth token issued so far worthless; the perpetual one stays."""
        self.emulator.expire_tokens()

    def reset(self) -> None:
        """Begin anew with the same companies and no switch set; cheaper than another server."""
        overwrite(self.switches, Switches())
        self.emulator.forget()


@contextmanager
def running(directory: Directory | Iterable[Company], **switches: Any) -> Iterator[Handle]:
    """Run the emulator in a thread on a free loopback port; keyword arguments set fields of `Switches`."""
    app = create_app(directory, **switches)
    with in_thread(app, "Leadspace") as (url, stop):
        yield Handle(url, app.state.emulator, stop)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve companies until interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="python -m emulators.leadspace", description=main.__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--companies", type=Path, metavar="FILE", help="CSV or Parquet with a row a company")
    source.add_argument("--directory", metavar="MODULE:FUNCTION", help="what gives a list of companies")
    add_serving_options(parser)
    given = parser.parse_args(arguments)
    found = load_companies(given.companies) if given.companies else call(given.directory, "companies")
    if not isinstance(found, list) or not all(isinstance(company, Company) for company in found):
        raise SystemExit(f"{given.directory} gave no list of companies")
    serve(create_app(found), given)


if __name__ == "__main__":
    main()
