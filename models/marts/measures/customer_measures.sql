with

recency as (

    select * from {{ ref('account_recency') }}

),

account_years as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'year'

),

customer_cards as (

    select * from {{ ref('customer_cards') }}

)

select
    recency.enrichment_id,
    recency.account_id,
    recency.account_name,
    coalesce(account_years.emails_to_account_count + account_years.emails_from_account_count, 0) as emails_count,
    coalesce(account_years.emails_to_account_count, 0) as emails_to_account_count,
    coalesce(account_years.emails_from_account_count, 0) as emails_from_account_count,
    coalesce(account_years.meetings_count, 0) as meetings_count,
    coalesce(account_years.meetings_to_account_count, 0) as meetings_to_account_count,
    coalesce(account_years.meetings_from_account_count, 0) as meetings_from_account_count,
    coalesce(account_years.replies_count, 0) as replies_count,
    account_years.reply_time_mean_hours,
    account_years.reply_time_median_hours,
    account_years.meeting_duration_mean_minutes,
    account_years.engagement_score,
    recency.days_since_last_email,
    recency.days_since_last_meeting,
    account_years.account_id is not null as is_engaged,
    customer_cards.is_enriched,
    recency.as_of_date
from recency
inner join customer_cards on recency.account_id = customer_cards.account_id
left join account_years
    on
        recency.enrichment_id = account_years.enrichment_id
        and recency.account_id = account_years.account_id
