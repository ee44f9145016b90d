{{ config(
    materialized=refreshed(),
    incremental_strategy='delete+insert' if target.type == 'duckdb' else none,
    unique_key=['enrichment_id', 'account_id', 'score_version', 'week_ends_on', 'component'],
    on_schema_change='fail',
    post_hook="{{ without_gone('int_score_changes_explained', {
        'enrichment_id': 'enrichment_id', 'account_id': 'account_id', 'score_version': 'score_version',
        'week_ends_on': 'scored_on', 'component': 'component',
    }) }}",
) }}

select
    enrichment_id,
    account_id,
    score_version,
    component,
    previous_points,
    points_earned,
    own_change_points,
    others_change_points,
    scored_on as week_ends_on
from {{ ref('int_score_changes_explained') }}
{{ unless_it_stands() }}
