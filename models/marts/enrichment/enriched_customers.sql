with

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

lookups as (

    select * from {{ ref('account_lookups') }}

),

leadspace_companies as (

    select * from {{ ref('leadspace_companies') }}

),

account_years as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'year'

),

recency as (

    select * from {{ ref('account_recency') }}

),

-- Several Leadspace enrichments: one that knows the company, then the first of enrichments.yml.
lookups_ranked as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        lookups.lookup_status,
        lookups.match_verdict,
        lookups.is_refreshed,
        row_number() over (
            partition by lookups.account_id
            order by
                case when leadspace_companies.account_id is null then 1 else 0 end nulls last,
                enrichments.list_position nulls last,
                lookups.enrichment_id nulls last
        ) as place_in_account
    from lookups
    inner join enrichments on lookups.enrichment_id = enrichments.enrichment_id
    left join leadspace_companies
        on
            lookups.enrichment_id = leadspace_companies.enrichment_id
            and lookups.account_id = leadspace_companies.account_id

),

chosen_lookups as (

    select * from lookups_ranked
    where place_in_account = 1

),

-- Several office enrichments: one with contact in the year, then one with any, then the first.
engagements_ranked as (

    select
        recency.enrichment_id,
        recency.account_id,
        recency.days_since_last_email,
        recency.days_since_last_meeting,
        recency.is_never_engaged,
        recency.is_stale,
        recency.is_stale_strict,
        recency.engagement_started_on,
        recency.last_email_on,
        recency.last_meeting_on,
        recency.as_of_date,
        row_number() over (
            partition by recency.account_id
            order by
                case when account_years.account_id is null then 1 else 0 end nulls last,
                case when recency.last_contact_on is null then 1 else 0 end nulls last,
                enrichments.list_position nulls last,
                recency.enrichment_id nulls last
        ) as place_in_account
    from recency
    inner join enrichments on recency.enrichment_id = enrichments.enrichment_id
    left join account_years
        on
            recency.enrichment_id = account_years.enrichment_id
            and recency.account_id = account_years.account_id

),

chosen_engagements as (

    select * from engagements_ranked
    where place_in_account = 1

)

select
    accounts.account_id,
    {{ addresses_masked('accounts.account_name') }} as account_name,
    {{ addresses_masked('accounts.website') }} as website,
    {{ addresses_masked('accounts.country') }} as country,
    accounts.parent_account_id,
    chosen_lookups.enrichment_id as leadspace_enrichment_id,
    chosen_lookups.lookup_status,
    leadspace_companies.company_id,
    chosen_lookups.match_verdict,
    leadspace_companies.match_confidence,
    leadspace_companies.company_name,
    leadspace_companies.company_website,
    leadspace_companies.company_country,
    leadspace_companies.company_state,
    leadspace_companies.company_city,
    leadspace_companies.industry,
    leadspace_companies.sub_industry,
    leadspace_companies.ownership_type,
    leadspace_companies.employees_range,
    leadspace_companies.annual_revenue_range,
    leadspace_companies.employees_count,
    leadspace_companies.annual_revenue_usd,
    chosen_lookups.is_refreshed as is_company_refreshed,
    leadspace_companies.answered_at as leadspace_answered_at,
    chosen_engagements.enrichment_id as office_enrichment_id,
    account_years.engagement_score,
    account_years.emails_to_account_count,
    account_years.emails_from_account_count,
    account_years.meetings_count,
    account_years.meetings_to_account_count,
    account_years.meetings_from_account_count,
    account_years.own_people_in_emails_count,
    account_years.own_people_in_emails_band,
    account_years.account_people_in_emails_count,
    account_years.account_people_in_emails_band,
    account_years.own_people_in_meetings_count,
    account_years.own_people_in_meetings_band,
    account_years.account_people_in_meetings_count,
    account_years.account_people_in_meetings_band,
    account_years.meeting_duration_mean_minutes,
    account_years.reply_time_mean_hours,
    account_years.reply_time_median_hours,
    chosen_engagements.days_since_last_email,
    chosen_engagements.days_since_last_meeting,
    chosen_engagements.is_never_engaged,
    chosen_engagements.is_stale,
    chosen_engagements.is_stale_strict,
    chosen_engagements.engagement_started_on,
    chosen_engagements.last_email_on,
    chosen_engagements.last_meeting_on,
    chosen_engagements.as_of_date
from accounts
left join chosen_lookups on accounts.account_id = chosen_lookups.account_id
left join leadspace_companies
    on
        chosen_lookups.enrichment_id = leadspace_companies.enrichment_id
        and chosen_lookups.account_id = leadspace_companies.account_id
left join chosen_engagements on accounts.account_id = chosen_engagements.account_id
left join account_years
    on
        chosen_engagements.enrichment_id = account_years.enrichment_id
        and chosen_engagements.account_id = account_years.account_id
