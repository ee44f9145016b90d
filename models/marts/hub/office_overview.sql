with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

accounts as (

    select count(*) as accounts_count from {{ ref('stg_customers__accounts') }}

),

accounts_enriched as (

    select
        enrichment_id,
        count(*) as accounts_enriched_count
    from {{ ref('account_engagement') }}
    where aggregation_level = 'year'
    group by enrichment_id

),

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}
    where monitored_to_at is null

),

mailboxes_counted as (

    select
        enrichment_id,
        count(*) as mailboxes_selected_count,
        sum(case when mailbox_state = 'readable' then 1 else 0 end) as mailboxes_processed_count
    from mailboxes
    group by enrichment_id

),

days_covered as (

    select
        enrichment_id,
        sum(case when is_covered then 1 else 0 end) as days_covered_count
    from {{ ref('office_days') }}
    group by enrichment_id

),

gaps as (

    select
        enrichment_id,
        count(*) as gaps_count
    from {{ ref('office_gaps') }}
    group by enrichment_id

),

email_copies as (

    select
        copies.enrichment_id,
        count(*) as email_copies_read_count
    from {{ ref('int_message_copies_countable') }} as copies
    cross join reporting
    inner join as_of
        on copies.received_at >= {{ local_midnight('as_of.year_starts_on', 'reporting.time_zone') }}
    group by copies.enrichment_id

),

items_counted as (

    select
        enrichment_id,
        sum(case when kind = 'message' then items_in_year_count else 0 end) as emails_counted_count,
        sum(case when kind = 'meeting' then items_in_year_count else 0 end) as meetings_counted_count
    from {{ ref('office_coverage') }}
    where is_counted
    group by enrichment_id

),

meetings_read as (

    select
        meetings.enrichment_id,
        count(*) as meetings_read_count
    from {{ ref('int_meetings_deduplicated') }} as meetings
    inner join as_of on meetings.happened_on >= as_of.year_starts_on
    group by meetings.enrichment_id

)

select
    enrichments.enrichment_id,
    {{ addresses_masked('enrichments.enrichment_name') }} as enrichment_name,
    enrichments.output_table,
    reporting.time_zone,
    reporting.small_numbers,
    accounts.accounts_count,
    coalesce(accounts_enriched.accounts_enriched_count, 0) as accounts_enriched_count,
    cast(coalesce(mailboxes_counted.mailboxes_selected_count, 0) as bigint) as mailboxes_selected_count,
    cast(coalesce(mailboxes_counted.mailboxes_processed_count, 0) as bigint) as mailboxes_processed_count,
    coalesce(email_copies.email_copies_read_count, 0) as email_copies_read_count,
    cast(coalesce(items_counted.emails_counted_count, 0) as bigint) as emails_counted_count,
    coalesce(meetings_read.meetings_read_count, 0) as meetings_read_count,
    cast(coalesce(items_counted.meetings_counted_count, 0) as bigint) as meetings_counted_count,
    cast(coalesce(days_covered.days_covered_count, 0) as bigint) as days_covered_count,
    coalesce(gaps.gaps_count, 0) as gaps_count,
    -- The original's advice: run again until the whole window of a year is there.
    coalesce(gaps.gaps_count, 0) = 0 as is_complete,
    as_of.as_of_date,
    as_of.year_starts_on,
    as_of.kept_from_on
from enrichments
cross join reporting
cross join as_of
cross join accounts
left join accounts_enriched on enrichments.enrichment_id = accounts_enriched.enrichment_id
left join mailboxes_counted on enrichments.enrichment_id = mailboxes_counted.enrichment_id
left join email_copies on enrichments.enrichment_id = email_copies.enrichment_id
left join items_counted on enrichments.enrichment_id = items_counted.enrichment_id
left join meetings_read on enrichments.enrichment_id = meetings_read.enrichment_id
left join days_covered on enrichments.enrichment_id = days_covered.enrichment_id
left join gaps on enrichments.enrichment_id = gaps.enrichment_id
