with

account_matches as (

    select * from {{ ref('account_matches') }}
    where match_verdict = 'review'

)

-- Those that look likeliest come first: they are decided quickly.
select
    enrichment_id,
    account_id,
    company_id,
    sent_name,
    answered_name,
    match_reason,
    match_confidence,
    name_agreement,
    website_agreement,
    country_agreement,
    name_similarity_ratio,
    cast(
        row_number() over (
            partition by enrichment_id
            order by name_similarity_ratio desc nulls last, account_id asc nulls last
        ) as bigint
    ) as queue_place
from account_matches
