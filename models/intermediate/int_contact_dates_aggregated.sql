with

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

ends as (

    select distinct counts_to_on from {{ ref('int_periods') }}

),

first_dates as (

    select
        enrichment_id,
        account_id,
        min(happened_on) as engagement_started_on
    from account_days
    group by enrichment_id, account_id

)

-- First and last dates look at all data kept up to the row's end, not at the year alone (D6.6).
select
    account_days.enrichment_id,
    account_days.account_id,
    ends.counts_to_on,
    first_dates.engagement_started_on,
    max(case
        when account_days.emails_to_account_count + account_days.emails_from_account_count > 0
            then account_days.happened_on
    end) as last_email_on,
    max(case when account_days.meetings_count > 0 then account_days.happened_on end) as last_meeting_on
from account_days
inner join ends on account_days.happened_on <= ends.counts_to_on
inner join first_dates
    on
        account_days.enrichment_id = first_dates.enrichment_id
        and account_days.account_id = first_dates.account_id
group by
    account_days.enrichment_id,
    account_days.account_id,
    ends.counts_to_on,
    first_dates.engagement_started_on
