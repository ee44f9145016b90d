{#- Kinds as the column names them, and the lists that hold them. -#}
{%- set lists = {
    'installed_base': 'installed_base_technologies',
    'web_site': 'web_site_technologies',
    'category': 'company_technologies_categories',
    'custom_category': 'customTechnologiesCategories',
} -%}

with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}

),

entries as (

    {% for technology_kind, list in lists.items() %}
        select
            enrichment_id,
            fingerprint,
            batch_id,
            '{{ technology_kind }}' as technology_kind,
            {{ exploded_json_list('response', 'data.company.analytics.' ~ list) }} as entry
        from responses
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

technologies as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        technology_kind,
        {{ json_scalar('entry') }} as technology
    from entries

)

select * from technologies
where technology is not null
