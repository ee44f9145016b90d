{%- set measures = {
    'all_accounts': 'accounts',
    'accounts_engaged': 'accounts',
    'accounts_enriched': 'accounts',
    'engaged_ratio': 'ratio',
    'enriched_ratio': 'ratio',
    'emails': 'messages',
    'emails_to_account': 'messages',
    'emails_from_account': 'messages',
    'meetings': 'meetings',
    'replies': 'messages',
    'reply_time_mean_hours': 'hours',
    'engagement_score_mean': 'points',
} -%}
{%- set unit_of_measure -%}
    case measures_stacked.measure
    {%- for measure, unit in measures.items() %} when '{{ measure }}' then '{{ unit }}'{% endfor %} end
{%- endset -%}
with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

as_of as (

    select * from {{ ref('as_of') }}

),

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

attributes as (

    select * from {{ ref('stg_customers__attributes') }}
    where data_type in ('string', 'boolean')

),

customer_cards as (

    select * from {{ ref('customer_cards') }}

),

customer_measures as (

    select
        *,
        -- Whole numbers, whose sums are the same in any order.
        cast(round(reply_time_mean_hours * replies_count * 3600000, 0) as bigint) as reply_milliseconds
    from {{ ref('customer_measures') }}

),

members as (

    select * from {{ ref('segment_members') }}

),

own_columns as (

    select
        accounts.account_id,
        -- A column of the customer's own that bears the name of a dimension of ours.
        case when attributes.attribute in ('all', 'size_band', 'segment') then 'own ' else '' end
        || attributes.attribute as dimension,
        {{ own_column('accounts.attributes_json', 'attributes.attribute') }} as dimension_value
    from accounts
    cross join attributes

),

dimensions_of_accounts as (

    select
        account_id,
        'country' as dimension,
        company_country as dimension_value
    from customer_cards

    union all

    select
        account_id,
        'industry' as dimension,
        industry as dimension_value
    from customer_cards

    union all

    select
        account_id,
        'size_band' as dimension,
        employees_range as dimension_value
    from customer_cards

    union all

    select
        account_id,
        dimension,
        dimension_value
    from own_columns

),

account_groups as (

    select
        customer_measures.enrichment_id,
        dimensions_of_accounts.dimension,
        coalesce(dimensions_of_accounts.dimension_value, '(unknown)') as dimension_value,
        customer_measures.account_id
    from customer_measures
    inner join dimensions_of_accounts on customer_measures.account_id = dimensions_of_accounts.account_id

    union all

    select
        enrichment_id,
        'segment' as dimension,
        segment_id as dimension_value,
        account_id
    from members

    union all

    -- All accounts are a group also where there are none.
    select
        enrichments.enrichment_id,
        'all' as dimension,
        'all' as dimension_value,
        customer_measures.account_id
    from enrichments
    cross join as_of
    left join customer_measures on enrichments.enrichment_id = customer_measures.enrichment_id

),

groups_summed as (

    select
        account_groups.enrichment_id,
        account_groups.dimension,
        account_groups.dimension_value,
        cast(count(account_groups.account_id) as bigint) as accounts_count,
        cast(count(account_groups.account_id) as double) as all_accounts,
        cast(sum(case when customer_measures.is_engaged then 1 else 0 end) as double) as accounts_engaged,
        cast(sum(case when customer_measures.is_enriched then 1 else 0 end) as double) as accounts_enriched,
        cast(coalesce(sum(customer_measures.emails_count), 0) as double) as emails,
        cast(coalesce(sum(customer_measures.emails_to_account_count), 0) as double) as emails_to_account,
        cast(coalesce(sum(customer_measures.emails_from_account_count), 0) as double) as emails_from_account,
        cast(coalesce(sum(customer_measures.meetings_count), 0) as double) as meetings,
        cast(coalesce(sum(customer_measures.replies_count), 0) as double) as replies,
        -- A mean weighs the replies that it is of.
        cast(sum(customer_measures.reply_milliseconds) as double)
        / nullif(sum(customer_measures.replies_count), 0) / 3600000 as reply_time_mean_hours,
        -- Spark's mean of decimals is a decimal, cut at eight places.
        cast(sum(customer_measures.engagement_score) as double)
        / nullif(count(customer_measures.engagement_score), 0) as engagement_score_mean
    from account_groups
    left join customer_measures
        on
            account_groups.enrichment_id = customer_measures.enrichment_id
            and account_groups.account_id = customer_measures.account_id
    group by account_groups.enrichment_id, account_groups.dimension, account_groups.dimension_value

),

groups_measured as (

    select
        *,
        accounts_engaged / nullif(all_accounts, 0) as engaged_ratio,
        accounts_enriched / nullif(all_accounts, 0) as enriched_ratio
    from groups_summed

),

measures_stacked as (

    select
        enrichment_id,
        dimension,
        dimension_value,
        accounts_count,
        {{ stacked(measures.keys() | list, 'measure', 'measure_value') }}
    from groups_measured

)

select
    measures_stacked.enrichment_id,
    measures_stacked.measure,
    measures_stacked.dimension,
    measures_stacked.dimension_value,
    measures_stacked.measure_value,
    {{ unit_of_measure }} as unit,
    measures_stacked.accounts_count,
    as_of.as_of_date
from measures_stacked
cross join as_of
