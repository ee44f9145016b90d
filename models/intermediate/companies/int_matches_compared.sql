with

responses as (

    select * from {{ ref('stg_leadspace__responses') }}
    where is_enriched

),

comparisons as (

    select * from {{ ref('stg_leadspace__comparisons') }}

),

personal_mail_domains as (

    select * from {{ ref('personal_mail_domains') }}

),

shared_website_hosts as (

    select * from {{ ref('shared_website_hosts') }}

),

-- At these domains anybody has a page or a mailbox.
domains_of_many as (

    select domain from personal_mail_domains

    union

    select domain from shared_website_hosts

),

websites_known as (

    select
        comparisons.fingerprint,
        comparisons.batch_id,
        case when sent_of_many.domain is null then comparisons.sent_domain end as sent_domain,
        case when answered_of_many.domain is null then comparisons.answered_domain end as answered_domain
    from comparisons
    left join domains_of_many as sent_of_many on comparisons.sent_domain = sent_of_many.domain
    left join domains_of_many as answered_of_many on comparisons.answered_domain = answered_of_many.domain

)

select
    responses.fingerprint,
    responses.batch_id,
    responses.company_id,
    comparisons.sent_name_compared,
    comparisons.answered_name_compared,
    websites_known.sent_domain,
    websites_known.answered_domain,
    comparisons.sent_country_code,
    comparisons.answered_country_code,
    case
        when comparisons.is_name_equal then 'equal'
        when comparisons.name_similarity_ratio >= {{ var('name_similar_ratio') }} then 'similar'
        when comparisons.is_name_contained then 'contained'
        when comparisons.is_name_acronym then 'acronym'
        when comparisons.is_name_comparable then 'different'
        else 'unknown'
    end as name_agreement,
    case
        when websites_known.sent_domain = websites_known.answered_domain then 'same'
        when
            split_part(websites_known.sent_domain, '.', 1) = split_part(websites_known.answered_domain, '.', 1)
            then 'related'
        when websites_known.sent_domain != websites_known.answered_domain then 'different'
        else 'unknown'
    end as website_agreement,
    case
        when comparisons.sent_country_code = comparisons.answered_country_code then 'same'
        when comparisons.sent_country_code != comparisons.answered_country_code then 'different'
        else 'unknown'
    end as country_agreement,
    coalesce(responses.match_confidence, 'unknown') as match_confidence,
    comparisons.name_similarity_ratio,
    comparisons.fingerprint is not null as is_compared
from responses
left join comparisons
    on
        responses.fingerprint = comparisons.fingerprint
        and responses.batch_id = comparisons.batch_id
left join websites_known
    on
        responses.fingerprint = websites_known.fingerprint
        and responses.batch_id = websites_known.batch_id
