with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}

),

entries as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        {{ exploded_json_list('response', 'data.company.specialties') }} as entry
    from responses

),

specialties as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        {{ json_scalar('entry') }} as specialty
    from entries

)

select * from specialties
where specialty is not null
