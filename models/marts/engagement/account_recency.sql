with

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

as_of as (

    select * from {{ ref('as_of') }}

),

contact_dates as (

    select * from {{ ref('int_contact_dates_aggregated') }}

),

recency as (

    select
        enrichments.enrichment_id,
        accounts.account_id,
        {{ addresses_masked('accounts.account_name') }} as account_name,
        {{ addresses_masked('accounts.country') }} as country,
        {{ days_between('contact_dates.last_email_on', 'as_of.as_of_date') }} as days_since_last_email,
        {{ days_between('contact_dates.last_meeting_on', 'as_of.as_of_date') }} as days_since_last_meeting,
        contact_dates.engagement_started_on,
        contact_dates.last_email_on,
        contact_dates.last_meeting_on,
        greatest(
            coalesce(contact_dates.last_email_on, contact_dates.last_meeting_on),
            coalesce(contact_dates.last_meeting_on, contact_dates.last_email_on)
        ) as last_contact_on,
        as_of.as_of_date
    from accounts
    cross join enrichments
    cross join as_of
    left join contact_dates
        on
            enrichments.enrichment_id = contact_dates.enrichment_id
            and accounts.account_id = contact_dates.account_id
            and as_of.as_of_date = contact_dates.counts_to_on

)

select
    enrichment_id,
    account_id,
    account_name,
    country,
    days_since_last_email,
    days_since_last_meeting,
    days_since_last_email is null and days_since_last_meeting is null as is_never_engaged,
    -- Never counts as long ago, but never at all is another thing than stale (D6.8).
    coalesce(days_since_last_email > {{ var('stale_after_days') }}, true)
    and coalesce(days_since_last_meeting > {{ var('stale_after_days') }}, true)
    and (days_since_last_email is not null or days_since_last_meeting is not null) as is_stale,
    coalesce(days_since_last_email > {{ var('stale_after_days') }}, false)
    and coalesce(days_since_last_meeting > {{ var('stale_after_days') }}, false) as is_stale_strict,
    engagement_started_on,
    last_email_on,
    last_meeting_on,
    last_contact_on,
    as_of_date
from recency
