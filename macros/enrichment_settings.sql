{#- The settings of each enrichment as one row, from the rows of `settings` (raw.settings without those of the whole
    project). Settings that an earlier version wrote say nothing of consents: then they count as given. -#}
{% macro enrichment_settings() -%}
    select
        enrichment_id,
        max(case when key = 'type' then value end) as enrichment_type,
        max(case when key = 'name' then value end) as enrichment_name,
        max(case when key = 'output_table' then value end) as output_table,
        coalesce(max(case when key = 'consent_state' then value end), 'given') as consent_state,
        max(case when key = 'refresh' then value end) as refresh_frequency,
        cast(max(case when key = 'refresh_hours' then value end) as bigint) as refresh_hours,
        cast(max(case when key = 'position' then value end) as bigint) as list_position,
        cast(max(case when key = 'max_age_days' then value end) as bigint) as max_age_days,
        cast(coalesce(max(case when key = 'tolerated_failures' then value end), '0') as double)
            as tolerated_failures_ratio,
        coalesce(max(case when key = 'active' then value end), 'true') = 'true' as is_active,
        coalesce(max(case when key = 'domain_matching' then value end), 'false') = 'true' as matches_domains,
        coalesce(max(case when key = 'publish' then value end), 'false') = 'true' as publishes_contacts,
        coalesce(max(case when key = 'has_outputs' then value end), 'true') = 'true' as has_outputs,
        coalesce(max(case when key = 'consent_state' then value end), 'given') != 'given' as is_waiting_for_consent
    from settings
    group by enrichment_id
{%- endmacro %}
