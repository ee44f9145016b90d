{%- if refreshes_in_part() %}

with

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

account_days_touched as (

    select * from {{ ref('int_account_days_touched') }}

),

periods as (

    select * from {{ ref('int_periods') }}

),

periods_before as (

    select distinct
        aggregation_level,
        period_starts_on,
        counts_from_on,
        counts_to_on,
        is_cut
    from {{ before('int_account_periods_aggregated') }}

),

-- With the as-of date the year moves on, and what it cuts.
periods_redefined as (

    select periods.*
    from periods
    left join periods_before
        on
            periods.aggregation_level = periods_before.aggregation_level
            and periods.period_starts_on = periods_before.period_starts_on
            and periods.counts_from_on = periods_before.counts_from_on
            and periods.counts_to_on = periods_before.counts_to_on
            and periods.is_cut = periods_before.is_cut
    where periods_before.aggregation_level is null

),

periods_gone as (

    select
        periods_before.aggregation_level,
        periods_before.period_starts_on
    from periods_before
    left join periods
        on
            periods_before.aggregation_level = periods.aggregation_level
            and periods_before.period_starts_on = periods.period_starts_on
            and periods_before.counts_from_on = periods.counts_from_on
            and periods_before.counts_to_on = periods.counts_to_on
            and periods_before.is_cut = periods.is_cut
    where periods.aggregation_level is null

),

account_periods_touched as (

    select
        account_days_touched.enrichment_id,
        account_days_touched.account_id,
        periods.aggregation_level,
        periods.period_starts_on
    from account_days_touched
    inner join periods
        on account_days_touched.happened_on between periods.counts_from_on and periods.counts_to_on

    union all

    select
        account_days.enrichment_id,
        account_days.account_id,
        periods_redefined.aggregation_level,
        periods_redefined.period_starts_on
    from account_days
    inner join periods_redefined
        on account_days.happened_on between periods_redefined.counts_from_on and periods_redefined.counts_to_on

    union all

    select
        account_periods_before.enrichment_id,
        account_periods_before.account_id,
        account_periods_before.aggregation_level,
        account_periods_before.period_starts_on
    from {{ before('int_account_periods_aggregated') }} as account_periods_before
    inner join periods_gone
        on
            account_periods_before.aggregation_level = periods_gone.aggregation_level
            and account_periods_before.period_starts_on = periods_gone.period_starts_on

)

select distinct
    enrichment_id,
    account_id,
    aggregation_level,
    period_starts_on
from account_periods_touched

{% else %}

{{ no_rows({
    'enrichment_id': 'string',
    'account_id': 'string',
    'aggregation_level': 'string',
    'period_starts_on': 'date',
}) }}

{% endif -%}
