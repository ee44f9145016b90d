"""The original's columns with Polars: lazy frames over Parquet, collected by its streaming engine.

    python -m benchmarks.scale.rivals.rival_polars --raw raw --result polars.parquet

Polars takes no limit of memory, and its threads from POLARS_MAX_THREADS, which it reads while it is imported.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

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
ACCOUNT = ["enrichment_no", "account_no"]


def collected(frame: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a frame, by the streaming engine."""
    return frame.collect(engine="streaming")


def local_day(instant: pl.Expr, time_zone: str) -> pl.Expr:
    """The calendar day of an instant in UTC."""
    return instant.dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone).dt.date()


class Addresses:
    """Who is monitored and who is a contact, as small frames."""

    def __init__(self, raw: Path, window: Window) -> None:
        self.enrichments = pl.DataFrame(
            {
                "enrichment_no": range(len(window.enrichments)),
                "enrichment_id": [enrichment_id for enrichment_id, _ in window.enrichments],
                "matches_domains": [matches_domains for _, matches_domains in window.enrichments],
            },
            schema_overrides={"enrichment_no": pl.Int16},
        )
        mailboxes = (
            pl.scan_parquet(raw / "office_mailboxes" / "*.parquet")
            .join(self.enrichments.lazy(), on="enrichment_id")
            .with_columns(monitored_to_at=pl.col("monitored_to").cast(pl.Datetime("us")).fill_null(NEVER))
        )
        self.mailboxes = collected(mailboxes.select("enrichment_no", "mailbox_id", "monitored_to_at"))
        # An address that moved between people belongs to one: who is still listed, then the lower id.
        self.monitored = collected(
            mailboxes.explode("address_keys", empty_as_null=False)
            .select(
                "enrichment_no",
                address_key="address_keys",
                owner_id="mailbox_id",
                owned_to_at="monitored_to_at",
            )
            .drop_nulls("address_key")
            .sort("owned_to_at", "owner_id", descending=[True, False])
            .unique(["enrichment_no", "address_key"], keep="first", maintain_order=True)
        )
        self.accounts = collected(
            pl.scan_parquet(raw / "accounts" / "*.parquet")
            .select("account_id", "website_domain")
            .with_row_index("account_no")
        )
        addresses = pl.scan_parquet(raw / "office_addresses" / "*.parquet")
        self.automated = collected(
            addresses.filter(pl.col("local_part_class") == "automated").select("address_key")
        )
        self.contacts = self._contacts(raw, addresses)

    def _contacts(self, raw: Path, addresses: pl.LazyFrame) -> pl.DataFrame:
        listed = (
            pl.scan_parquet(raw / "contacts" / "*.parquet")
            .filter(pl.col("address_key").is_not_null())
            .join(self.accounts.lazy(), on="account_id")
            .select("account_no", "address_key", contact_no=pl.col("contact_id").rank("dense").cast(pl.Int64))
        )
        own_domains = addresses.join(self.monitored.lazy(), on="address_key", how="semi").select("domain")
        one_account = (
            self.accounts.lazy()
            .filter(pl.col("website_domain").is_not_null())
            .filter(pl.len().over("website_domain") == 1)
            .join(own_domains, left_on="website_domain", right_on="domain", how="anti")
            .join(pl.scan_csv(PERSONAL_MAIL_DOMAINS), left_on="website_domain", right_on="domain", how="anti")
        )
        by_domain = (
            addresses.join(one_account, left_on="domain", right_on="website_domain")
            .join(listed, on="address_key", how="anti")
            # below zero, where no contact's number can be
            .select("account_no", "address_key", contact_no=-pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
        )
        enrichments = self.enrichments.lazy()
        both_rules = pl.concat(
            [
                listed.join(enrichments, how="cross"),
                by_domain.join(enrichments.filter("matches_domains"), how="cross"),
            ]
        )
        # Who is monitored and a contact is monitored only.
        return collected(
            both_rules.join(self.monitored.lazy(), on=["enrichment_no", "address_key"], how="anti")
            .select("enrichment_no", "account_no", "contact_no", "address_key")
            .unique()
        )


def countable_copies(raw: Path, window: Window, addresses: Addresses) -> pl.LazyFrame:
    """Copies of messages that could count, of people who were monitored when they came."""
    return (
        pl.scan_parquet(raw / "office_messages" / "*.parquet")
        .filter(
            ~pl.col("is_draft"),
            ~pl.col("is_meeting_mail"),
            ~pl.col("is_search_folder_copy"),
            pl.col("received_at") < window.ends_before_at,
        )
        .join(addresses.mailboxes.lazy(), on="mailbox_id")
        .filter(pl.col("received_at") < pl.col("monitored_to_at"))
    )


def matched(copies: pl.LazyFrame, addresses: Addresses) -> pl.DataFrame:
    """One row per message, account, contact and role; before anything is grouped, since most mail matches nobody."""
    contacts = addresses.contacts.lazy()
    keep = [*MESSAGE, "account_no", "contact_no", "is_sender"]
    senders = copies.select(*MESSAGE, address_key="from_key").join(
        contacts, on=["enrichment_no", "address_key"]
    )
    recipients = (
        copies.select(*MESSAGE, address_key="recipient_keys")
        .explode("address_key", empty_as_null=False)
        .join(contacts, on=["enrichment_no", "address_key"])
    )
    return collected(
        pl.concat(
            [senders.with_columns(is_sender=pl.lit(True)), recipients.with_columns(is_sender=pl.lit(False))]
        )
        .select(keep)
        .unique()
    )


def deduplicated(copies: pl.DataFrame, addresses: Addresses, window: Window) -> pl.DataFrame:
    """One row per message that no automated sender sent: its thread, its sender among ours, and when it happened."""
    grouped = collected(
        copies.lazy()
        .group_by(MESSAGE)
        .agg(
            happened_at=pl.col("received_at").min(),
            from_mailbox_id=pl.col("from_mailbox_id").min(),
            from_key=pl.col("from_key").min(),
            highest_from_key=pl.col("from_key").max(),
            thread_key=pl.col("thread_key").min(),
            highest_thread_key=pl.col("thread_key").max(),
            without_thread=pl.col("thread_key").null_count(),
            copies=pl.len(),
        )
    ).lazy()
    # Copies seldom disagree, so that only those that do are ranked: one of ours first, then any address, then the
    # earliest; and the most common form of the thread, then the lowest, then none at all.
    senders = (
        copies.lazy()
        .filter(pl.col("from_key").is_not_null())
        .join(grouped.filter(pl.col("from_key") != pl.col("highest_from_key")), on=MESSAGE, how="semi")
        .sort(pl.col("from_mailbox_id").is_null(), "received_at", "mailbox_id", "item_key")
        .unique(MESSAGE, keep="first", maintain_order=True)
        .select(
            *MESSAGE,
            pl.lit(True).alias("is_sender_disputed"),
            ranked_from_key="from_key",
            ranked_from_mailbox_id="from_mailbox_id",
        )
    )
    is_thread_disputed = (pl.col("thread_key") != pl.col("highest_thread_key")) | (
        (pl.col("without_thread") > 0) & (pl.col("without_thread") < pl.col("copies"))
    )
    threads = (
        copies.lazy()
        .join(grouped.filter(is_thread_disputed), on=MESSAGE, how="semi")
        .group_by(*MESSAGE, "thread_key")
        .len()
        .sort("len", "thread_key", descending=[True, False], nulls_last=True)
        .unique(MESSAGE, keep="first", maintain_order=True)
        .select(*MESSAGE, pl.lit(True).alias("is_thread_disputed"), ranked_thread_key="thread_key")
    )

    def ranked_where(is_disputed: str, column: str) -> pl.Expr:
        return pl.when(pl.col(is_disputed)).then(f"ranked_{column}").otherwise(column).alias(column)

    return collected(
        grouped.join(senders, on=MESSAGE, how="left")
        .join(threads, on=MESSAGE, how="left")
        .select(
            *MESSAGE,
            "happened_at",
            ranked_where("is_sender_disputed", "from_key"),
            ranked_where("is_sender_disputed", "from_mailbox_id"),
            ranked_where("is_thread_disputed", "thread_key"),
            happened_on=local_day(pl.col("happened_at"), window.time_zone),
        )
        .join(addresses.automated.lazy(), left_on="from_key", right_on="address_key", how="anti")
    )


def people_in_emails(
    counted: pl.DataFrame, copies: pl.DataFrame, evidence: pl.DataFrame, addresses: Addresses, window: Window
) -> pl.LazyFrame:
    """One row per account, side, day and person of the year."""
    counted_in_year = (
        counted.lazy()
        .filter(pl.col("happened_on") >= window.year_starts_on)
        .select(*MESSAGE, "account_no", "happened_on", "from_mailbox_id")
    )
    recipients = (
        copies.lazy()
        .select(*MESSAGE, "received_at", address_key="recipient_keys")
        .explode("address_key", empty_as_null=False)
        .join(addresses.monitored.lazy(), on=["enrichment_no", "address_key"])
        .filter(pl.col("received_at") < pl.col("owned_to_at"))
        .select(*MESSAGE, person_no="owner_id")
    )
    holders = copies.lazy().select(*MESSAGE, person_no="mailbox_id")
    person = [*ACCOUNT, "happened_on", "person_no"]
    own = pl.concat(
        [
            counted_in_year.drop_nulls("from_mailbox_id")
            .rename({"from_mailbox_id": "person_no"})
            .select(person),
            pl.concat([holders, recipients]).join(counted_in_year, on=MESSAGE).select(person),
        ]
    ).unique()
    theirs = (
        evidence.lazy()
        .join(counted_in_year, on=[*MESSAGE, "account_no"])
        .select(*ACCOUNT, "happened_on", person_no="contact_no")
        .unique()
    )
    return pl.concat(
        [own.with_columns(is_own=pl.lit(True)), theirs.with_columns(is_own=pl.lit(False))]
    ).with_columns(in_meeting=pl.lit(False))


def replies(counted: pl.DataFrame) -> pl.LazyFrame:
    """One row per reply: from one message of the account to its next is one wait, at the same instant ours first."""
    is_answer = pl.col("is_from_account")
    return (
        counted.lazy()
        .sort(*ACCOUNT, "thread_key", "happened_at", "is_from_account", "message_key")
        # the waits of a thread end with an answer, so that a new one begins after each
        .with_columns(wait_no=is_answer.cast(pl.UInt32).cum_sum() - is_answer.cast(pl.UInt32))
        .group_by(*ACCOUNT, "thread_key", "wait_no")
        .agg(
            happened_on=pl.col("happened_on").filter(is_answer).max(),
            answered_at=pl.col("happened_at").filter(is_answer).max(),
            waiting_since_at=pl.col("happened_at").filter(~is_answer).min(),
        )
        .with_columns(
            milliseconds=(pl.col("answered_at") - pl.col("waiting_since_at")).dt.total_microseconds() // 1000
        )
        .filter(pl.col("milliseconds") <= REPLY_LIMIT_MILLISECONDS)
        .select(*ACCOUNT, "happened_on", "milliseconds")
    )


def entries_of_calendars(raw: Path, window: Window, addresses: Addresses) -> pl.DataFrame:
    """Calendar entries of monitored people, with the instant at which each begins."""
    all_day_begins_at = (
        pl.col("start_at")
        .dt.truncate("1d")
        .dt.replace_time_zone(window.time_zone, ambiguous="earliest", non_existent="null")
        .dt.convert_time_zone("UTC")
        .dt.replace_time_zone(None)
    )
    return collected(
        pl.scan_parquet(raw / "office_meetings" / "*.parquet")
        .filter(pl.col("start_at").is_not_null())
        .with_columns(
            pl.col("read_at", "gone_at").cast(pl.Datetime("us")),
            begins_at=pl.when("is_all_day").then(all_day_begins_at).otherwise("start_at"),
        )
        .with_columns(has_vanished=(pl.col("gone_at") < pl.col("begins_at")).fill_null(False))
        .join(addresses.mailboxes.lazy(), on="mailbox_id")
    )


def meetings_that_took_place(entries: pl.DataFrame, window: Window) -> pl.DataFrame:
    """One row per occurrence; the organiser's copy speaks for it, else the newest, a vanished one last."""
    occurrence = ["enrichment_no", "ical_key", "start_at"]
    last_instant = pl.col("end_at") - pl.duration(microseconds=1)
    ended_on = (
        pl.when("is_all_day")
        .then(last_instant.dt.date())
        .otherwise(local_day(last_instant, window.time_zone))
    )
    is_cancelled = (
        pl.when("has_organizer_copy").then("is_cancelled").otherwise("is_cancelled_in_any_copy")
    ).fill_null(False)
    return collected(
        entries.lazy()
        .filter(pl.col("begins_at") < pl.col("monitored_to_at"))
        .sort(
            "is_organizer",
            "has_vanished",
            "read_at",
            "mailbox_id",
            "item_key",
            descending=[True, False, True, False, False],
            nulls_last=True,
        )
        .group_by(occurrence, maintain_order=True)
        .agg(
            pl.col(
                "item_key",
                "begins_at",
                "end_at",
                "is_all_day",
                "is_cancelled",
                "has_vanished",
                "organizer_key",
            ).first(),
            has_organizer_copy=pl.col("is_organizer").any(),
            is_cancelled_in_any_copy=pl.col("is_cancelled").any(),
        )
        .with_columns(happened_on=local_day(pl.col("begins_at"), window.time_zone))
        .filter(
            pl.col("happened_on") <= window.as_of_on,
            ended_on <= window.as_of_on,
            ~pl.col("has_vanished"),
            ~is_cancelled,
        )
        .select(
            *occurrence,
            "begins_at",
            "organizer_key",
            "happened_on",
            meeting_key="item_key",
            milliseconds=pl.when(~pl.col("is_all_day"), pl.col("end_at") >= pl.col("start_at")).then(
                (pl.col("end_at") - pl.col("start_at")).dt.total_microseconds() // 1000
            ),
        )
    )


def people_in_meetings(entries: pl.DataFrame, meetings: pl.DataFrame, addresses: Addresses) -> pl.DataFrame:
    """One row per meeting and person who did not decline; account_no is null for one of ours."""
    copies = (
        meetings.lazy()
        .select("enrichment_no", "ical_key", "start_at", "meeting_key", meeting_begins_at="begins_at")
        .join(entries.lazy(), on=["enrichment_no", "ical_key", "start_at"])
        .filter(
            pl.col("meeting_begins_at") < pl.col("monitored_to_at"),
            # A copy that vanished before the meeting began speaks for nobody.
            pl.col("gone_at").is_null() | (pl.col("gone_at") >= pl.col("meeting_begins_at")),
        )
    )
    owners = (
        copies.sort("read_at", "item_key", descending=[True, False], nulls_last=True)
        .unique([*MEETING, "mailbox_id"], keep="first", maintain_order=True)
        .select(*MEETING, person_no="mailbox_id", response="own_response")
    )
    of_copy = [*MEETING, "mailbox_id", "meeting_begins_at", "is_organizer", "read_at"]
    mentions = pl.concat(
        [
            copies.select(
                *of_copy,
                address_key="attendee_keys",
                attendee_type="attendee_types",
                response="attendee_responses",
            )
            .explode("address_key", "attendee_type", "response", empty_as_null=False)
            .filter(pl.col("attendee_type").ne_missing("resource"))
            .drop("attendee_type"),
            copies.drop_nulls("organizer_key").select(
                *of_copy, address_key="organizer_key", response=pl.lit("organizer")
            ),
        ]
    )
    # Whose calendar holds it answers by his own copy; anyone else by the organiser's copy, else by the newest.
    order = [
        pl.col("is_organizer"),
        pl.col("read_at"),
        pl.col("mailbox_id"),
        pl.col("response").ne_missing("organizer"),
        pl.col("response"),
    ]
    of_answer = [*MEETING, "account_no", "person_no", "response"]
    named = pl.concat(
        [
            mentions.join(addresses.monitored.lazy(), on=["enrichment_no", "address_key"])
            .filter(pl.col("meeting_begins_at") < pl.col("owned_to_at"))
            .with_columns(person_no="owner_id", account_no=pl.lit(None, pl.UInt32))
            .join(owners, on=[*MEETING, "person_no"], how="anti")
            .select(*of_answer, "is_organizer", "read_at", "mailbox_id"),
            mentions.join(addresses.contacts.lazy(), on=["enrichment_no", "address_key"])
            .with_columns(person_no="contact_no")
            .select(*of_answer, "is_organizer", "read_at", "mailbox_id"),
        ]
    )
    answers = (
        named.sort(order, descending=[True, True, False, False, False], nulls_last=True)
        .unique([*MEETING, "account_no", "person_no"], keep="first", maintain_order=True)
        .select(of_answer)
    )
    return collected(
        pl.concat([owners.with_columns(account_no=pl.lit(None, pl.UInt32)).select(of_answer), answers])
        .filter(pl.col("response").ne_missing("declined"))
        .drop("response")
    )


def counted_meetings(meetings: pl.DataFrame, people: pl.DataFrame, addresses: Addresses) -> pl.DataFrame:
    """One row per meeting and account, of those with one of ours and a contact."""
    is_own = pl.col("account_no").is_null()
    organizers = addresses.contacts.lazy().select("enrichment_no", "account_no", "address_key").unique()
    return collected(
        people.lazy()
        .filter(~is_own)
        .select(*MEETING, "account_no")
        .unique()
        .join(people.lazy().filter(is_own), on=MEETING, how="semi")
        .join(meetings.lazy(), on=MEETING)
        .join(
            addresses.monitored.lazy(),
            left_on=["enrichment_no", "organizer_key"],
            right_on=["enrichment_no", "address_key"],
            how="left",
        )
        .join(
            organizers.with_columns(is_account=pl.lit(True)),
            left_on=["enrichment_no", "account_no", "organizer_key"],
            right_on=["enrichment_no", "account_no", "address_key"],
            how="left",
        )
        .with_columns(is_to=(pl.col("begins_at") < pl.col("owned_to_at")).fill_null(False))
        .select(
            *MEETING,
            "account_no",
            "happened_on",
            "milliseconds",
            "is_to",
            is_from=~pl.col("is_to") & pl.col("is_account").fill_null(False),
        )
    )


def people_met(counted: pl.DataFrame, people: pl.DataFrame, window: Window) -> pl.LazyFrame:
    """One row per account, side, day and person of the year."""
    in_year = counted.lazy().filter(pl.col("happened_on") >= window.year_starts_on)
    is_own = pl.col("account_no").is_null()
    of_meeting = in_year.select(*MEETING, "account_no", "happened_on")
    ours = of_meeting.join(people.lazy().filter(is_own).drop("account_no"), on=MEETING)
    theirs = of_meeting.join(people.lazy().filter(~is_own), on=[*MEETING, "account_no"])
    person = [*ACCOUNT, "happened_on", "person_no"]
    return (
        pl.concat(
            [
                ours.select(person).with_columns(is_own=pl.lit(True)),
                theirs.select(person).with_columns(is_own=pl.lit(False)),
            ]
        )
        .unique()
        .with_columns(in_meeting=pl.lit(True))
    )


def result_of(
    counted: pl.DataFrame,
    met: pl.DataFrame,
    people: pl.DataFrame,
    replied: pl.LazyFrame,
    addresses: Addresses,
    window: Window,
) -> pl.DataFrame:
    """One row per enrichment, account, level and period with activity."""
    periods = pl.DataFrame(
        {
            "period_no": [period.number for period in window.periods],
            "aggregation_level": [period.level for period in window.periods],
            "aggregation_starts_on": [period.starts_on for period in window.periods],
            "counts_to_on": [period.counts_to_on for period in window.periods],
            "happened_on": [period.days for period in window.periods],
        },
        schema_overrides={"period_no": pl.Int16},
    )
    days = periods.lazy().select("period_no", "happened_on").explode("happened_on")
    of_period = [*ACCOUNT, "period_no"]
    is_answer = pl.col("is_from_account")
    email_days = collected(
        counted.lazy()
        .group_by(*ACCOUNT, "happened_on")
        .agg(
            emails_to_account_count=(~is_answer).sum().cast(pl.Int64),
            emails_from_account_count=is_answer.sum().cast(pl.Int64),
        )
    )
    meeting_days = collected(
        met.lazy()
        .group_by(*ACCOUNT, "happened_on")
        .agg(
            meetings_to_account_count=pl.col("is_to").sum().cast(pl.Int64),
            meetings_from_account_count=pl.col("is_from").sum().cast(pl.Int64),
            timed=pl.col("milliseconds").count().cast(pl.Int64),
            milliseconds=pl.col("milliseconds").sum(),
        )
    )
    account_days = pl.concat([email_days.lazy(), meeting_days.lazy()], how="diagonal")
    totals = (
        account_days.join(days, on="happened_on")
        .group_by(of_period)
        .agg(pl.all().exclude("happened_on").sum())
    )
    is_email, is_own = ~pl.col("in_meeting"), pl.col("is_own")
    people_counts = (
        people.lazy()
        .join(days, on="happened_on")
        .drop("happened_on")
        .unique()
        .group_by(of_period)
        .agg(
            own_people_in_emails_count=(is_email & is_own).sum().cast(pl.Int64),
            account_people_in_emails_count=(is_email & ~is_own).sum().cast(pl.Int64),
            own_people_in_meetings_count=(~is_email & is_own).sum().cast(pl.Int64),
            account_people_in_meetings_count=(~is_email & ~is_own).sum().cast(pl.Int64),
        )
    )
    reply_means = (
        replied.join(days, on="happened_on")
        .group_by(of_period)
        .agg(reply_time_mean_hours=pl.col("milliseconds").sum() / pl.len() / 3_600_000)
    )
    first_days = account_days.group_by(ACCOUNT).agg(engagement_started_on=pl.col("happened_on").min())

    def last_days(of_channel: pl.DataFrame, name: str) -> pl.LazyFrame:
        return (
            of_channel.lazy()
            .select(*ACCOUNT, "happened_on", pl.col("happened_on").alias(name))
            .sort("happened_on")
        )

    def days_since(name: str) -> pl.Expr:
        return (pl.col("counts_to_on") - pl.col(name)).dt.total_days()

    rows = collected(
        totals.join(periods.lazy().drop("happened_on"), on="period_no")
        .join(people_counts, on=of_period, how="left")
        .join(reply_means, on=of_period, how="left")
        .join(first_days, on=ACCOUNT)
        .join(addresses.enrichments.lazy(), on="enrichment_no")
        .join(addresses.accounts.lazy(), on="account_no")
        .sort("counts_to_on")
        .join_asof(
            last_days(email_days, "last_email_on"),
            left_on="counts_to_on",
            right_on="happened_on",
            by=ACCOUNT,
            strategy="backward",
        )
        .join_asof(
            last_days(meeting_days, "last_meeting_on"),
            left_on="counts_to_on",
            right_on="happened_on",
            by=ACCOUNT,
            strategy="backward",
        )
    )
    return rows.select(
        "enrichment_id",
        "account_id",
        "aggregation_level",
        pl.format("{}|{}|{}", "account_id", "aggregation_level", "aggregation_starts_on").alias(
            "primary_key"
        ),
        "emails_to_account_count",
        "emails_from_account_count",
        "meetings_to_account_count",
        "meetings_from_account_count",
        pl.col(
            "own_people_in_emails_count",
            "account_people_in_emails_count",
            "own_people_in_meetings_count",
            "account_people_in_meetings_count",
        ).fill_null(0),
        days_since("last_email_on").alias("days_since_last_email"),
        days_since("last_meeting_on").alias("days_since_last_meeting"),
        pl.when(pl.col("timed") > 0)
        .then(pl.col("milliseconds") / pl.col("timed") / 60_000)
        .alias("meeting_duration_mean_minutes"),
        "reply_time_mean_hours",
        "engagement_started_on",
        "aggregation_starts_on",
    )


def window_of_raw(raw: Path) -> Window:
    """The window of the raw tables."""
    mailboxes = collected(pl.scan_parquet(raw / "office_mailboxes" / "*.parquet"))
    units = collected(
        pl.scan_parquet(raw / "office_units" / "*.parquet")
        .group_by("mailbox_id", "kind")
        .agg(pl.min_horizontal("read_to", "read_at").max())
    )
    settings = collected(pl.scan_parquet(raw / "settings" / "*.parquet"))
    return window_of(
        settings.select("enrichment_id", "key", "value").iter_rows(),
        mailboxes.select("enrichment_id", "mailbox_id", "state", "monitored_to").iter_rows(),
        units.iter_rows(),
    )


def compute(raw: Path, result_file: Path, memory_limit_mb: int | None, threads: int) -> Steps:
    """Write the result's Parquet file, and give the seconds of each step.

    ValueError where Polars was started with another number of threads.
    """
    if pl.thread_pool_size() != threads:
        raise ValueError(
            f"Polars has {pl.thread_pool_size()} threads: start it with POLARS_MAX_THREADS={threads}"
        )
    steps = Steps()
    window = window_of_raw(raw)
    addresses = Addresses(raw, window)
    steps.done("addresses")

    countable = countable_copies(raw, window, addresses)
    evidence = matched(countable, addresses)
    steps.done("match")

    copies = collected(
        countable.join(evidence.lazy().select(MESSAGE).unique(), on=MESSAGE, how="semi")
        .join(
            addresses.monitored.lazy(),
            left_on=["enrichment_no", "from_key"],
            right_on=["enrichment_no", "address_key"],
            how="left",
        )
        .select(
            *MESSAGE,
            "mailbox_id",
            "item_key",
            "thread_key",
            "from_key",
            "received_at",
            "recipient_keys",
            from_mailbox_id=pl.when(pl.col("received_at") < pl.col("owned_to_at")).then("owner_id"),
        )
    )
    messages = deduplicated(copies, addresses, window)
    # To the account: one of ours wrote it and a contact receives it. From it: a contact wrote it and one of ours
    # holds it.
    counted = collected(
        evidence.lazy()
        .select(*MESSAGE, "account_no", "is_sender")
        .unique()
        .join(messages.lazy(), on=MESSAGE)
        .filter(pl.col("is_sender") == pl.col("from_mailbox_id").is_null())
        .rename({"is_sender": "is_from_account"})
    )
    steps.done("messages")

    people = collected(people_in_emails(counted, copies, evidence, addresses, window))
    del copies, evidence, messages
    steps.done("people")

    replied = collected(replies(counted)).lazy()
    steps.done("replies")

    entries = entries_of_calendars(raw, window, addresses)
    meetings = meetings_that_took_place(entries, window)
    participants = people_in_meetings(entries, meetings, addresses)
    met = counted_meetings(meetings, participants, addresses)
    people = pl.concat([people, collected(people_met(met, participants, window)).select(people.columns)])
    steps.done("meetings")

    result = result_of(counted, met, people, replied, addresses, window)
    steps.done("periods")
    result.write_parquet(result_file)
    steps.done("write")
    return steps


if __name__ == "__main__":
    run(__doc__, compute)
