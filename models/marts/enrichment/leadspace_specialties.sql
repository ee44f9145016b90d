with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where is_enriched

),

specialties as (

    select * from {{ ref('stg_leadspace__specialties') }}

),

-- Masked first: what differs only in what is masked is one.
specialties_masked as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        {{ addresses_masked('specialties.specialty') }} as specialty
    from lookups
    inner join specialties
        on
            lookups.fingerprint = specialties.fingerprint
            and lookups.batch_id = specialties.batch_id

)

-- Of several spellings in one answer the first of the alphabet stands for all.
select
    enrichment_id,
    account_id,
    min(specialty) as specialty
from specialties_masked
group by enrichment_id, account_id, {{ lowered('specialty') }}
