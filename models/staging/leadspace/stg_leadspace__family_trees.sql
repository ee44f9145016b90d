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

)

select
    enrichment_id,
    fingerprint,
    batch_id,
    {{ json_text('node', 'ls_id') }} as relative_company_id,
    upper({{ json_text('node', 'type') }}) as relative_type,
    {{ json_text('node', 'name') }} as relative_name
from nodes
