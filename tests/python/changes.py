"""What happens to a history between two refreshes: late mail, re-reads, moves, vanishings, people who come and go.

`change` alters the truth; `land` brings a random part of it into the raw tables through the extractor's own landing, so
that the raw rows are what a real series of reads would have left. What they should add up to is not said here: a whole
rebuild of the same raw rows says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import duckdb

from engagement import warehouse
from engagement.office.landing import land as land_reads
from engagement.office.rows import Landing, Read
from engagement.office.slices import MEETINGS, MESSAGES, Slice
from histories import (
    RESPONSES,
    Clock,
    Copy,
    Entry,
    History,
    Mailbox,
    ledger_rows,
    meeting_row,
    message_row,
    people_rows,
)

BEGINNING, END = datetime(2020, 1, 1), datetime(2030, 1, 1)


def change(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """One thing happens to a history; `keys` are numbers that it has not used."""
    happenings = (
        _a_copy_arrives_late, _a_copy_arrives_late, _a_new_message, _a_copy_is_another, _a_copy_disappears,
        _a_meeting_moves, _an_answer, _a_meeting_disappears, _a_new_meeting,
        _a_contact_comes, _a_contact_goes, _a_contact_changes_accounts, _an_account_goes,
        _an_alias_moves, _somebody_leaves_or_returns, _somebody_comes, _a_sender_is_another, _a_website_is_another,
    )  # fmt: skip
    random.choice(happenings)(random, clock, made, keys)


def _a_new_message(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """Mostly an answer in a thread that is known, on a day of its own."""
    threads = [copy.thread_key for copy in made.copies] or [next(keys)]
    mailbox = random.choice(made.mailboxes)
    own, theirs = mailbox.addresses[0], random.choice(made.addresses)
    sender, receiver = random.choice(((own, theirs), (theirs, own)))
    made.copies.append(
        Copy(
            mailbox_id=mailbox.mailbox_id,
            item_key=next(keys),
            message_key=next(keys),
            thread_key=random.choice(threads),
            received_at=clock.instant(random),
            from_key=sender,
            recipients=[receiver],
        )
    )


def _a_copy_arrives_late(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """Another mailbox turns out to hold a message, perhaps since long ago, perhaps with a Bcc."""
    if not made.copies:
        return
    known = random.choice(made.copies)
    earlier = known.received_at - timedelta(days=9)
    made.copies.append(
        replace(
            known,
            mailbox_id=random.choice(made.mailboxes).mailbox_id,
            item_key=next(keys),
            received_at=random.choice((known.received_at, earlier, clock.instant(random))),
            recipients=[*known.recipients, *([random.choice(made.addresses)] * (random.random() < 0.4))],
            gone_at=None,
        )
    )


def _a_copy_is_another(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if not made.copies:
        return
    copy = random.choice(made.copies)
    what = random.randrange(5)
    if what == 0:
        copy.recipients = [random.choice(made.addresses) for _ in range(random.randrange(3))]
    elif what == 1:
        copy.from_key = random.choice([None, *made.addresses])
    elif what == 2:
        copy.thread_key = random.choice(made.copies).thread_key
    elif what == 3:
        copy.message_key = random.choice([next(keys), random.choice(made.copies).message_key])
    else:
        copy.is_draft = not copy.is_draft


def _a_copy_disappears(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if made.copies:
        made.copies.remove(random.choice(made.copies))


def _a_new_meeting(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    start = clock.instant(random)
    ical, organizer = next(keys), random.choice(made.addresses)
    for mailbox in random.sample(made.mailboxes, random.choice((1, 2))):
        mine = organizer in mailbox.addresses
        made.entries.append(
            Entry(
                mailbox_id=mailbox.mailbox_id,
                item_key=next(keys),
                ical_key=ical,
                start_at=start,
                end_at=start + random.choice((timedelta(hours=1), timedelta(hours=30))),
                organizer_key=organizer,
                attendees=[(random.choice(made.addresses), "required", random.choice(RESPONSES))],
                own_response="organizer" if mine else random.choice(RESPONSES),
                read_at=clock.end,
                is_organizer=mine,
            )
        )


def _a_meeting_moves(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """In all its copies or in one of them only."""
    if not made.entries:
        return
    one = random.choice(made.entries)
    moved = [
        entry for entry in made.entries if (entry.ical_key, entry.start_at) == (one.ical_key, one.start_at)
    ]
    by = random.choice((timedelta(days=1), timedelta(days=-7), timedelta(days=35)))
    for entry in moved if random.random() < 0.7 else [one]:
        entry.start_at, entry.end_at = entry.start_at + by, entry.end_at + by


def _an_answer(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if not made.entries:
        return
    entry = random.choice(made.entries)
    what = random.randrange(4)
    if what == 0:
        entry.own_response = random.choice(RESPONSES)
    elif what == 1:
        entry.attendees = [(address, kind, random.choice(RESPONSES)) for address, kind, _ in entry.attendees]
    elif what == 2:
        entry.is_cancelled = not entry.is_cancelled
    else:
        entry.organizer_key = random.choice([None, *made.addresses])


def _a_meeting_disappears(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if made.entries:
        made.entries.remove(random.choice(made.entries))


def _a_contact_comes(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """Anyone may turn out to be a contact: a stranger, a colleague, one of ours."""
    contact = random.choice([f"c{next(keys)}", *(known for known, _, _ in made.contacts)])
    if made.accounts:
        made.contacts.append((contact, random.choice(made.accounts), random.choice(made.addresses)))


def _a_contact_goes(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if made.contacts:
        made.contacts.remove(random.choice(made.contacts))


def _a_contact_changes_accounts(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if made.contacts and made.accounts:
        place = random.randrange(len(made.contacts))
        contact, _, address = made.contacts[place]
        made.contacts[place] = (contact, random.choice(made.accounts), address)


def _an_account_goes(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    if random.random() < 0.3 and made.accounts:
        made.accounts.remove(random.choice(made.accounts))


def _an_alias_moves(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    giver, taker = random.sample(made.mailboxes, 2)
    alias = random.choice(giver.addresses)
    if random.random() < 0.5 and len(giver.addresses) > 1:
        giver.addresses.remove(alias)
    if alias not in taker.addresses:
        taker.addresses.append(alias)


def _somebody_leaves_or_returns(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    mailbox = random.choice(made.mailboxes)
    mailbox.monitored_to = None if mailbox.monitored_to is not None else clock.instant(random)


def _somebody_comes(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """Who was a stranger or a colleague is chosen from now on."""
    taken = {address for mailbox in made.mailboxes for address in mailbox.addresses}
    free = [address for address in made.addresses if address not in taken]
    if free and len(made.mailboxes) < 5:
        made.mailboxes.append(Mailbox(next(keys), [random.choice(free)]))


def _a_sender_is_another(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """The patterns of automated senders were changed."""
    made.automated ^= {random.choice(made.addresses)}


def _a_website_is_another(random: Random, clock: Clock, made: History, keys: Iterator[int]) -> None:
    """Of an account, or whether domains are matched at all."""
    if random.random() < 0.3:
        made.matches_domains = not made.matches_domains
    elif made.accounts:
        made.websites[random.choice(made.accounts)] = random.choice(list(made.domains.values()))


# ---------------------------------------------------------------------------------------------------
# reading it


def land(
    connection: duckdb.DuckDBPyConnection,
    random: Random,
    clock: Clock,
    made: Sequence[History],
    now: datetime,
    *,
    whole: bool,
) -> None:
    """What one run of the extractors lands of the histories as they are: all of it, or some mailboxes and slices."""
    with warehouse.transaction(connection):
        for table, rows in people_rows(made, clock.time_zone).items():
            warehouse.replace_table(connection, table, rows)
        for kind in (MESSAGES, MEETINGS):
            landings = [
                landing
                for one in made
                for mailbox in one.mailboxes
                if whole or random.random() < 0.6
                for landing in _reads(random, one, mailbox, kind, now, clock, whole)
            ]
            if landings:
                land_reads(connection, landings, run_id="run", now=now)
        # What has been read is another matter than what of it was read again.
        landing_id = connection.execute("select max(landing_id) from raw.office_units").fetchone()
        assert landing_id is not None
        warehouse.replace_table(connection, "office_units", ledger_rows(made, clock, landing_id[0]))


def _reads(
    random: Random, one: History, mailbox: Mailbox, kind: str, now: datetime, clock: Clock, whole: bool
) -> Iterator[Landing]:
    piece = Slice(BEGINNING, END)
    if not whole:
        piece = random.choice(
            (
                Slice(BEGINNING, END),
                Slice(clock.midnight(clock.day - timedelta(days=9)), END),
                Slice(BEGINNING, clock.midnight(clock.year_start + timedelta(days=30))),
            )
        )
    rows = []
    if kind == MESSAGES:
        rows = [
            message_row(replace(copy, gone_at=None), now)[:-3]
            for copy in one.copies
            if copy.mailbox_id == mailbox.mailbox_id and piece.start <= copy.received_at < piece.end
        ]
    else:
        rows = [
            meeting_row(replace(entry, gone_at=None), now)[:-3]
            for entry in one.entries
            if entry.mailbox_id == mailbox.mailbox_id and piece.start <= entry.start_at < piece.end
        ]
    # Private from now on: what was known of it goes.
    dropped = [rows.pop()[1]] if rows and random.random() < 0.02 else []
    yield Landing(mailbox.mailbox_id, kind, (piece,), (piece.end,), Read(rows, [], dropped))
