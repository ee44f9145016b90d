"""The Leadspace extraction: send and collect what was planned, so that a kill at any instant sends no customer twice.

Every record that leaves stands in the ledger before it leaves (engagement.leadspace.ledger). Nobody can tell whether
what is uncertain or lost was charged. Its customers are held: never sent again by itself, but by `--send-again`,
which a person has to say.

An answer belongs to an input (its fingerprint), whichever enrichment asked: two enrichments, or one under a new
name, do not pay twice for the same customer (engagement.leadspace.plan).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

import duckdb

from engagement.configuration.settings import Settings
from engagement.errors import AuthenticationError, CreditsError, EngagementError, ServiceError
from engagement.leadspace import contacts, dataset, ledger
from engagement.leadspace.client import (
    LARGEST_BULK,
    LEADSPACE,
    RESULTS_PATH,
    Access,
    AnswerLost,
    LeadspaceClient,
    NotSent,
    Record,
    RequestRefused,
    ResultsGone,
)
from engagement.leadspace.crew import Call, Crew
from engagement.leadspace.ledger import Batch
from engagement.leadspace.plan import MOST_FAILURES, Plan
from engagement.leadspace.results import FAILED, INVALID, RESULT, read_result
from engagement.leadspace.subjects import Landed
from engagement.outcome import counted
from engagement.progress import Progress, Tell, progress
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection, transaction, utc_now

log = logging.getLogger(__name__)

# With `endpoint: automatic` so many customers are looked up one by one, more in bulk.
MOST_SINGLES = 20
# Bulks under way at once: the service keeps up to 100,000 records waiting.
MOST_BULKS_WAITING = 200
# Calls at once: at 30 a second, answers that take four seconds. And calls that are in the ledger and have not left:
# they connect meanwhile, and a kill holds their customers.
MOST_AT_ONCE, MOST_NOT_LEFT = 120, 6
SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_SHOWS = 0.02, 1.0
# Results that could not be fetched for so long never will be.
LONGEST_WAIT = timedelta(days=7)
# So many refusals of several records at once, and not one acceptance, are no fault of a customer's data: halving
# goes on with the other half first, so that good ones are met early.
MOST_REFUSALS = 12
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.25, 30.0


@dataclass
class LeadspaceResult:
    """What an extraction did for one enrichment, in customers unless it says otherwise (ContactsResult: in contacts).

    `current` had an answer that is young enough before, `answered` have one now. `lookups` are records sent
    and `answers` the results that came back, also to what a run before had sent: customers of one input share
    them. `held` are not sent because an earlier request may have been charged, `shared` because an enrichment before
    this one asks about them, `left` because of max_lookups.
    """

    noun: ClassVar[str] = "customer"
    # Of those that are not sent, the reasons that a person can do something about.
    reasons: ClassVar[dict[str, str]] = {
        dataset.NO_NAME: "without a name; not sent, name them",
        dataset.NAME_TOO_LONG: (
            f"with a name of more than {dataset.LONGEST_TEXT} characters; not sent, shorten it"
        ),
    }

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
    shared: int = 0
    left: int = 0
    unknown_results: int = 0
    unreadable_results: int = 0
    fields_left_out: int = 0
    personal_websites: int = 0

    def add(self, collected: LeadspaceResult) -> None:
        """Counts what was fetched for this command before the plan was made."""
        for name in ("answers", "invalid", "unknown_results", "unreadable_results"):
            setattr(self, name, getattr(self, name) + getattr(collected, name))

    def warnings(self) -> list[str]:
        """What a person should know, one line each."""
        found = [
            *((self.not_sent.get(reason, 0), text) for reason, text in self.reasons.items()),
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
            (self.left, "left for the next run, max_lookups"),
        ]
        lines = [f"{counted(count, self.noun)} {text}" for count, text in found if count]
        for count, text in (
            (self.unknown_results, f"for a {self.noun} that was not sent; not stored"),
            (self.unreadable_results, "of another shape; not stored"),
        ):
            if count:
                lines.append(f"{counted(count, 'result')} {text}")
        return lines

    def facts(self) -> dict[str, Any]:
        """The numbers, for machines."""
        numbers = asdict(self)
        return {
            f"{self.noun}s" if name == "customers" else name: value for name, value in numbers.items()
        } | {"warnings": self.warnings()}


@dataclass
class ContactsResult(LeadspaceResult):
    """The same in contacts."""

    noun: ClassVar[str] = "contact"
    reasons: ClassVar[dict[str, str]] = {
        dataset.NO_NAME: "without first and last name; not sent, name them",
        dataset.NAME_TOO_LONG: (
            f"with a name of more than {dataset.LONGEST_TEXT} characters; not sent, shorten it"
        ),
        contacts.OWN_PERSON: "who are people of ours; not sent, remove them from the contact file",
        contacts.NOT_LANDED: (
            "without a usable address or a known account, or not landed yet; not sent, correct them, then run"
            " `engagement extract customers`"
        ),
    }


def extract(
    settings: Settings,
    connection: Connection,
    plan: Plan,
    *,
    run_id: str,
    access: Access,
    tell: Tell | None = None,
) -> LeadspaceResult:
    """Asks for what is planned: every customer of the data set whose answer is missing or older than `max_age`.

    What an earlier run has handed in is not sent again, and its results are collected with the rest. Raises
    AuthenticationError, CreditsError, ServiceError or ConfigurationError after collecting what can be; what was
    answered until then stays. `access` is one for all extractions of a command; `tell` hears how far it is.
    """
    subjects = plan.subjects
    result = replace(
        _result_of(plan),
        customers=len(subjects.asked),
        not_sent=subjects.not_sent,
        **subjects.counts(),
        current=plan.current,
        exhausted=plan.exhausted,
        held=plan.held,
        shared=plan.shared,
        left=plan.left,
    )
    subjects.begin(connection, run_id)
    with LeadspaceClient(access) as client:
        try:
            _Extraction(connection, client, plan, run_id, result, settings, tell).go()
        finally:
            subjects.end(connection)
    result.answered = subjects.answered(connection, plan.oldest)
    return result


def _result_of(plan: Plan) -> LeadspaceResult:
    """The result of a plan of which nothing was done yet."""
    kind = ContactsResult if isinstance(plan.subjects, contacts.Contacts) else LeadspaceResult
    return kind(plan.enrichment.enrichment_id)


def give_up(
    settings: Settings, connection: Connection, nothing: Plan, *, run_id: str, access: Access
) -> LeadspaceResult:
    """Before customers are sent again: fetches what can still be fetched, and then gives up what was handed in or is
    held, whichever enrichment sent it. What came is counted in the result. `nothing` is a plan without records.
    """
    result = _result_of(nothing)
    with LeadspaceClient(access) as client:
        _Extraction(connection, client, nothing, run_id, result, settings).collect()
    ledger.release(connection, nothing.subjects.record_type)
    return result


@dataclass(eq=False)
class _Waiting:
    """A bulk that was handed in: when its results are asked for next, monotonic seconds."""

    batch: Batch
    due: float
    pause: float = FIRST_POLL_SECONDS


@dataclass(frozen=True, eq=False)
class _Sending:
    """Records on their way out, under their entry of the ledger."""

    batch: Batch
    records: Sequence[Record]


_Call = Call[_Sending | _Waiting]


class _Extraction:
    """The extraction of one enrichment: one thread plans, writes the ledger and lands; others make the calls."""

    def __init__(
        self,
        connection: Connection,
        client: LeadspaceClient,
        plan: Plan,
        run_id: str,
        result: LeadspaceResult,
        settings: Settings,
        tell: Tell | None = None,
    ) -> None:
        self._connection = connection
        self._client = client
        self._plan = plan
        self._enrichment = plan.enrichment
        self._subjects = plan.subjects
        self._run_id = run_id
        self._result = result
        self._tell = tell
        self._tombstones = Tombstones.load(settings)
        self._patient = timedelta(seconds=settings.leadspace_wait_seconds)
        self._crew: Crew[_Sending | _Waiting] = Crew(MOST_AT_ONCE)
        self._to_send: deque[Sequence[Record]] = deque()
        self._waiting = [
            _Waiting(batch, due=0.0) for batch in ledger.submitted(connection, plan.subjects.record_type)
        ]
        self._refusals = 0
        self._refused_alone: list[Batch] = []
        # What ends the extraction once what is under way is over, and what only makes it fail at its end.
        self._fatal: EngagementError | None = None
        self._problem: ServiceError | None = None
        self._waits = True
        self._accepted = False
        self._size = 1
        self._prepared: list[_Sending] = []
        self._bar: Progress | None = None

    def collect(self) -> None:
        """Fetches what is ready of what was handed in before, and waits for nothing. What fails is left alone."""
        self._waits = False
        self._work()
        if self._fatal or self._problem:
            log.debug("while collecting: %s", (self._fatal or self._problem).message)  # type: ignore[union-attr]

    def go(self) -> None:
        """Sends what is planned, and collects it with what was handed in before."""
        endpoint, records = self._enrichment.endpoint, self._plan.records
        if endpoint == "automatic":
            endpoint = "single" if len(records) <= MOST_SINGLES else "bulk"
        self._size = 1 if endpoint == "single" else LARGEST_BULK
        self._to_send.extend(
            records[start : start + self._size] for start in range(0, len(records), self._size)
        )
        with progress(f"{self._enrichment.name}: answers", tell=self._tell) as self._bar:
            self._work()
        if self._fatal or self._problem:
            raise self._fatal or self._problem  # type: ignore[misc]

    def _work(self) -> None:
        """Until everything is sent and collected, or cannot be."""
        try:
            while True:
                # A signal may end it at any line: what had not left then never leaves, and is not held.
                self._send()
                self._ask_for_results()
                if not self._crew.under_way and not self._to_send and not self._waiting:
                    break
                self._settle(self._crew.over(self._seconds_to_wait()))
                self._show()
        except BaseException:
            self._keep_back()
            raise
        finally:
            self._crew.dismiss()
            self._note_invalid()

    def _keep_back(self) -> None:
        """What was about to leave when something else ended the work stays here: nobody looks it up."""
        self._client.send_no_more()
        with contextlib.suppress(Exception):
            # What is answered already is not thrown away.
            self._settle(self._crew.over(0.0))
        gone = {call.what for call in self._crew.under_way if call.has_left}
        handed_out = [call.what for call in self._crew.under_way if not call.has_left]
        kept = [
            sending.batch
            for sending in {*handed_out, *self._prepared} - gone
            if isinstance(sending, _Sending)
        ]
        # Where even that is interrupted they are held.
        with contextlib.suppress(duckdb.Error), transaction(self._connection):
            for batch in kept:
                ledger.update(self._connection, batch, ledger.REFUSED)

    def _seconds_to_wait(self) -> float:
        """Until there is something to do again, unless a call is over before."""
        if self._to_send:
            return SECONDS_BETWEEN_LOOKS
        now = time.monotonic()
        return min(
            [
                min(max(waiting.due - now, SECONDS_BETWEEN_LOOKS), SECONDS_BETWEEN_SHOWS)
                for waiting in self._waiting
            ],
            default=SECONDS_BETWEEN_SHOWS,
        )

    # --- sending

    def _has_room(self) -> bool:
        not_left = sum(
            1 for call in self._crew.under_way if isinstance(call.what, _Sending) and not call.has_left
        )
        return (
            not_left + len(self._prepared) < MOST_NOT_LEFT
            and len(self._crew.under_way) + len(self._prepared) < MOST_AT_ONCE
        )

    def _send(self) -> None:
        """Hands out what may leave now. All of it stands in the ledger before, in one transaction."""
        if self._fatal is not None:
            self._to_send.clear()
        while self._to_send and self._has_room() and self._may_send():
            records = self._to_send.popleft()
            self._prepared.append(_Sending(Batch.of(self._run_id, records), records))
        if not self._prepared:
            return
        ledger.enter(
            self._connection,
            [sending.batch for sending in self._prepared],
            enrichment_id=self._enrichment.enrichment_id,
            run_id=self._run_id,
            endpoint="single" if self._size == 1 else "bulk",
            record_type=self._subjects.record_type,
        )
        for sending in self._prepared:
            self._result.lookups += len(sending.records)
            self._crew.start(sending, self._submit)
        self._prepared = []

    def _may_send(self) -> bool:
        """The first goes alone until one was taken: a wrong token, or a proxy that answers for the service, is found
        out by one call. And the service keeps only so many records waiting.
        """
        if not self._accepted:
            return not self._prepared and not any(
                isinstance(call.what, _Sending) for call in self._crew.under_way
            )
        handed_in = len(self._waiting) + len(self._crew.under_way) + len(self._prepared)
        return self._size == 1 or handed_in < MOST_BULKS_WAITING

    def _submit(self, call: _Call) -> bytes | str:
        assert isinstance(call.what, _Sending)
        records = call.what.records
        if self._size == 1:
            return self._client.single(records[0], gone=call.gone)
        return self._client.bulk(records, gone=call.gone)

    # --- collecting

    def _ask_for_results(self) -> None:
        """Hands out the questions that are due, the longest due first."""
        now = time.monotonic()
        if isinstance(self._fatal, AuthenticationError):
            for waiting in self._waiting:
                self._leave(waiting.batch)
            self._waiting.clear()
        due = sorted(
            (waiting for waiting in self._waiting if waiting.due <= now or not self._waits),
            key=lambda waiting: waiting.due,
        )
        for waiting in due:
            # What is still to be sent goes before: the service works on it meanwhile.
            if (self._to_send and self._may_send()) or len(self._crew.under_way) >= MOST_AT_ONCE:
                return
            self._waiting.remove(waiting)
            self._crew.start(waiting, self._fetch)

    def _fetch(self, call: _Call) -> list[bytes] | None:
        assert isinstance(call.what, _Waiting)
        return self._client.results(call.what.batch.path, gone=call.gone)

    # --- what came of it

    def _settle(self, calls: Sequence[_Call]) -> None:
        """Notes what came of calls, all of it in one transaction."""
        if not calls:
            return
        with transaction(self._connection):
            for call in calls:
                if isinstance(call.what, _Sending):
                    self._settle_submit(call, call.what)
                else:
                    self._settle_results(call, call.what)

    def _end(self, error: EngagementError) -> None:
        """Nothing more is sent. What was handed in has been paid for, so it is fetched before the error goes on its
        way, as far as it is ready.
        """
        self._fatal = self._fatal or error
        self._waits = False
        self._client.send_no_more()

    def _settle_submit(self, call: _Call, sending: _Sending) -> None:
        """What ends a submit is noted in the ledger. A kill leaves `sending`, which is held."""
        batch, error = sending.batch, call.error
        count = len(sending.records)
        if error is None:
            self._accepted = True
            if isinstance(call.answer, bytes):
                self._land(batch, [call.answer], whose=sending.records[0][0])
            else:
                assert isinstance(call.answer, str)
                ledger.update(self._connection, batch, ledger.SUBMITTED, path=call.answer)
                waiting = replace(batch, path=call.answer)
                self._waiting.append(_Waiting(waiting, time.monotonic()))
        elif isinstance(error, RequestRefused):
            self._refuse(sending)
        elif isinstance(error, AnswerLost):
            ledger.update(self._connection, batch, ledger.UNCERTAIN)
            self._result.held += count
            self._end(
                ServiceError(
                    f"{LEADSPACE}: the answer to {counted(count, self._subjects.noun)} was lost"
                    f" ({error.reason}) and may have been charged; they are held, run again for the others, and"
                    " `engagement extract leadspace --send-again` to ask about them once more"
                )
            )
        elif isinstance(error, NotSent | AuthenticationError | CreditsError | ServiceError):
            # The service said no, or was not asked, so nothing of the batch was looked up.
            self._result.lookups -= count
            ledger.update(self._connection, batch, ledger.REFUSED)
            if not isinstance(error, NotSent):
                self._end(error)
        else:
            raise error

    def _refuse(self, sending: _Sending) -> None:
        """Nothing of it was looked up. One record that the service cannot read spoils its bulk, which is halved until
        that one stands alone: then it is invalid, if the service takes others.
        """
        records = sending.records
        ledger.update(self._connection, sending.batch, ledger.REFUSED)
        self._result.lookups -= len(records)
        if len(records) == 1:
            self._result.invalid += 1
            self._refused_alone.append(sending.batch)
            return
        self._refusals += 1
        if not self._accepted and self._refusals >= MOST_REFUSALS:
            self._end(
                ServiceError(
                    f"{LEADSPACE}: refuses every request as unreadable (status 400); no {self._subjects.noun}'s data is"
                    " the reason, please report this line"
                )
            )
            return
        middle = len(records) // 2
        # The halves go to the end, so that others are tried before it is halved on.
        self._to_send.extend([records[:middle], records[middle:]])

    def _note_invalid(self) -> None:
        """Records refused by a service that takes others are not sent again until their data change."""
        if not self._refused_alone or not (
            self._accepted or ledger.was_accepted(self._connection, self._subjects.record_type)
        ):
            return
        with transaction(self._connection):
            for batch in self._refused_alone:
                self._store(batch, {key: (INVALID, None) for key in batch.fingerprints})
        self._refused_alone.clear()

    def _settle_results(self, call: _Call, waiting: _Waiting) -> None:
        """A bulk that cannot be fetched keeps no other from it. What is not ready in time is left to the next run."""
        batch, error = waiting.batch, call.error
        is_old = utc_now() - batch.sent_at >= LONGEST_WAIT
        if isinstance(error, ResultsGone):
            self._lose(batch)
            log.warning(
                "warning: %s: the results of %d %ss are gone (status 404)",
                self._enrichment.enrichment_id,
                len(batch.fingerprints),
                self._subjects.noun,
            )
        elif isinstance(error, CreditsError):
            # Whether some of it was charged is not said, and asking again will not tell.
            self._lose(batch)
            self._end(error)
        elif isinstance(error, AuthenticationError):
            self._leave(batch)
            self._end(error)
        elif isinstance(error, RequestRefused | ServiceError) and is_old:
            self._lose(batch)
        elif isinstance(error, RequestRefused):
            self._problem = self._problem or ServiceError(
                f"{LEADSPACE}: GET {RESULTS_PATH} answered status 400; if it stays so, give the"
                " results up with `engagement extract leadspace --send-again`"
            )
        elif isinstance(error, ServiceError):
            self._problem = self._problem or error
        elif error is not None:
            raise error
        elif call.answer is not None:
            assert isinstance(call.answer, list)
            self._land(batch, call.answer)
        elif not self._waits or utc_now() - batch.sent_at >= min(self._patient, LONGEST_WAIT):
            self._leave(batch)
        else:
            waiting.due = time.monotonic() + waiting.pause
            waiting.pause = min(waiting.pause * 1.5, LONGEST_POLL_SECONDS)
            self._waiting.append(waiting)

    def _leave(self, batch: Batch) -> None:
        """Its results are not ready: for the next run, unless that has been so for too long."""
        if utc_now() - batch.sent_at >= LONGEST_WAIT:
            self._lose(batch)
        else:
            self._result.waiting += len(batch.fingerprints)

    def _lose(self, batch: Batch) -> None:
        ledger.update(self._connection, batch, ledger.LOST)
        self._result.held += len(batch.fingerprints)

    def _land(self, batch: Batch, results: Sequence[bytes], *, whose: str | None = None) -> None:
        """Stores what is kept of what belongs to the batch, and notes it in the ledger.

        `whose` is the record of a single lookup, where the service need not repeat our id.
        """
        landed: dict[str, tuple[str, bytes | None]] = {}
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
                landed[fingerprint] = (outcome, raw)
        self._result.failed += sum(1 for outcome, _ in landed.values() if outcome == FAILED)
        self._result.answers += sum(1 for outcome, _ in landed.values() if outcome == RESULT)
        self._result.invalid += sum(1 for outcome, _ in landed.values() if outcome == INVALID)
        without = len(batch.fingerprints) - len(landed)
        # A result that could not be told whose it is was paid for, by one of those who have none.
        is_lost = without > 0 and (strange > 0 or whose is not None)
        if is_lost:
            self._result.held += without
        else:
            self._result.missing += without
        self._store(batch, landed)
        ledger.update(self._connection, batch, ledger.LOST if is_lost else ledger.ANSWERED)

    def _store(self, batch: Batch, landed: Landed) -> None:
        self._subjects.store(
            self._connection, batch.batch_id, landed, run_id=self._run_id, tombstones=self._tombstones
        )

    def _show(self) -> None:
        if self._bar is None:
            return
        asked = self._result.answers + sum(len(waiting.batch.fingerprints) for waiting in self._waiting)
        self._bar.advance(to=self._result.answers, total=max(asked, self._plan.lookups))
