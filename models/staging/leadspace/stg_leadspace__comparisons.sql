with

comparisons as (

    select * from {{ source('leadspace', 'leadspace_comparisons') }}

)

select
    fingerprint,
    batch_id,
    sent_name as sent_name_compared,
    answered_name as answered_name_compared,
    sent_domain,
    answered_domain,
    sent_country_code,
    answered_country_code,
    name_similarity as name_similarity_ratio,
    is_name_equal,
    is_name_contained,
    is_name_acronym,
    is_name_comparable
from comparisons
