{#- The JSON of some answers is taken apart once here, and two models read the result. -#}
{{ config(materialized='table') }}

with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}
    where outcome = 'result'

),

responses_of_runs as (

    select
        *,
        max(cast(received_at as timestamp)) over (partition by enrichment_id, run_id) as run_received_at,
        row_number() over (
            partition by enrichment_id, run_id
            order by fingerprint nulls last, batch_id nulls last
        ) as place_in_run
    from responses

),

runs_ranked as (

    select
        *,
        dense_rank() over (
            partition by enrichment_id
            order by run_received_at desc nulls last, run_id desc nulls last
        ) as run_from_newest
    from responses_of_runs

),

-- So many answers tell what fields there are, and more would cost more alone.
companies as (

    select
        enrichment_id,
        run_id,
        batch_id,
        fingerprint,
        run_from_newest,
        run_received_at,
        {{ json_object('response', 'data.company') }} as company
    from runs_ranked
    where
        place_in_run <= {{ var('watched_answers_per_run') }}
        and run_from_newest <= {{ var('watched_answer_runs') }}

),

names as (

    select
        *,
        {{ exploded_json_names('company') }} as field
    from companies

),

members as (

    select
        *,
        {{ json_member('company', 'field') }} as member
    from names

),

inner_names as (

    select
        *,
        {{ exploded_json_names('member') }} as inner_field
    from members
    where {{ json_shape('member') }} = 'object'

),

fields as (

    select
        enrichment_id,
        run_id,
        batch_id,
        fingerprint,
        run_from_newest,
        run_received_at,
        field,
        {{ json_shape('member') }} as shape
    from members

    union all

    select
        enrichment_id,
        run_id,
        batch_id,
        fingerprint,
        run_from_newest,
        run_received_at,
        field || '.' || inner_field as field,
        {{ json_shape(json_member('member', 'inner_field')) }} as shape
    from inner_names

    union all

    -- That there was a company at all.
    select
        enrichment_id,
        run_id,
        batch_id,
        fingerprint,
        run_from_newest,
        run_received_at,
        '' as field,
        'object' as shape
    from companies
    where company is not null

)

-- A name is the service's, and may be anything.
select distinct
    enrichment_id,
    run_id,
    batch_id,
    fingerprint,
    case
        when field like '%@%' then '(a name with @)'
        else substr({{ text_replaced('field', '[^A-Za-z0-9_.-]', '_') }}, 1, 100)
    end as field,
    shape,
    run_from_newest,
    run_received_at
from fields
where shape is not null
