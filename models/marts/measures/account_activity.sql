with

as_of as (

    select * from {{ ref('as_of') }}

),

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

replies as (

    select * from {{ ref('int_replies_measured') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

counted as (

    select
        enrichment_id,
        account_id,
        happened_on,
        emails_to_account_count,
        emails_from_account_count,
        meetings_count,
        meetings_to_account_count,
        meetings_from_account_count,
        0 as replies,
        cast(null as bigint) as reply_milliseconds
    from account_days

    union all

    select
        enrichment_id,
        account_id,
        happened_on,
        0 as emails_to_account_count,
        0 as emails_from_account_count,
        0 as meetings_count,
        0 as meetings_to_account_count,
        0 as meetings_from_account_count,
        1 as replies,
        reply_milliseconds
    from replies

),

-- A week cut where a month ends: its pieces add up to weeks, and to months, and both add up to the year (D6.5).
counted_in_pieces as (

    select
        counted.*,
        greatest(
            cast(date_trunc('week', counted.happened_on) as date),
            cast(date_trunc('month', counted.happened_on) as date)
        ) as starts_on
    from counted
    inner join as_of on counted.happened_on between as_of.year_starts_on and as_of.as_of_date

),

pieces as (

    select
        enrichment_id,
        account_id,
        starts_on,
        cast(sum(emails_to_account_count) as bigint) as emails_to_account_count,
        cast(sum(emails_from_account_count) as bigint) as emails_from_account_count,
        cast(sum(meetings_count) as bigint) as meetings_count,
        cast(sum(meetings_to_account_count) as bigint) as meetings_to_account_count,
        cast(sum(meetings_from_account_count) as bigint) as meetings_from_account_count,
        cast(sum(replies) as bigint) as replies_count,
        cast(sum(reply_milliseconds) as bigint) as reply_milliseconds
    from counted_in_pieces
    group by enrichment_id, account_id, starts_on

)

select
    pieces.enrichment_id,
    pieces.account_id,
    pieces.emails_to_account_count + pieces.emails_from_account_count as emails_count,
    pieces.emails_to_account_count,
    pieces.emails_from_account_count,
    pieces.meetings_count,
    pieces.meetings_to_account_count,
    pieces.meetings_from_account_count,
    pieces.replies_count,
    -- A sum tells the mean, and one slow answer moves it (D8).
    case when not reporting.is_banded then cast(pieces.reply_milliseconds as double) / 3600000 end as reply_time_hours,
    pieces.starts_on,
    least(
        cast(date_trunc('week', pieces.starts_on) + interval 6 day as date),
        cast(date_trunc('month', pieces.starts_on) + interval 1 month - interval 1 day as date),
        as_of.as_of_date
    ) as ends_on
from pieces
cross join as_of
cross join reporting
