with

issues as (

    select * from {{ ref('stg_customers__issues') }}

)

select
    issue,
    subject_type,
    {{ addresses_masked('subject_id') }} as subject_id,
    {{ addresses_masked('detail') }} as detail
from issues
