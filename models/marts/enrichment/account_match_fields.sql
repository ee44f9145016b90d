with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where match_verdict is not null

),

matches_compared as (

    select * from {{ ref('int_matches_compared') }}

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

matches as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        lookups.sent_name,
        lookups.sent_website,
        lookups.sent_country,
        responses.company_name,
        responses.company_website,
        responses.company_country,
        matches_compared.sent_name_compared,
        matches_compared.answered_name_compared,
        matches_compared.sent_domain,
        matches_compared.answered_domain,
        matches_compared.sent_country_code,
        matches_compared.answered_country_code,
        matches_compared.name_agreement,
        matches_compared.website_agreement,
        matches_compared.country_agreement
    from lookups
    inner join matches_compared
        on
            lookups.fingerprint = matches_compared.fingerprint
            and lookups.batch_id = matches_compared.batch_id
    inner join responses
        on
            lookups.fingerprint = responses.fingerprint
            and lookups.batch_id = responses.batch_id

),

fields as (

    select
        enrichment_id,
        account_id,
        'name' as field,
        sent_name as sent_value,
        company_name as answered_value,
        sent_name_compared as sent_compared,
        answered_name_compared as answered_compared,
        name_agreement as agreement
    from matches

    union all

    select
        enrichment_id,
        account_id,
        'website' as field,
        sent_website as sent_value,
        company_website as answered_value,
        sent_domain as sent_compared,
        answered_domain as answered_compared,
        website_agreement as agreement
    from matches

    union all

    select
        enrichment_id,
        account_id,
        'country' as field,
        sent_country as sent_value,
        company_country as answered_value,
        sent_country_code as sent_compared,
        answered_country_code as answered_compared,
        country_agreement as agreement
    from matches

)

select
    enrichment_id,
    account_id,
    field,
    {{ addresses_masked('sent_value') }} as sent_value,
    {{ addresses_masked('answered_value') }} as answered_value,
    {{ addresses_masked('sent_compared') }} as sent_compared,
    {{ addresses_masked('answered_compared') }} as answered_compared,
    agreement
from fields
