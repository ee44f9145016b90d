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

-- The part of a domain that its owner chose: contoso of contoso.co.uk.
websites_labelled as (

    select
        fingerprint,
        batch_id,
        sent_domain,
        answered_domain,
        replace(sent_name_compared, ' ', '') as sent_name_in_one_word,
        replace(answered_name_compared, ' ', '') as answered_name_in_one_word,
        replace(split_part(sent_domain, '.', 1), '-', '') as sent_label,
        replace(split_part(answered_domain, '.', 1), '-', '') as answered_label
    from comparisons

),

-- Where anybody has a page or a mailbox, a website says nothing, unless it bears the company's own name.
websites_known as (

    select
        websites_labelled.fingerprint,
        websites_labelled.batch_id,
        websites_labelled.sent_name_in_one_word,
        case
            when sent_of_many.domain is null or websites_labelled.sent_label = websites_labelled.sent_name_in_one_word
                then websites_labelled.sent_domain
        end as sent_domain,
        case
            when
                answered_of_many.domain is null
                or websites_labelled.answered_label = websites_labelled.answered_name_in_one_word
                then websites_labelled.answered_domain
        end as answered_domain,
        websites_labelled.sent_label,
        websites_labelled.answered_label
    from websites_labelled
    left join domains_of_many as sent_of_many on websites_labelled.sent_domain = sent_of_many.domain
    left join domains_of_many as answered_of_many on websites_labelled.answered_domain = answered_of_many.domain

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
        -- One word may be anybody's: Mosaic, Spire.
        when comparisons.is_name_equal and instr(comparisons.sent_name_compared, ' ') = 0 then 'equal_word'
        when comparisons.is_name_equal then 'equal'
        when comparisons.name_similarity_ratio >= {{ var('name_similar_ratio') }} then 'similar'
        when comparisons.is_name_contained then 'contained'
        when comparisons.is_name_acronym then 'acronym'
        when comparisons.is_name_comparable then 'different'
        else 'unknown'
    end as name_agreement,
    case
        when websites_known.sent_domain = websites_known.answered_domain then 'same'
        when websites_known.sent_domain != websites_known.answered_domain
            then case
                when websites_known.sent_label = websites_known.answered_label then 'related' else 'different'
            end
        when
            websites_known.sent_name_in_one_word = case
                when websites_known.sent_domain is not null then websites_known.sent_label
                when websites_known.answered_domain is not null then websites_known.answered_label
            end
            then 'named'
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
