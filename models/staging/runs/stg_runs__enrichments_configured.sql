with

settings as (

    select * from {{ source('runs', 'settings') }}
    where enrichment_id != ''

)

{{ enrichment_settings() }}
