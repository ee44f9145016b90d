"""The Leadspace extraction: plan, send, collect, so that a kill at any instant sends no customer twice.

Every record that leaves stands in the ledger (raw.leadspace_batches, raw.leadspace_requests) before it leaves:

    sending ──► submitted ──► answered        a bulk, by the path of its results; a single lookup has no second state
       │            └───────► lost            the service has no results for it (any more)
       ├──────────► refused                   nothing was looked up: its customers may be sent again
       └──────────► uncertain                 the connection broke, or the run was killed, with it under way

Nobody can tell whether what is uncertain or lost was charged. Its customers are held: never sent again by
itself, but by `--send-again`, which a person has to say.

An answer belongs to an input (its fingerprint), whichever enrichment asked: two enrichments, or one under a new
name, do not pay twice for the same customer.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engagement.config import LeadspaceEnrichment, Settings
from engagement.errors import AuthenticationError, CreditsError, EngagementError, ServiceError
from engagement.http import Patience
from engagement.leadspace import comparing, dataset, listing
from engagement.leadspace.client import (
    LARGEST_BULK,
    LEADSPACE,
    RESULTS_PATH,
    AnswerLost,
    Company,
    LeadspaceClient,
    Record,
    RequestRefused,
    ResultsGone,
)
from engagement.outcome import counted
from engagement.progress import Progress, Tell, progress
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection, append, transaction, utc_now

log = logging.getLogger(__name__)

SENDING, SUBMITTED, ANSWERED, REFUSED = "sending", "submitted", "answered", "refused"
UNCERTAIN, LOST, RELEASED = "uncertain", "lost", "released"
HELD = (SENDING, UNCERTAIN, LOST)
# The outcome of one record: a result, or what the service says that it could not do with it.
RESULT, FAILED, INVALID = "result", "failed", "invalid"

# With `endpoint: automatic` so many customers are looked up one by one, more in bulk.
MOST_SINGLES = 20
# Bulks under way at once: the service keeps up to 100,000 records waiting.
MOST_BULKS_WAITING = 200
# A record that the service failed on is sent so often in one run, and in all until max_age has passed.
MOST_ATTEMPTS, MOST_FAILURES = 2, 4
# Results that could not be fetched for so long never will be.
LONGEST_WAIT = timedelta(days=7)
# So many refusals of several records at once, and not one acceptance, are no fault of a customer's data: halving
# goes on with the other half first, so that good ones are met early.
MOST_REFUSALS = 12
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.5, 30.0
# Codes of a record that could not be enriched (the article "Leadspace Intent Only API").
INTERNAL_ERROR_CODE, INVALID_INPUT_CODE = RECORD_CODES = (1100, 1200)


@dataclass
class LeadspaceResult:
    """What an extraction did for one enrichment, in customers unless it says otherwise.

    `current` had an answer that is young enough before, `answered` have one now. `lookups` are records sent
    and `answers` the results that came back, also to what a run before had sent: customers of one input share
    them. `held` are not sent because an earlier request may have been charged.
    """

    enrichment_id: str
    customers: int = 0
    not_sent: dict[str, int] = field(default_factory=dict)
    current: int = 0
    answered: int = 0
    lookups: int = 0
    answers: int = 0
    failed: int = 0
    invalid: int = 0
    missing: int = 0
    waiting: int = 0
    exhausted: int = 0
    held: int = 0
    unknown_results: int = 0
    unreadable_results: int = 0
    fields_left_out: int = 0
    personal_websites: int = 0

    def warnings(self) -> list[str]:
        """What a person should know, one line each."""
        found = [
            (self.not_sent.get(dataset.NO_NAME, 0), "without a name; not sent, name them"),
            (
                self.not_sent.get(dataset.NAME_TOO_LONG, 0),
                f"with a name of more than {dataset.LONGEST_TEXT} characters; not sent, shorten it",
            ),
            (
                self.fields_left_out,
                f"with a website or country of more than {dataset.LONGEST_TEXT} characters; sent without it",
            ),
            (
                self.personal_websites,
                "whose website is a person's address or a domain of personal mailboxes; sent with the domain of the"
                " company alone, or without",
            ),
            (self.invalid, "refused as invalid input; correct their data, then they are sent again"),
            (self.failed, "that the service failed on; the next run asks again"),
            (self.missing, "without a result in a finished answer; the next run asks again"),
            (
                self.waiting,
                "whose results are not ready yet; the next run fetches them, nothing is sent twice",
            ),
            (
                self.exhausted,
                f"that the service failed on {MOST_FAILURES} times; not asked about until max_age has passed, or"
                " by `engagement extract leadspace --send-again`",
            ),
            (
                self.held,
                "held: a request of theirs may have been charged though its answer never came;"
                " `engagement extract leadspace --send-again` sends them again",
            ),
        ]
        lines = [f"{counted(count, 'customer')} {text}" for count, text in found if count]
        for count, text in (
            (self.unknown_results, "for a customer that was not sent; not stored"),
            (self.unreadable_results, "of another shape; not stored"),
        ):
            if count:
                lines.append(f"{counted(count, 'result')} {text}")
        return lines


@dataclass(frozen=True)
class _Batch:
    """One entry of the ledger; `path` leads to the results of a bulk."""

    batch_id: str
    fingerprints: frozenset[str]
    path: str = ""
    sent_at: datetime = field(default_factory=utc_now)


def extract(
    settings: Settings,
    connection: Connection,
    position: int,
    enrichment: LeadspaceEnrichment,
    *,
    run_id: str,
    send_again: bool = False,
    most_lookups: int | None = None,
    patience: Patience | None = None,
    tell: Tell | None = None,
) -> LeadspaceResult:
    """Asks for every customer of the data set whose answer is missing or older than `max_age`.

    What an earlier run has handed in is not sent again, and its results are collected with the rest. Raises
    AuthenticationError, CreditsError, ServiceError or ConfigurationError after collecting what can be; what was
    answered until then stays. `tell` hears how far it is.
    """
    patience = patience or Patience(seconds=settings.retry_seconds)
    customers = dataset.customers_of(settings, connection, position, enrichment)
    result = LeadspaceResult(
        enrichment.enrichment_id,
        customers=len(customers),
        not_sent=dataset.not_sent(customers),
        fields_left_out=sum(1 for customer in customers if customer.left_out),
        personal_websites=sum(1 for customer in customers if customer.is_personal_website),
    )
    listing.note(connection, enrichment.enrichment_id, run_id, customers, utc_now())
    with LeadspaceClient.of(settings, patience) as client:
        work = _Extraction(connection, client, enrichment, run_id, result, patience, settings, tell)
        work.plan(customers, send_again=send_again, most_lookups=most_lookups)
        try:
            work.go()
        finally:
            comparing.note(connection, settings.project_dir)
    result.answered = work.answered_customers()
    return result


class _Extraction:
    """The extraction of one enrichment."""

    def __init__(
        self,
        connection: Connection,
        client: LeadspaceClient,
        enrichment: LeadspaceEnrichment,
        run_id: str,
        result: LeadspaceResult,
        patience: Patience,
        settings: Settings,
        tell: Tell | None = None,
    ) -> None:
        self._connection = connection
        self._client = client
        self._enrichment = enrichment
        self._run_id = run_id
        self._result = result
        self._patience = patience
        self._settings = settings
        self._tell = tell
        self._tombstones = Tombstones.load(settings)
        self._oldest = utc_now() - timedelta(days=enrichment.max_age)
        self._waiting: list[_Batch] = []
        self._companies: dict[str, Company] = {}
        self._to_send: list[Record] = []
        self._to_repeat: set[str] = set()
        self._attempts = MOST_ATTEMPTS
        self._refusals = 0
        self._refused_alone: list[_Batch] = []
        self._problem: ServiceError | None = None
        self._bar: Progress | None = None
        self._accepted = False

    # --- what to ask

    def plan(
        self, customers: Sequence[dataset.Customer], *, send_again: bool, most_lookups: int | None
    ) -> None:
        """Who has to be asked about: each input once, however many customers share it."""
        self._waiting = self._submitted_before()
        if send_again:
            # What can still be fetched is not given up.
            self._collect_quietly()
            self._release((*HELD, SUBMITTED))
            self._waiting = []
            self._problem, self._result.waiting = None, 0
        under_way = {fingerprint for batch in self._waiting for fingerprint in batch.fingerprints}
        current = self._fingerprints(
            "select fingerprint from raw.leadspace_responses where received_at > ? and outcome != 'failed'"
        )
        held = self._fingerprints(
            "select requests.fingerprint"
            " from raw.leadspace_requests as requests"
            " inner join raw.leadspace_batches as batches using (batch_id)"
            f" where batches.sent_at > ? and batches.state in {HELD}"
        )
        exhausted = set()
        if not send_again:
            exhausted = self._fingerprints(
                "select fingerprint from raw.leadspace_responses where received_at > ? and outcome = 'failed'"
                f" group by fingerprint having count(*) >= {MOST_FAILURES}"
            )
        exhausted -= current
        self._result.current = sum(1 for customer in customers if customer.fingerprint in current)
        self._result.held = sum(1 for customer in customers if customer.fingerprint in held - current)
        self._companies = {
            customer.fingerprint: customer.company
            for customer in customers
            if customer.fingerprint is not None and customer.company is not None
        }
        self._result.exhausted = sum(1 for customer in customers if customer.fingerprint in exhausted)
        not_now = current | held | under_way | exhausted
        if most_lookups is not None:
            # Not one more than was agreed to.
            self._attempts = 1
        self._to_send = [record for record in self._companies.items() if record[0] not in not_now][
            :most_lookups
        ]

    def _submitted_before(self) -> list[_Batch]:
        rows = self._connection.execute(
            "select batch_id, any_value(results_path), any_value(sent_at), list(fingerprint)"
            " from raw.leadspace_batches inner join raw.leadspace_requests using (batch_id)"
            " where state = ? group by batch_id order by batch_id",
            [SUBMITTED],
        ).fetchall()
        return [
            _Batch(batch_id, frozenset(fingerprints), path, sent_at)
            for batch_id, path, sent_at, fingerprints in rows
        ]

    def _release(self, states: tuple[str, ...]) -> None:
        with transaction(self._connection):
            self._connection.execute(
                "update raw.leadspace_batches set state = ? where list_contains(?, state)",
                [RELEASED, list(states)],
            )

    def _fingerprints(self, query: str) -> set[str]:
        return {row[0] for row in self._connection.execute(query, [self._oldest]).fetchall()}

    def answered_customers(self) -> int:
        """Customers of the data set with an answer that is young enough."""
        row = self._connection.execute(
            "select count(distinct account_id) from raw.leadspace_accounts as accounts"
            " inner join raw.leadspace_responses as responses using (fingerprint)"
            " where accounts.enrichment_id = ? and received_at > ? and outcome = ?",
            [self._enrichment.enrichment_id, self._oldest, RESULT],
        ).fetchone()
        return int(row[0]) if row is not None else 0

    # --- asking

    def go(self) -> None:
        """Sends and collects, and once more what the service failed on."""
        with progress(f"{self._enrichment.name}: answers", tell=self._tell) as self._bar:
            self._send_and_collect(self._to_send)
            for _ in range(1, self._attempts):
                again = [
                    (fingerprint, self._companies[fingerprint])
                    for fingerprint in sorted(self._to_repeat & self._companies.keys())
                ]
                self._to_repeat.difference_update(fingerprint for fingerprint, _ in again)
                self._send_and_collect(again)
        self._result.failed = len(self._to_repeat)
        if self._problem is not None:
            raise self._problem

    def _send_and_collect(self, records: Sequence[Record]) -> None:
        endpoint = self._enrichment.endpoint
        if endpoint == "automatic":
            endpoint = "single" if len(records) <= MOST_SINGLES else "bulk"
        size = 1 if endpoint == "single" else LARGEST_BULK
        # Halves of a refused bulk go to the end, so that others are tried before it is halved on.
        to_send = deque(records[start : start + size] for start in range(0, len(records), size))
        try:
            while to_send:
                chunk = to_send.popleft()
                if endpoint == "single":
                    self._send_single(chunk)
                else:
                    to_send.extend(self._send_bulk(chunk))
                self._show()
                if len(self._waiting) >= MOST_BULKS_WAITING:
                    self._collect()
        except (AuthenticationError, CreditsError, ServiceError):
            # What was handed in has been paid for, so it is fetched before the error goes on its way.
            self._collect_quietly()
            raise
        finally:
            self._note_invalid()
        self._collect()

    def _collect_quietly(self) -> None:
        try:
            self._collect(wait=False)
        except EngagementError as error:
            log.debug("while collecting after an error: %s", error.message)

    def _send_single(self, records: Sequence[Record]) -> None:
        [record] = records
        batch = self._open("single", records)
        with self._settling(batch):
            try:
                response = self._client.single(record)
            except RequestRefused:
                self._refuse(batch)
                return
            self._accepted = True
            self._land(batch, [response], whose=record[0])

    def _send_bulk(self, records: Sequence[Record]) -> list[Sequence[Record]]:
        """Hands a bulk in. One record that the service cannot read spoils its bulk, which is halved until that one
        stands alone: the halves, to be sent in its place.
        """
        batch = self._open("bulk", records)
        with self._settling(batch):
            try:
                path = self._client.bulk(records)
            except RequestRefused:
                self._refuse(batch)
            else:
                self._accepted = True
                self._set_state(batch, SUBMITTED, path=path)
                self._waiting.append(replace(batch, path=path))
                return []
        middle = len(records) // 2
        return [records[:middle], records[middle:]] if middle else []

    @contextmanager
    def _settling(self, batch: _Batch) -> Iterator[None]:
        """Around one submit: whatever ends it is noted in the ledger. A kill leaves `sending`, which is held."""
        try:
            yield
        except AnswerLost as lost:
            self._set_state(batch, UNCERTAIN)
            self._result.held += len(batch.fingerprints)
            raise ServiceError(
                f"{LEADSPACE}: the answer to {counted(len(batch.fingerprints), 'customer')} was lost"
                f" ({lost.reason}) and may have been charged; they are held, run again for the others, and"
                " `engagement extract leadspace --send-again` to ask about them once more"
            ) from None
        except (AuthenticationError, CreditsError, ServiceError):
            # The service said no, so nothing of the batch was looked up.
            self._result.lookups -= len(batch.fingerprints)
            self._set_state(batch, REFUSED)
            raise

    def _open(self, endpoint: str, records: Sequence[Record]) -> _Batch:
        batch = _Batch(
            f"{self._run_id}-{secrets.token_hex(4)}", frozenset(fingerprint for fingerprint, _ in records)
        )
        enrichment_id = self._enrichment.enrichment_id
        with transaction(self._connection):
            append(
                self._connection,
                "leadspace_batches",
                [(enrichment_id, batch.batch_id, self._run_id, endpoint, SENDING, None, batch.sent_at, None)],
            )
            append(
                self._connection,
                "leadspace_requests",
                [(enrichment_id, batch.batch_id, fingerprint) for fingerprint, _ in records],
            )
        self._result.lookups += len(records)
        return batch

    def _refuse(self, batch: _Batch) -> None:
        """Nothing of it was looked up. A record that stands alone is invalid, if the service takes others."""
        self._refusals += len(batch.fingerprints) > 1
        if not self._accepted and self._refusals >= MOST_REFUSALS:
            raise ServiceError(
                f"{LEADSPACE}: refuses every request as unreadable (status 400); no customer's data is the"
                " reason, please report this line"
            )
        self._result.lookups -= len(batch.fingerprints)
        self._set_state(batch, REFUSED)
        if len(batch.fingerprints) == 1:
            self._result.invalid += 1
            self._refused_alone.append(batch)

    def _note_invalid(self) -> None:
        """Records refused by a service that takes others are not sent again until their data change."""
        if not self._refused_alone or not (self._accepted or self._was_accepted_before()):
            return
        with transaction(self._connection):
            for batch in self._refused_alone:
                self._append_responses(batch, {key: (INVALID, None) for key in batch.fingerprints})
        self._refused_alone.clear()

    def _was_accepted_before(self) -> bool:
        row = self._connection.execute(
            "select count(*) from raw.leadspace_batches where list_contains(?, state)",
            [[SUBMITTED, ANSWERED]],
        ).fetchone()
        return row != (0,)

    # --- collecting

    def _collect(self, *, wait: bool = True) -> None:
        """Fetches the results of every bulk that was handed in, waiting for those that are not ready.

        A bulk that cannot be fetched keeps no other from it. What is not ready in time is left to the next run.
        """
        pause = FIRST_POLL_SECONDS
        patient = timedelta(seconds=self._settings.leadspace_wait_seconds)
        while self._waiting:
            for batch in list(self._waiting):
                try:
                    is_settled = self._fetch(batch)
                except ServiceError as error:
                    self._problem = self._problem or error
                    is_settled = True
                if not is_settled and (not wait or utc_now() - batch.sent_at >= patient):
                    self._leave(batch)
                    is_settled = True
                if is_settled:
                    self._waiting.remove(batch)
                    self._show()
            if self._waiting:
                self._show()
                self._patience.sleep(pause)
                pause = min(pause * 2, LONGEST_POLL_SECONDS)

    def _leave(self, batch: _Batch) -> None:
        """Its results are not ready: for the next run, unless that has been so for too long."""
        if utc_now() - batch.sent_at >= LONGEST_WAIT:
            self._lose(batch)
        else:
            self._result.waiting += len(batch.fingerprints)

    def _fetch(self, batch: _Batch) -> bool:
        """Whether a bulk is settled."""
        try:
            results = self._client.results(batch.path)
        except ResultsGone:
            self._lose(batch)
            log.warning(
                "warning: %s: the results of %d customers are gone (status 404)",
                self._enrichment.enrichment_id,
                len(batch.fingerprints),
            )
            return True
        except RequestRefused:
            raise ServiceError(
                f"{LEADSPACE}: GET {RESULTS_PATH} answered status 400; if it stays so, give the"
                " results up with `engagement extract leadspace --send-again`"
            ) from None
        except CreditsError:
            # Whether some of it was charged is not said, and asking again will not tell.
            self._lose(batch)
            self._waiting.remove(batch)
            raise
        except ServiceError:
            if utc_now() - batch.sent_at < LONGEST_WAIT:
                raise
            self._lose(batch)
            return True
        if results is None:
            return False
        self._land(batch, results)
        return True

    def _lose(self, batch: _Batch) -> None:
        self._set_state(batch, LOST)
        self._result.held += len(batch.fingerprints)

    def _land(self, batch: _Batch, results: Sequence[bytes], *, whose: str | None = None) -> None:
        """Stores what belongs to the batch, as received but for people who were erased, in one transaction with the
        ledger.

        `whose` is the record of a single lookup, where the service need not repeat our id.
        """
        landed: dict[str, tuple[str, str | None]] = {}
        strange = 0
        for raw in results:
            read = read_result(raw)
            if read is None:
                self._result.unreadable_results += 1
                strange += 1
                continue
            request_id, outcome = read
            # Ours are in lower case; who writes them back otherwise still means them.
            fingerprint = whose if request_id is None else request_id.lower()
            if fingerprint not in batch.fingerprints:
                self._result.unknown_results += 1
                strange += 1
            elif fingerprint in landed:
                self._result.unknown_results += 1
            else:
                landed[fingerprint] = (outcome, self._tombstones.masked(raw.decode()))
        self._to_repeat |= {key for key, (outcome, _) in landed.items() if outcome == FAILED}
        self._result.answers += sum(1 for outcome, _ in landed.values() if outcome == RESULT)
        self._result.invalid += sum(1 for outcome, _ in landed.values() if outcome == INVALID)
        without = len(batch.fingerprints) - len(landed)
        # A result that could not be told whose it is was paid for, by one of those who have none.
        is_lost = without > 0 and (strange > 0 or whose is not None)
        if is_lost:
            self._result.held += without
        else:
            self._result.missing += without
        with transaction(self._connection):
            self._append_responses(batch, landed)
            self._update_state(batch, LOST if is_lost else ANSWERED)

    def _append_responses(self, batch: _Batch, landed: dict[str, tuple[str, str | None]]) -> None:
        now = utc_now()
        append(
            self._connection,
            "leadspace_responses",
            [
                (
                    self._enrichment.enrichment_id,
                    fingerprint,
                    batch.batch_id,
                    outcome,
                    response,
                    now,
                    self._run_id,
                )
                for fingerprint, (outcome, response) in landed.items()
            ],
        )

    def _set_state(self, batch: _Batch, state: str, *, path: str | None = None) -> None:
        with transaction(self._connection):
            self._update_state(batch, state, path=path)

    def _update_state(self, batch: _Batch, state: str, *, path: str | None = None) -> None:
        self._connection.execute(
            "update raw.leadspace_batches set state = ?, results_path = coalesce(?, results_path), settled_at = ?"
            " where batch_id = ?",
            [state, path, None if state == SUBMITTED else utc_now(), batch.batch_id],
        )

    def _show(self) -> None:
        if self._bar is None:
            return
        asked = self._result.answers + sum(len(batch.fingerprints) for batch in self._waiting)
        self._bar.advance(to=self._result.answers, total=max(asked, self._result.lookups))


def read_result(raw: bytes) -> tuple[str | None, str] | None:
    """Our id and the outcome of one result; None where it is not of the documented shape.

    Where a record's error code stands is not documented, so it is looked for in every plausible place.
    """
    try:
        result = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    request_id = result.get("external_id")
    if request_id is not None and not isinstance(request_id, str):
        return None
    data = result.get("data")
    inner = data if isinstance(data, dict) else {}
    codes = set(_codes(result)) | set(_codes(inner))
    statuses = {str(part.get("status")).strip().lower() for part in (result, inner)}
    status = inner.get("enrichment_status") or ""
    if INVALID_INPUT_CODE in codes or "invalid input" in statuses | {str(status).strip().lower()}:
        return request_id, INVALID
    if INTERNAL_ERROR_CODE in codes or "failure" in statuses:
        return request_id, FAILED
    # Without a word about what was enriched, the company's fields have to tell.
    if not isinstance(data, dict) or not isinstance(status, str):
        return None
    company = inner.get("company")
    if company is not None and not isinstance(company, dict):
        return None
    return request_id, RESULT


def _codes(part: dict[str, Any]) -> list[int]:
    places = [part, part.get("error"), part.get("errors")]
    found = []
    for place_ in places:
        if isinstance(place_, list):
            place_ = place_[0] if place_ else None
        values = (
            [place_.get(key) for key in ("code", "error_code", "errorCode", "status_code", "error")]
            if isinstance(place_, dict)
            else [place_]
        )
        found += [code for value in values for code in RECORD_CODES if str(value) == str(code)]
    return found
