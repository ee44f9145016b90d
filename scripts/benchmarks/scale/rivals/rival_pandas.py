"""The original's columns with pandas, over Parquet read batch by batch through PyArrow.

    python -m benchmarks.scale.rivals.rival_pandas --raw raw --result pandas.parquet

Mail is matched batch by batch, so that only what matches is ever held; lists become long columns in PyArrow, since
pandas would hold each as an object. pandas takes no limit of memory, and computes in one thread; PyArrow reads in more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from benchmarks.scale.rivals.window import (
    NEVER,
    PERSONAL_MAIL_DOMAINS,
    REPLY_LIMIT_MILLISECONDS,
    Steps,
    Window,
    run,
    window_of,
)

MESSAGE = ["enrichment_no", "message_key"]
MEETING = ["enrichment_no", "meeting_key"]
OCCURRENCE = ["enrichment_no", "ical_key", "start_at"]
ADDRESS = ["enrichment_no", "address_key"]
ACCOUNT = ["enrichment_no", "account_no"]
PERSON = [*ACCOUNT, "happened_on", "person_no"]
# A missing key, so that keys stay whole numbers of 64 bits; the highest, so that it comes last.
NO_KEY = np.iinfo(np.int64).max
OWN = -1  # in place of an account's number
BATCH_ROWS = 1 << 20


def read(raw: Path, table: str, columns: list[str]) -> pd.DataFrame:
    """A small table."""
    return ds.dataset(raw / table).to_table(columns=columns).to_pandas()


def local_day(instants: pd.Series, time_zone: str) -> pd.Series:
    """The calendar day of instants in UTC, as its midnight."""
    return instants.dt.tz_localize("UTC").dt.tz_convert(time_zone).dt.tz_localize(None).dt.normalize()


def keyed(column: Any) -> Any:
    """Keys as whole numbers."""
    return pc.fill_null(column, NO_KEY).to_numpy()


class Addresses:
    """Who is monitored and who is a contact."""

    def __init__(self, raw: Path, window: Window) -> None:
        self.enrichments = pd.DataFrame(window.enrichments, columns=["enrichment_id", "matches_domains"])
        self.enrichments["enrichment_no"] = range(len(self.enrichments))
        mailboxes = read(
            raw, "office_mailboxes", ["enrichment_id", "mailbox_id", "address_keys", "monitored_to"]
        ).merge(self.enrichments, on="enrichment_id")
        mailboxes["monitored_to_at"] = (
            mailboxes["monitored_to"].astype("datetime64[us]").fillna(pd.Timestamp(NEVER))
        )
        self.mailboxes = mailboxes[["enrichment_no", "mailbox_id", "monitored_to_at"]]
        # An address that moved between people belongs to one: who is still listed, then the lower id.
        self.monitored = (
            mailboxes.explode("address_keys")
            .dropna(subset="address_keys")
            .astype({"address_keys": "int64"})
            .rename(
                columns={
                    "address_keys": "address_key",
                    "mailbox_id": "owner_id",
                    "monitored_to_at": "owned_to_at",
                }
            )
            .sort_values(["owned_to_at", "owner_id"], ascending=[False, True])
            .drop_duplicates(ADDRESS)[[*ADDRESS, "owner_id", "owned_to_at"]]
        )
        self.accounts = read(raw, "accounts", ["account_id", "website_domain"])
        self.accounts["account_no"] = range(len(self.accounts))
        self.contacts = self._contacts(
            raw, read(raw, "office_addresses", ["address_key", "domain", "local_part_class"])
        )

    def _contacts(self, raw: Path, addresses: pd.DataFrame) -> pd.DataFrame:
        self.automated = addresses.loc[addresses["local_part_class"] == "automated", "address_key"]
        listed = (
            read(raw, "contacts", ["contact_id", "account_id", "address_key"])
            .dropna(subset="address_key")
            .astype({"address_key": "int64"})
            .merge(self.accounts, on="account_id")
        )
        listed["contact_no"] = pd.factorize(listed["contact_id"])[0]
        by_rule = [listed.merge(self.enrichments, how="cross")]
        if self.enrichments["matches_domains"].any():
            own_domains = addresses.loc[
                addresses["address_key"].isin(self.monitored["address_key"]), "domain"
            ].dropna()
            personal_domains = pd.read_csv(PERSONAL_MAIL_DOMAINS)["domain"]
            one_account = (
                self.accounts.dropna(subset="website_domain")
                .drop_duplicates("website_domain", keep=False)
                .loc[lambda rows: ~rows["website_domain"].isin([*own_domains, *personal_domains])]
            )
            by_domain = addresses.merge(one_account, left_on="domain", right_on="website_domain")
            by_domain = by_domain[~by_domain["address_key"].isin(listed["address_key"])].copy()
            # below zero, where no contact's number can be
            by_domain["contact_no"] = -1 - np.arange(len(by_domain))
            by_rule.append(
                by_domain.merge(self.enrichments[self.enrichments["matches_domains"]], how="cross")
            )
        both_rules = pd.concat(by_rule)[[*ACCOUNT, "contact_no", "address_key"]].drop_duplicates()
        # Who is monitored and a contact is monitored only.
        is_monitored = both_rules.merge(self.monitored[ADDRESS], how="left", on=ADDRESS, indicator=True)
        return is_monitored[is_monitored["_merge"] == "left_only"].drop(columns="_merge")


class Mail:
    """The copies of messages that could count, in batches."""

    def __init__(self, raw: Path, window: Window, addresses: Addresses) -> None:
        self._raw, self._window, self._mailboxes = raw, window, addresses.mailboxes

    def batches(self, columns: list[str]) -> Iterator[Any]:
        """Batches with these columns and mailbox_id, message_key and received_at."""
        is_countable = (
            ~ds.field("is_draft")
            & ~ds.field("is_meeting_mail")
            & ~ds.field("is_search_folder_copy")
            & (ds.field("received_at") < pa.scalar(self._window.ends_before_at, pa.timestamp("us")))
        )
        yield from ds.dataset(self._raw / "office_messages").to_batches(
            columns=["mailbox_id", "message_key", "received_at", *columns],
            filter=is_countable,
            batch_size=BATCH_ROWS,
        )

    @staticmethod
    def frame(batch: Any) -> pd.DataFrame:
        """A batch's columns but lists."""
        return pd.DataFrame(
            {
                name: keyed(batch.column(name)) if pa.types.is_int64(batch.schema.field(name).type)
                else batch.column(name).to_numpy(zero_copy_only=False)
                for name in batch.schema.names
                if not pa.types.is_list(batch.schema.field(name).type)
            }
        )  # fmt: skip

    def recipients(self, batch: Any) -> pd.DataFrame:
        """One row per copy of the batch and recipient."""
        lists = batch.column("recipient_keys")
        copies = self.frame(batch).take(pc.list_parent_indices(lists).to_numpy())
        return copies.assign(address_key=keyed(pc.list_flatten(lists)))

    def of_people(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of people who were monitored when their copy came; `rows` may say of which enrichment they are."""
        on = ["mailbox_id", "enrichment_no"] if "enrichment_no" in rows else ["mailbox_id"]
        rows = rows.merge(self._mailboxes, on=on)
        return rows[rows["received_at"] < rows["monitored_to_at"]]


def matched(mail: Mail, addresses: Addresses) -> pd.DataFrame:
    """One row per message, account, contact and role."""
    addresses_of_contacts = pd.Index(addresses.contacts["address_key"].unique())
    found = []
    for batch in mail.batches(["from_key", "recipient_keys"]):
        senders = mail.frame(batch).rename(columns={"from_key": "address_key"})
        recipients = mail.recipients(batch).drop(columns="from_key")
        for rows, is_sender in ((senders, True), (recipients, False)):
            # first by the address alone, which nearly no row has
            rows = rows[addresses_of_contacts.get_indexer(rows["address_key"]) >= 0]
            of_contacts = mail.of_people(rows.merge(addresses.contacts, on="address_key"))
            found.append(
                of_contacts[[*MESSAGE, "account_no", "contact_no"]]
                .assign(is_sender=is_sender)
                .drop_duplicates()
            )
    return pd.concat(found, ignore_index=True).drop_duplicates()


def copies_of(mail: Mail, evidence: pd.DataFrame, addresses: Addresses) -> pd.DataFrame:
    """The copies of messages that matched, with the person of ours who wrote each."""
    messages = evidence[MESSAGE].drop_duplicates()
    message_keys = pd.Index(messages["message_key"].unique())
    found = []
    for batch in mail.batches(["item_key", "thread_key", "from_key"]):
        rows = mail.frame(batch)
        found.append(mail.of_people(rows[message_keys.get_indexer(rows["message_key"]) >= 0]))
    copies = pd.concat(found, ignore_index=True).drop(columns="monitored_to_at")
    if len(addresses.enrichments) > 1:
        # a message may match in one enrichment and not in another
        copies = copies.merge(messages, on=MESSAGE)
    copies = copies.merge(
        # Int64 has nulls of its own: a float, which int64 becomes where there are nulls, loses digits
        addresses.monitored.rename(columns={"address_key": "from_key"}).astype({"owner_id": "Int64"}),
        on=["enrichment_no", "from_key"],
        how="left",
    )
    is_own = copies["received_at"] < copies["owned_to_at"]
    copies["from_mailbox_id"] = copies["owner_id"].where(is_own).fillna(NO_KEY).astype("int64")
    return copies.drop(columns=["owner_id", "owned_to_at"])


def deduplicated(copies: pd.DataFrame, addresses: Addresses, window: Window) -> pd.DataFrame:
    """One row per message that no automated sender sent: its thread, its sender among ours, and when it happened."""
    grouped = copies.groupby(MESSAGE, sort=False)
    messages = grouped[["received_at", "from_mailbox_id", "from_key", "thread_key"]].min()
    highest = grouped[["from_key", "thread_key"]].max()
    # Copies seldom disagree, so that only those that do are ranked: one of ours first, then any address, then the
    # earliest; and the most common form of the thread, then the lowest, then none at all.
    disputed = messages.index[messages["from_key"] != highest["from_key"]]
    if len(disputed):
        of_disputed = copies.merge(disputed.to_frame(index=False), on=MESSAGE)
        ranked = (
            of_disputed.assign(
                rank=np.where(
                    of_disputed["from_mailbox_id"] != NO_KEY,
                    0,
                    np.where(of_disputed["from_key"] != NO_KEY, 1, 2),
                )
            )
            .sort_values(["rank", "received_at", "mailbox_id", "item_key"])
            .drop_duplicates(MESSAGE)
            .set_index(MESSAGE)
        )
        messages.loc[ranked.index, ["from_mailbox_id", "from_key"]] = ranked[["from_mailbox_id", "from_key"]]
    disputed = messages.index[messages["thread_key"] != highest["thread_key"]]
    if len(disputed):
        ranked = (
            copies.merge(disputed.to_frame(index=False), on=MESSAGE)
            .groupby([*MESSAGE, "thread_key"])
            .size()
            .rename("copies")
            .reset_index()
            .sort_values(["copies", "thread_key"], ascending=[False, True])
            .drop_duplicates(MESSAGE)
            .set_index(MESSAGE)
        )
        messages.loc[ranked.index, "thread_key"] = ranked["thread_key"]
    messages = messages[~messages["from_key"].isin(addresses.automated)].reset_index()
    messages["happened_on"] = local_day(messages["received_at"], window.time_zone)
    return messages.rename(columns={"received_at": "happened_at"})


def people_in_emails(
    mail: Mail,
    counted: pd.DataFrame,
    copies: pd.DataFrame,
    evidence: pd.DataFrame,
    addresses: Addresses,
    window: Window,
) -> pd.DataFrame:
    """One row per account, side, day and person of the year."""
    in_year = counted.loc[
        counted["happened_on"] >= pd.Timestamp(window.year_starts_on),
        [*MESSAGE, "account_no", "happened_on", "from_mailbox_id"],
    ]
    senders = in_year[in_year["from_mailbox_id"] != NO_KEY].rename(columns={"from_mailbox_id": "person_no"})
    holders = in_year.merge(copies[[*MESSAGE, "mailbox_id"]], on=MESSAGE)
    own = [senders[PERSON], holders.rename(columns={"mailbox_id": "person_no"})[PERSON].drop_duplicates()]
    message_keys = pd.Index(in_year["message_key"].unique())
    own_addresses = pd.Index(addresses.monitored["address_key"].unique())
    received = []
    for batch in mail.batches(["recipient_keys"]):
        is_counted = message_keys.get_indexer(keyed(batch.column("message_key"))) >= 0
        rows = mail.recipients(batch.filter(pa.array(is_counted)))
        rows = rows[own_addresses.get_indexer(rows["address_key"]) >= 0]
        rows = rows.merge(addresses.monitored, on="address_key")
        rows = mail.of_people(rows[rows["received_at"] < rows["owned_to_at"]])
        received.append(rows[[*MESSAGE, "owner_id"]].drop_duplicates())
    # once for all batches: every merge looks at all counted mail
    recipients = pd.concat(received, ignore_index=True).drop_duplicates().merge(in_year, on=MESSAGE)
    own.append(recipients.rename(columns={"owner_id": "person_no"})[PERSON].drop_duplicates())
    theirs = evidence.merge(in_year, on=[*MESSAGE, "account_no"])
    return pd.concat(
        [
            pd.concat(own).drop_duplicates().assign(is_own=True),
            theirs.rename(columns={"contact_no": "person_no"})[PERSON].drop_duplicates().assign(is_own=False),
        ]
    )


def replies(counted: pd.DataFrame) -> pd.DataFrame:
    """One row per reply: from one message of the account to its next is one wait, at the same instant ours first."""
    rows = counted.sort_values(
        ["enrichment_no", "account_no", "thread_key", "happened_at", "is_from_account", "message_key"]
    )
    is_answer = rows["is_from_account"]
    # the waits of a thread end with an answer, so that a new one begins after each
    rows["wait_no"] = is_answer.cumsum() - is_answer
    waits = rows.assign(
        answered_at=rows["happened_at"].where(is_answer),
        waiting_since_at=rows["happened_at"].where(~is_answer),
    ).groupby([*ACCOUNT, "thread_key", "wait_no"], sort=False)
    found = waits[["answered_at", "waiting_since_at", "happened_on"]].agg(
        {"answered_at": "max", "waiting_since_at": "min", "happened_on": "last"}
    )
    found = found.dropna().reset_index()
    found["milliseconds"] = (found["answered_at"] - found["waiting_since_at"]) // pd.Timedelta(milliseconds=1)
    return found.loc[
        found["milliseconds"] <= REPLY_LIMIT_MILLISECONDS, [*ACCOUNT, "happened_on", "milliseconds"]
    ]


class Calendars:
    """Entries of monitored people's calendars, and who is named in them."""

    def __init__(self, raw: Path, window: Window, addresses: Addresses) -> None:
        self._addresses, self._window = addresses, window
        table = ds.dataset(raw / "office_meetings").to_table(filter=ds.field("start_at").is_valid())
        lists = table.select(["attendee_keys", "attendee_types", "attendee_responses"]).combine_chunks()
        entries = pd.DataFrame(
            {
                **{
                    name: keyed(table[name])
                    for name in ("mailbox_id", "item_key", "ical_key", "organizer_key")
                },
                **{
                    name: table[name].cast(pa.timestamp("us")).to_numpy()
                    for name in ("start_at", "end_at", "read_at", "gone_at")
                },
                **{
                    name: pc.fill_null(table[name], False).to_numpy()
                    for name in ("is_all_day", "is_cancelled", "is_organizer")
                },
                # the same few words again and again
                "own_response": table["own_response"].dictionary_encode().to_pandas(),
            }
        )
        all_day_begins_at = (
            entries["start_at"]
            .dt.normalize()
            .dt.tz_localize(window.time_zone, ambiguous=True, nonexistent="shift_forward")
            .dt.tz_convert("UTC")
            .dt.tz_localize(None)
        )
        entries["begins_at"] = entries["start_at"].mask(entries["is_all_day"], all_day_begins_at)
        entries["has_vanished"] = entries["gone_at"] < entries["begins_at"]
        self._attendees = pd.DataFrame(
            {
                "entry_no": pc.list_parent_indices(lists["attendee_keys"]).to_numpy(),
                "address_key": keyed(pc.list_flatten(lists["attendee_keys"])),
                "type": pc.list_flatten(lists["attendee_types"]).dictionary_encode().to_pandas(),
                "response": pc.list_flatten(lists["attendee_responses"]).dictionary_encode().to_pandas(),
            }
        )
        entries["entry_no"] = range(len(entries))
        self._entries = entries.merge(addresses.mailboxes, on="mailbox_id")

    def meetings(self) -> pd.DataFrame:
        """One row per occurrence; the organiser's copy speaks for it, else the newest, a vanished one last."""
        rows = self._entries[self._entries["begins_at"] < self._entries["monitored_to_at"]].sort_values(
            ["is_organizer", "has_vanished", "read_at", "mailbox_id", "item_key"],
            ascending=[False, True, False, True, True],
        )
        any_copy = rows.groupby(OCCURRENCE, sort=False)[["is_organizer", "is_cancelled"]].any()
        found = rows.drop_duplicates(OCCURRENCE).merge(
            any_copy.add_suffix("_in_any_copy"), left_on=OCCURRENCE, right_index=True
        )
        last_instant = found["end_at"] - pd.Timedelta(microseconds=1)
        as_of_on = pd.Timestamp(self._window.as_of_on)
        found["happened_on"] = local_day(found["begins_at"], self._window.time_zone)
        ended_on = local_day(last_instant, self._window.time_zone).mask(
            found["is_all_day"], last_instant.dt.normalize()
        )
        is_cancelled = found["is_cancelled"].where(
            found["is_organizer_in_any_copy"], found["is_cancelled_in_any_copy"]
        )
        duration = found["end_at"] - found["start_at"]
        found["milliseconds"] = (duration // pd.Timedelta(milliseconds=1)).where(
            ~found["is_all_day"] & (duration >= pd.Timedelta(0))
        )
        found = found[
            (found["happened_on"] <= as_of_on)
            & (ended_on <= as_of_on)
            & ~found["has_vanished"]
            & ~is_cancelled
        ]
        return found.rename(columns={"item_key": "meeting_key"})[
            [*OCCURRENCE, "meeting_key", "begins_at", "organizer_key", "happened_on", "milliseconds"]
        ]

    def people(self, meetings: pd.DataFrame) -> pd.DataFrame:
        """One row per meeting and person who did not decline; account_no is -1 for one of ours."""
        copies = self._entries.drop(columns="begins_at").merge(
            meetings[[*OCCURRENCE, "meeting_key", "begins_at"]], on=OCCURRENCE
        )
        # A copy that vanished before the meeting began speaks for nobody.
        copies = copies[
            (copies["begins_at"] < copies["monitored_to_at"])
            & (copies["gone_at"].isna() | (copies["gone_at"] >= copies["begins_at"]))
        ]
        owners = (
            copies.sort_values(["read_at", "item_key"], ascending=[False, True])
            .drop_duplicates([*MEETING, "mailbox_id"])[[*MEETING, "mailbox_id", "own_response"]]
            .rename(columns={"mailbox_id": "person_no", "own_response": "response"})
        )
        of_copy = [*MEETING, "mailbox_id", "begins_at", "is_organizer", "read_at"]
        attendees = self._attendees[self._attendees["type"] != "resource"].drop(columns="type")
        organizers = copies[copies["organizer_key"] != NO_KEY].rename(
            columns={"organizer_key": "address_key"}
        )
        mentions = pd.concat(
            [
                copies[[*of_copy, "entry_no"]].merge(attendees, on="entry_no").drop(columns="entry_no"),
                organizers[[*of_copy, "address_key"]].assign(response="organizer"),
            ],
            ignore_index=True,
        )
        mentions = mentions.astype({"response": "category"})
        # categories in the order of the alphabet, the organiser's word before them
        words = sorted(mentions["response"].cat.categories, key=lambda word: (word != "organizer", word))
        mentions["response"] = mentions["response"].cat.set_categories(words, ordered=True)

        ours = mentions.merge(self._addresses.monitored, on=ADDRESS)
        ours = ours[ours["begins_at"] < ours["owned_to_at"]].rename(columns={"owner_id": "person_no"})
        ours = ours.merge(
            owners[[*MEETING, "person_no"]], on=[*MEETING, "person_no"], how="left", indicator=True
        )
        ours = ours[ours["_merge"] == "left_only"].assign(account_no=OWN)
        theirs = mentions.merge(self._addresses.contacts, on=ADDRESS).rename(
            columns={"contact_no": "person_no"}
        )
        # Whose calendar holds it answers by his own copy; anyone else by the organiser's copy, else by the newest.
        keep = [*MEETING, "account_no", "person_no", "response"]
        named = (
            pd.concat([ours, theirs])[[*keep, "is_organizer", "read_at", "mailbox_id"]]
            .sort_values(
                ["is_organizer", "read_at", "mailbox_id", "response"], ascending=[False, False, True, True]
            )
            .drop_duplicates([*MEETING, "account_no", "person_no"])
        )
        answers = pd.concat([owners.assign(account_no=OWN)[keep], named[keep]])
        return answers[answers["response"] != "declined"].drop(columns="response")

    def counted(self, meetings: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
        """One row per meeting and account, of those with one of ours and a contact."""
        is_own = people["account_no"] == OWN
        found = (
            people.loc[~is_own, [*MEETING, "account_no"]]
            .drop_duplicates()
            .merge(people.loc[is_own, MEETING].drop_duplicates(), on=MEETING)
            .merge(meetings, on=MEETING)
            .rename(columns={"organizer_key": "address_key"})
            .merge(self._addresses.monitored, on=ADDRESS, how="left")
            .merge(
                self._addresses.contacts[[*ACCOUNT, "address_key"]].drop_duplicates().assign(is_account=True),
                on=[*ACCOUNT, "address_key"],
                how="left",
            )
        )
        found["is_to"] = found["begins_at"] < found["owned_to_at"]
        found["is_from"] = ~found["is_to"] & found["is_account"].notna()
        return found[[*MEETING, "account_no", "happened_on", "milliseconds", "is_to", "is_from"]]


def people_met(counted: pd.DataFrame, people: pd.DataFrame, window: Window) -> pd.DataFrame:
    """One row per account, side, day and person of the year."""
    in_year = counted.loc[
        counted["happened_on"] >= pd.Timestamp(window.year_starts_on), [*MEETING, "account_no", "happened_on"]
    ]
    is_own = people["account_no"] == OWN
    ours = in_year.merge(people.loc[is_own, [*MEETING, "person_no"]], on=MEETING)
    theirs = in_year.merge(people[~is_own], on=[*MEETING, "account_no"])
    return pd.concat(
        [
            ours[PERSON].drop_duplicates().assign(is_own=True),
            theirs[PERSON].drop_duplicates().assign(is_own=False),
        ]
    )


def result_of(
    counted: pd.DataFrame,
    met: pd.DataFrame,
    people: pd.DataFrame,
    replied: pd.DataFrame,
    addresses: Addresses,
    window: Window,
) -> pd.DataFrame:
    """One row per enrichment, account, level and period with activity."""
    periods = pd.DataFrame(
        {
            "period_no": [period.number for period in window.periods],
            "aggregation_level": [period.level for period in window.periods],
            "aggregation_starts_on": pd.to_datetime([period.starts_on for period in window.periods]),
            "counts_to_on": pd.to_datetime([period.counts_to_on for period in window.periods]),
        }
    ).astype({"aggregation_starts_on": "datetime64[us]", "counts_to_on": "datetime64[us]"})
    days = pd.DataFrame(
        [(day, period.number) for period in window.periods for day in period.days],
        columns=["happened_on", "period_no"],
    ).astype({"happened_on": "datetime64[us]"})
    of_period = [*ACCOUNT, "period_no"]
    of_day = [*ACCOUNT, "happened_on"]
    email_days = (
        counted.assign(
            emails_to_account_count=~counted["is_from_account"],
            emails_from_account_count=counted["is_from_account"],
        )
        .groupby(of_day)[["emails_to_account_count", "emails_from_account_count"]]
        .sum()
        .reset_index()
    )
    meeting_days = (
        met.assign(timed=met["milliseconds"].notna())
        .groupby(of_day)[["is_to", "is_from", "timed", "milliseconds"]]
        .sum()
        .reset_index()
        .rename(columns={"is_to": "meetings_to_account_count", "is_from": "meetings_from_account_count"})
    )
    account_days = pd.concat([email_days, meeting_days])
    result = account_days.merge(days, on="happened_on").drop(columns="happened_on").groupby(of_period).sum()

    is_email, is_own = ~people["in_meeting"], people["is_own"]
    sides = people.assign(
        own_people_in_emails_count=is_email & is_own,
        account_people_in_emails_count=is_email & ~is_own,
        own_people_in_meetings_count=~is_email & is_own,
        account_people_in_meetings_count=~is_email & ~is_own,
    )
    counts = [name for name in sides if name.endswith("_count")]
    sides = sides.merge(days, on="happened_on").drop_duplicates(
        [*of_period, "person_no", "is_own", "in_meeting"]
    )
    result = result.join(sides.groupby(of_period)[counts].sum())
    milliseconds = (
        replied.merge(days, on="happened_on").groupby(of_period)["milliseconds"].agg(["sum", "size"])
    )
    result["reply_time_mean_hours"] = milliseconds["sum"] / milliseconds["size"] / 3_600_000
    # nothing divided by nothing is no number
    result["meeting_duration_mean_minutes"] = result["milliseconds"] / result["timed"] / 60_000

    result = (
        result.reset_index()
        .merge(periods, on="period_no")
        .merge(account_days.groupby(ACCOUNT)["happened_on"].min().rename("engagement_started_on"), on=ACCOUNT)
        .merge(addresses.enrichments, on="enrichment_no")
        .merge(addresses.accounts, on="account_no")
        .sort_values("counts_to_on")
    )
    for channel, name in ((email_days, "days_since_last_email"), (meeting_days, "days_since_last_meeting")):
        last_days = channel[of_day].sort_values("happened_on")
        result = pd.merge_asof(result, last_days, left_on="counts_to_on", right_on="happened_on", by=ACCOUNT)
        result[name] = (result["counts_to_on"] - result.pop("happened_on")).dt.days.astype("Int64")
    result["primary_key"] = (
        result["account_id"]
        + "|"
        + result["aggregation_level"]
        + "|"
        + result["aggregation_starts_on"].dt.strftime("%Y-%m-%d")
    )
    whole = ["emails_to_account_count", "emails_from_account_count", "meetings_to_account_count",
             "meetings_from_account_count", *counts]  # fmt: skip
    result[whole] = result[whole].fillna(0).astype("int64")
    for name in ("engagement_started_on", "aggregation_starts_on"):
        result[name] = result[name].dt.date
    return result[
        [
            "enrichment_id",
            "account_id",
            "aggregation_level",
            "primary_key",
            *whole,
            "days_since_last_email",
            "days_since_last_meeting",
            "meeting_duration_mean_minutes",
            "reply_time_mean_hours",
            "engagement_started_on",
            "aggregation_starts_on",
        ]
    ]


def window_of_raw(raw: Path) -> Window:
    """The window of the raw tables."""
    units = read(raw, "office_units", ["mailbox_id", "kind", "read_to", "read_at"])
    units["read_to"] = units[["read_to", "read_at"]].min(axis=1)
    newest = units.groupby(["mailbox_id", "kind"], as_index=False)["read_to"].max()
    mailboxes = read(raw, "office_mailboxes", ["enrichment_id", "mailbox_id", "state", "monitored_to"])
    settings = read(raw, "settings", ["enrichment_id", "key", "value"])
    return window_of(
        (
            (row.enrichment_id, row.key, None if pd.isna(row.value) else row.value)
            for row in settings.itertuples()
        ),
        (
            (
                row.enrichment_id,
                row.mailbox_id,
                row.state,
                None if pd.isna(row.monitored_to) else row.monitored_to,
            )
            for row in mailboxes.itertuples()
        ),
        ((row.mailbox_id, row.kind, row.read_to.to_pydatetime()) for row in newest.itertuples()),
    )


def compute(raw: Path, result_file: Path, memory_limit_mb: int | None, threads: int) -> Steps:
    """Write the result's Parquet file, and give the seconds of each step."""
    pa.set_cpu_count(threads)
    steps = Steps()
    window = window_of_raw(raw)
    addresses = Addresses(raw, window)
    mail = Mail(raw, window, addresses)
    steps.done("addresses")

    evidence = matched(mail, addresses)
    steps.done("match")

    copies = copies_of(mail, evidence, addresses)
    messages = deduplicated(copies, addresses, window)
    # To the account: one of ours wrote it and a contact receives it. From it: a contact wrote it and one of ours
    # holds it.
    counted = evidence[[*MESSAGE, "account_no", "is_sender"]].drop_duplicates().merge(messages, on=MESSAGE)
    counted = counted[counted["is_sender"] == (counted["from_mailbox_id"] == NO_KEY)].rename(
        columns={"is_sender": "is_from_account"}
    )
    del messages
    steps.done("messages")

    people = people_in_emails(mail, counted, copies, evidence, addresses, window).assign(in_meeting=False)
    del copies, evidence
    steps.done("people")

    replied = replies(counted)
    steps.done("replies")

    calendars = Calendars(raw, window, addresses)
    meetings = calendars.meetings()
    participants = calendars.people(meetings)
    met = calendars.counted(meetings, participants)
    people = pd.concat([people, people_met(met, participants, window).assign(in_meeting=True)])
    steps.done("meetings")

    result = result_of(counted, met, people, replied, addresses, window)
    steps.done("periods")
    result.to_parquet(result_file, index=False)
    steps.done("write")
    return steps


if __name__ == "__main__":
    run(__doc__, compute)
