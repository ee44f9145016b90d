with

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

ends as (

    select distinct counts_to_on from {{ ref('int_periods') }}

),

days as (

    select distinct happened_on from account_days

),

-- The first end that a day counts to.
days_counted as (

    select
        days.happened_on,
        min(ends.counts_to_on) as counts_to_on
    from days
    inner join ends on days.happened_on <= ends.counts_to_on
    group by days.happened_on

),

first_dates as (

    select
        enrichment_id,
        account_id,
        min(happened_on) as engagement_started_on
    from account_days
    group by enrichment_id, account_id

),

-- What each end adds to those before it, so that a day is looked at once and not for every end after it.
dates_added as (

    select
        account_days.enrichment_id,
        account_days.account_id,
        days_counted.counts_to_on,
        max(case
            when account_days.emails_to_account_count + account_days.emails_from_account_count > 0
                then account_days.happened_on
        end) as last_email_on,
        max(case when account_days.meetings_count > 0 then account_days.happened_on end) as last_meeting_on
    from account_days
    inner join days_counted on account_days.happened_on = days_counted.happened_on
    group by account_days.enrichment_id, account_days.account_id, days_counted.counts_to_on

),

accounts_at_ends as (

    select
        first_dates.enrichment_id,
        first_dates.account_id,
        ends.counts_to_on,
        first_dates.engagement_started_on
    from first_dates
    inner join ends on first_dates.engagement_started_on <= ends.counts_to_on

)

-- First and last dates look at all data kept up to the row's end, not at the year alone (D6.6).
select
    accounts_at_ends.enrichment_id,
    accounts_at_ends.account_id,
    accounts_at_ends.counts_to_on,
    accounts_at_ends.engagement_started_on,
    max(dates_added.last_email_on) over (
        partition by accounts_at_ends.enrichment_id, accounts_at_ends.account_id
        order by accounts_at_ends.counts_to_on nulls last
        rows between unbounded preceding and current row
    ) as last_email_on,
    max(dates_added.last_meeting_on) over (
        partition by accounts_at_ends.enrichment_id, accounts_at_ends.account_id
        order by accounts_at_ends.counts_to_on nulls last
        rows between unbounded preceding and current row
    ) as last_meeting_on
from accounts_at_ends
left join dates_added
    on
        accounts_at_ends.enrichment_id = dates_added.enrichment_id
        and accounts_at_ends.account_id = dates_added.account_id
        and accounts_at_ends.counts_to_on = dates_added.counts_to_on
