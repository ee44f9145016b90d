{#- One row per office enrichment, segment and account in it: enrichment_id, segment_id, account_id. The one place that says
    where the memberships are from. -#}
{% macro segment_memberships() -%}
    select
        enrichment_id,
        'stale_accounts' as segment_id,
        account_id
    from {{ ref('stale_accounts') }}
{%- endmacro %}
