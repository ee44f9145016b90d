with

customers as (

    select
        account_id,
        office_enrichment_id
    from {{ ref('enriched_customers') }}
    where office_enrichment_id is not null

),

months as (

    select * from {{ ref('int_periods') }}
    where aggregation_level = 'month'

),

account_months as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'month'

),

office_days as (

    select * from {{ ref('office_days') }}

),

months_read as (

    select
        office_days.enrichment_id,
        months.period_starts_on,
        count(*) as days_count,
        cast(sum(case when office_days.is_covered then 1 else 0 end) as bigint) as days_covered_count,
        cast(sum(case when office_days.mailboxes_read_count > 0 then 1 else 0 end) as bigint) as days_read_count
    from months
    inner join office_days on office_days.day_on between months.counts_from_on and months.counts_to_on
    group by office_days.enrichment_id, months.period_starts_on

),

-- Where nobody's mailbox was read for any day of a month, nothing is known, which is not nothing.
customer_months as (

    select
        customers.account_id,
        customers.office_enrichment_id,
        account_months.engagement_score,
        case when months_read.days_read_count > 0 then coalesce(account_months.emails_to_account_count, 0) end
            as emails_to_account_count,
        case when months_read.days_read_count > 0 then coalesce(account_months.emails_from_account_count, 0) end
            as emails_from_account_count,
        case when months_read.days_read_count > 0 then coalesce(account_months.meetings_count, 0) end
            as meetings_count,
        coalesce(months_read.days_count, 0) as days_count,
        coalesce(months_read.days_covered_count, 0) as days_covered_count,
        months.is_cut,
        months.period_starts_on,
        months.counts_to_on
    from customers
    cross join months
    left join months_read
        on
            customers.office_enrichment_id = months_read.enrichment_id
            and months.period_starts_on = months_read.period_starts_on
    left join account_months
        on
            customers.office_enrichment_id = account_months.enrichment_id
            and customers.account_id = account_months.account_id
            and months.period_starts_on = account_months.aggregation_starts_on

)

select
    account_id,
    office_enrichment_id,
    engagement_score,
    emails_to_account_count + emails_from_account_count as emails_count,
    emails_to_account_count,
    emails_from_account_count,
    meetings_count,
    days_count,
    days_covered_count,
    is_cut as is_cut_month,
    period_starts_on as month_starts_on,
    counts_to_on as month_ends_on
from customer_months
