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

fields as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        'name' as field,
        lookups.sent_name as sent_value,
        responses.company_name as answered_value,
        matches_compared.sent_name_compared as sent_compared,
        matches_compared.answered_name_compared as answered_compared,
        matches_compared.name_agreement as agreement
    from lookups
    inner join matches_compared
        on lookups.fingerprint = matches_compared.fingerprint and lookups.batch_id = matches_compared.batch_id
    inner join responses
        on lookups.fingerprint = responses.fingerprint and lookups.batch_id = responses.batch_id

    union all

    select
        lookups.enrichment_id,
        lookups.account_id,
        'website' as field,
        lookups.sent_website as sent_value,
        responses.company_website as answered_value,
        matches_compared.sent_domain as sent_compared,
        matches_compared.answered_domain as answered_compared,
        matches_compared.website_agreement as agreement
    from lookups
    inner join matches_compared
        on lookups.fingerprint = matches_compared.fingerprint and lookups.batch_id = matches_compared.batch_id
    inner join responses
        on lookups.fingerprint = responses.fingerprint and lookups.batch_id = responses.batch_id

    union all

    select
        lookups.enrichment_id,
        lookups.account_id,
        'country' as field,
        lookups.sent_country as sent_value,
        responses.company_country as answered_value,
        matches_compared.sent_country_code as sent_compared,
        matches_compared.answered_country_code as answered_compared,
        matches_compared.country_agreement as agreement
    from lookups
    inner join matches_compared
        on lookups.fingerprint = matches_compared.fingerprint and lookups.batch_id = matches_compared.batch_id
    inner join responses
        on lookups.fingerprint = responses.fingerprint and lookups.batch_id = responses.batch_id

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
