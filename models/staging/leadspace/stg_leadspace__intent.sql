{#- What stands beside an entry as lists, by the name that a part has here. -#}
{%- set parts = {
    'driver': 'drivers',
    'topic': 'surging_topics',
    'industry': 'industries',
    'metro': 'top_metros',
    'domain': 'domain_origins',
} -%}

with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}

),

-- A list in the public article, one object in a transcription of the documentation, and the list of an older version.
entries as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        'v4' as intent_version,
        {{ exploded_json('response', 'data.company.intent_modeling_v4') }} as entry
    from responses

    union all

    select
        enrichment_id,
        fingerprint,
        batch_id,
        'v4' as intent_version,
        {{ json_object('response', 'data.company.intent_modeling_v4') }} as entry
    from responses

    union all

    select
        enrichment_id,
        fingerprint,
        batch_id,
        'older' as intent_version,
        {{ exploded_json('response', 'data.company.intent_modeling') }} as entry
    from responses

),

-- The object gives its level as a list, whose first is taken.
fields as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        intent_version,
        entry,
        coalesce({{ json_text('entry', 'model') }}, {{ json_text('entry', 'project_name') }}) as intent_name,
        coalesce({{ json_text('entry', 'model_level') }}, {{ json_text('entry', 'model_level[0]') }}) as intent_level,
        coalesce({{ json_text('entry', 'numeric_score') }}, {{ json_text('entry', 'project_score') }}) as score,
        coalesce({{ json_text('entry', 'new_high_intent_flag') }}, {{ json_text('entry', 'new_high_intent') }}) as flag,
        {{ json_text('entry', 'source') }} as intent_source,
        {{ json_text('entry', 'cadence') }} as intent_cadence
    from entries
    where entry is not null

),

typed as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        intent_version,
        entry,
        intent_name,
        {{ word_read('intent_level') }} as intent_level,
        {{ within(plain_number_read('score'), 0, 1000000) }} as intent_score,
        {{ flag_read('flag') }} as is_new_high,
        intent_source,
        intent_cadence
    from fields
    where intent_name is not null

),

-- Every entry has a row of its own, and then one for each of its parts.
parts_exploded as (

    select
        *,
        'model' as intent_part,
        cast(null as string) as part_entry
    from typed

    {% for intent_part, list in parts.items() %}
        union all

        select
            *,
            '{{ intent_part }}' as intent_part,
            {{ exploded_json_list('entry', list) }} as part_entry
        from typed
    {% endfor %}

),

parts_named as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        intent_version,
        intent_name,
        intent_level,
        intent_score,
        is_new_high,
        intent_source,
        intent_cadence,
        intent_part,
        case when intent_part = 'model' then intent_name else {{ json_scalar('part_entry') }} end as part_name
    from parts_exploded

)

select * from parts_named
where part_name is not null
