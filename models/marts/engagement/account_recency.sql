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
    {{ is_never_engaged('days_since_last_email', 'days_since_last_meeting') }} as is_never_engaged,
    {{ is_stale('days_since_last_email', 'days_since_last_meeting') }} as is_stale,
    {{ is_stale_strict('days_since_last_email', 'days_since_last_meeting') }} as is_stale_strict,
    engagement_started_on,
    last_email_on,
    last_meeting_on,
    last_contact_on,
    as_of_date
from recency
