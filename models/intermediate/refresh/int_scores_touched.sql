{%- if refreshes_in_part() %}

with

score_rows as (

    select * from {{ ref('int_score_rows') }}

),

days_scored as (

    select distinct
        enrichment_id,
        scored_on,
        known_by_on
    from score_rows

),

scored_before as (

    select distinct
        enrichment_id,
        account_id,
        score_series,
        period_starts_on,
        scored_on,
        known_by_on
    from {{ before('int_scores_summed') }}

),

days_touched as (

    select distinct
        enrichment_id,
        happened_on
    from {{ ref('int_account_days_touched') }}

),

scores_touched as (

    -- A score is a place among all accounts: one of them touched within the year before, and all are scored again.
    select
        days_scored.enrichment_id,
        days_scored.scored_on,
        days_scored.known_by_on
    from days_scored
    inner join days_touched
        on
            days_scored.enrichment_id = days_touched.enrichment_id
            and days_scored.scored_on >= days_touched.happened_on
            and days_scored.scored_on <= cast(days_touched.happened_on + interval 364 day as date)

    union all

    -- An account that is scored for the first time, or among others: the year begins earlier or later than it did.
    select
        score_rows.enrichment_id,
        score_rows.scored_on,
        score_rows.known_by_on
    from score_rows
    left join scored_before
        on
            score_rows.enrichment_id = scored_before.enrichment_id
            and score_rows.account_id = scored_before.account_id
            and score_rows.score_series = scored_before.score_series
            and score_rows.period_starts_on = scored_before.period_starts_on
            and score_rows.scored_on = scored_before.scored_on
            and score_rows.known_by_on = scored_before.known_by_on
    where scored_before.enrichment_id is null

    union all

    -- one that is scored no more
    select
        scored_before.enrichment_id,
        scored_before.scored_on,
        scored_before.known_by_on
    from scored_before
    left join score_rows
        on
            scored_before.enrichment_id = score_rows.enrichment_id
            and scored_before.account_id = score_rows.account_id
            and scored_before.score_series = score_rows.score_series
            and scored_before.period_starts_on = score_rows.period_starts_on
            and scored_before.scored_on = score_rows.scored_on
            and scored_before.known_by_on = score_rows.known_by_on
    where score_rows.enrichment_id is null

)

select distinct
    enrichment_id,
    scored_on,
    known_by_on
from scores_touched

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'scored_on': 'date', 'known_by_on': 'date'}) }}

{% endif -%}
