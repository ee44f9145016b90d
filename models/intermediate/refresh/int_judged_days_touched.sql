{%- if refreshes_in_part() %}

with

touched as (

    select * from {{ ref('int_scores_touched') }}

),

days_judged as (

    select distinct
        enrichment_id,
        scored_on,
        known_by_on
    from {{ ref('int_score_rows_judged') }}

),

judged_before as (

    select distinct
        enrichment_id,
        scored_on,
        known_by_on
    from {{ before('int_rhythms_measured') }}

)

select
    enrichment_id,
    scored_on,
    known_by_on
from touched

union distinct

-- The weeks that are judged reach further back where the as-of date does: their scores are there, untouched.
select
    days_judged.enrichment_id,
    days_judged.scored_on,
    days_judged.known_by_on
from days_judged
left join judged_before
    on
        days_judged.enrichment_id = judged_before.enrichment_id
        and days_judged.scored_on = judged_before.scored_on
        and days_judged.known_by_on = judged_before.known_by_on
where judged_before.enrichment_id is null

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'scored_on': 'date', 'known_by_on': 'date'}) }}

{% endif -%}
