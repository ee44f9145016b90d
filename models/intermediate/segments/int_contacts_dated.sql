with

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_judged

),

account_days_known as (

    select
        account_days.enrichment_id,
        account_days.account_id,
        account_days.happened_on,
        account_days.emails_to_account_count,
        account_days.emails_from_account_count,
        account_days.meetings_count,
        account_days.emails_to_account_count + account_days.emails_from_account_count as emails_count,
        account_days.emails_from_account_count + account_days.meetings_from_account_count as inbound_count,
        account_days.emails_to_account_count + account_days.meetings_to_account_count as outbound_count,
        case
            when account_days.happened_on >= cast(segment_dates.judged_on - interval 364 day as date) then 1 else 0
        end as is_in_year,
        segment_dates.judged_on
    from account_days
    inner join segment_dates
        on
            account_days.happened_on <= segment_dates.judged_on
            and account_days.known_on <= segment_dates.known_by_on

)

-- The last dates look at all that is kept, the counts at the 365 days.
select
    enrichment_id,
    account_id,
    max(case when emails_count > 0 then happened_on end) as last_email_on,
    max(case when meetings_count > 0 then happened_on end) as last_meeting_on,
    cast(sum(is_in_year * emails_to_account_count) as bigint) as emails_to_account_count,
    cast(sum(is_in_year * emails_from_account_count) as bigint) as emails_from_account_count,
    cast(sum(is_in_year * meetings_count) as bigint) as meetings_count,
    cast(sum(is_in_year * inbound_count) as bigint) as inbound_count,
    cast(sum(is_in_year * outbound_count) as bigint) as outbound_count,
    judged_on
from account_days_known
group by enrichment_id, account_id, judged_on
