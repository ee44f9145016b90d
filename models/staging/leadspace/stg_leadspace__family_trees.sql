{#- Beyond these nothing is a measurement, as in stg_leadspace__responses. -#}
{%- set most_people = 10000000 -%}
{%- set most_dollars = 10000000000000 -%}

with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}

),

nodes as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        {{ exploded_json('response', 'data.company.family_tree.companies') }} as node
    from responses

),

-- The names of size and revenue are those of the company itself: the ones of a tree are not public.
fields as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        {{ json_text('node', 'ls_id') }} as ls_id,
        {{ json_text('node', 'ug_company_id') }} as universal_company_id,
        upper({{ json_text('node', 'type') }}) as relative_type,
        {{ json_text('node', 'name') }} as relative_name,
        {{ json_text('node', 'website') }} as relative_website,
        {{ json_text('node', 'phone') }} as relative_phone,
        {{ json_text('node', 'sic') }} as sic_code,
        {{ json_text('node', 'naics') }} as naics_code,
        {{ json_text('node', 'address.country') }} as relative_country,
        {{ json_text('node', 'address.region') }} as relative_region,
        {{ json_text('node', 'address.state') }} as relative_state,
        {{ json_text('node', 'address.city') }} as relative_city,
        {{ json_text('node', 'address.address') }} as relative_street,
        {{ json_text('node', 'address.zipcode') }} as relative_postal_code,
        coalesce({{ json_text('node', 'employees.exact') }}, {{ json_text('node', 'size.exact') }}) as employees,
        coalesce({{ json_text('node', 'employees.range') }}, {{ json_text('node', 'size.range') }}) as employees_range,
        coalesce({{ json_text('node', 'revenue_dollar.exact') }}, {{ json_text('node', 'revenue.exact') }})
            as annual_revenue,
        coalesce({{ json_text('node', 'revenue_dollar.range') }}, {{ json_text('node', 'revenue.range') }})
            as annual_revenue_range
    from nodes

),

values_read as (

    select
        *,
        {{ number_read('employees') }} as employees_number,
        {{ number_read('annual_revenue') }} as annual_revenue_number
    from fields

)

select
    ---------- ids
    enrichment_id,
    fingerprint,
    batch_id,
    coalesce(ls_id, universal_company_id) as relative_company_id,
    coalesce(universal_company_id, ls_id) as relative_universal_company_id,

    ---------- strings
    relative_type,
    relative_name,
    relative_website,
    relative_phone,
    sic_code,
    naics_code,
    relative_country,
    relative_region,
    relative_state,
    relative_city,
    relative_street,
    relative_postal_code,
    employees_range,
    annual_revenue_range,

    ---------- numbers
    {{ whole_within('employees_number', 0, most_people) }} as employees_count,
    {{ within('annual_revenue_number', 0, most_dollars) }} as annual_revenue_usd
from values_read
