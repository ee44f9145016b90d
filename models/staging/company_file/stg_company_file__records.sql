with

records as (

    select * from {{ source('company_file', 'company_file_records') }}

)

select
    enrichment_id,
    account_id,
    record as record_json,
    cast(read_at as timestamp) as read_at
from records
