with

issues as (

    select * from {{ source('customers', 'customer_issues') }}

)

select
    issue,
    subject_type,
    subject_id,
    detail
from issues
