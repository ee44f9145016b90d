{%- if refreshes_in_part() %}

with

scores_touched as (

    select * from {{ ref('int_scores_touched') }}
    where known_by_on != date '9999-12-31'

),

-- A change looks at two weeks, so the next one is touched with each.
weeks_touched as (

    select
        enrichment_id,
        scored_on
    from scores_touched

    union all

    select
        enrichment_id,
        cast(scored_on + interval 7 day as date) as scored_on
    from scores_touched

)

select distinct
    enrichment_id,
    scored_on
from weeks_touched

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'scored_on': 'date'}) }}

{% endif -%}
