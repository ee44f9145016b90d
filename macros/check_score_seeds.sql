{#- The components that int_components_measured computes, with what their rows in the seed have to say. -#}
{% macro known_components() -%}
    {{ return({
        'contact_recency': {'unit': 'days', 'better': 'lower', 'decays': false},
        'two_way_recency': {'unit': 'days', 'better': 'lower', 'decays': false},
        'email_inbound': {'unit': 'messages', 'better': 'higher', 'decays': true},
        'email_outbound': {'unit': 'messages', 'better': 'higher', 'decays': true},
        'meeting_volume': {'unit': 'meetings', 'better': 'higher', 'decays': true},
        'reciprocity': {'unit': 'ratio', 'better': 'higher', 'decays': false},
        'breadth': {'unit': 'people', 'better': 'higher', 'decays': false},
        'responsiveness': {'unit': 'ratio', 'better': 'higher', 'decays': false},
        'regularity': {'unit': 'weeks', 'better': 'higher', 'decays': false},
    }) }}
{%- endmacro %}

{#- Shortest half-life: doubles hold 1,023 of them from the landmark of macro forward_weight, so 14 days last until 2039. -#}
{% macro shortest_half_life_days() -%}{{ return(14) }}{%- endmacro %}

{#- Raises what a query finds, a text a row, as one line that begins with the seed's file. -#}
{% macro raise_findings(file, query) -%}
    {%- if execute -%}
        {%- set findings = run_query(query).columns[0].values() -%}
        {%- if findings -%}
            {%- do exceptions.raise_compiler_error(file ~ ': ' ~ findings | join('; ')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Post-hook of the seed score_components (`relation` names a table to be checked in its stead): what is wrong stops the
    build with one line, before anything is scored. NaN is greater than any number, and so never between two. -#}
{% macro check_score_components(relation=none) -%}
    {%- set known = known_components() -%}
    {%- set rows = [] -%}
    {%- for component, facts in known.items() -%}
        {%- do rows.append(
            "select '" ~ component ~ "' as component, '" ~ facts.unit ~ "' as unit, '" ~ facts.better ~ "' as better, "
            ~ facts.decays ~ ' as decays'
        ) -%}
    {%- endfor -%}
    {%- set query -%}
        with
        seed as (
            select
                *,
                'version ' || score_version || ', ' || component || ': ' as place,
                count(*) over (partition by score_version, component) as rows_count
            from {{ relation or this }}
        ),
        known as ({{ rows | join(' union all ') }}),
        checked as (
            select
                seed.*,
                known.unit as known_unit,
                known.better as known_better,
                known.decays
            from seed
            left join known on seed.component = known.component
        ),
        findings as (
            select 'a row (' || coalesce(component, '') || ') has no score_version' as finding
            from checked
            where coalesce(score_version, '') = ''
            union all
            select place || 'no such component (there are {{ known.keys() | join(', ') }})'
            from checked
            where known_unit is null
            union all
            select distinct place || 'stands twice'
            from checked
            where rows_count > 1
            union all
            select place || 'unit and better have to be ' || known_unit || ' and ' || known_better
            from checked
            where known_unit is not null
                and (coalesce(unit, '') != known_unit or coalesce(better, '') != known_better)
            union all
            select place || 'weight ' || coalesce(cast(weight as string), '(none)') || ' is not between 0 and 100'
            from checked
            where not coalesce(weight between 0 and 100, false)
            union all
            select
                place || 'half_life_days ' || coalesce(cast(half_life_days as string), '(none)')
                || ' is not between {{ shortest_half_life_days() }} and 3650'
            from checked
            where decays and not coalesce(half_life_days between {{ shortest_half_life_days() }} and 3650, false)
            union all
            select place || 'half_life_days has to be empty, it does not decay'
            from checked
            where not decays and half_life_days is not null
            union all
            select
                place || 'window_days ' || coalesce(cast(window_days as string), '(none)')
                || ' is not between 1 and 365'
            from checked
            where not coalesce(window_days between 1 and 365, false)
            union all
            select place || 'half_points_at has to be empty, a ratio is a place by itself'
            from checked
            where known_unit = 'ratio' and half_points_at is not null
            union all
            select
                place || 'half_points_at ' || coalesce(cast(half_points_at as string), '(none)')
                || ' is not above 0 and at most 1000000'
            from checked
            where known_unit != 'ratio'
                and not coalesce(half_points_at > 0 and half_points_at <= 1000000, false)
            union all
            select
                'version ' || score_version || ': the weights add up to ' || cast(sum(weight) as string) || ', not to 100'
            from checked
            where weight between 0 and 100 and score_version is not null
            group by score_version
            having not sum(weight) between 99.999999 and 100.000001
            union all
            select 'no row of the version {{ var('score_version') }} that var score_version asks for'
            from (select count(*) as rows_count from checked where score_version = '{{ var('score_version') }}') as chosen
            where rows_count = 0
        )
        select finding from findings
        order by finding
    {%- endset -%}
    {%- do raise_findings('seeds/score_components.csv', query) -%}
{%- endmacro %}

{#- Post-hook of the seed score_bands (`relation` as above): every score from 0 to 100 lies in one band. -#}
{% macro check_score_bands(relation=none) -%}
    {%- set query -%}
        with
        seed as (
            select
                *,
                lag(to_score) over (order by from_score nulls first, to_score nulls first) as previous_to_score
            from {{ relation or this }}
        ),
        findings as (
            select 'a row has no score_band' as finding
            from seed
            where coalesce(score_band, '') = ''
            union all
            select
                score_band || ': from_score ' || coalesce(cast(from_score as string), '(none)')
                || ' is not below to_score ' || coalesce(cast(to_score as string), '(none)')
            from seed
            where not coalesce(from_score < to_score, false)
            union all
            select
                score_band || ': begins at ' || cast(from_score as string) || ', not at '
                || cast(coalesce(previous_to_score, 0) as string)
            from seed
            where from_score != coalesce(previous_to_score, 0)
            union all
            select 'the bands end at ' || coalesce(cast(max(to_score) as string), '(none)') || ', not at 100'
            from seed
            having coalesce(max(to_score), 0) != 100
        )
        select finding from findings
        order by finding
    {%- endset -%}
    {%- do raise_findings('seeds/score_bands.csv', query) -%}
{%- endmacro %}
