with

company_values as (

    select * from {{ ref('int_company_values_dated') }}

),

answers_measured as (

    select
        enrichment_id,
        account_id,
        known_from_at,
        min(run_id) as run_id,
        max(case when is_enriched then 1 else 0 end) as is_enriched_number,
        sum(case when coalesce(value_text, '') != coalesce(value_before_text, '') then 1 else 0 end)
            as values_changed_count
    from company_values
    group by enrichment_id, account_id, known_from_at

)

select
    enrichment_id,
    account_id,
    run_id,
    cast(values_changed_count as bigint) as values_changed_count,
    is_enriched_number = 1 as is_enriched,
    is_enriched_number != coalesce(lag(is_enriched_number) over (
        partition by enrichment_id, account_id
        order by known_from_at nulls last
    ), 0) as is_enriched_changed,
    known_from_at
from answers_measured
