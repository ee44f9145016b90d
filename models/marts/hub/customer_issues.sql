with

issues as (

    select * from {{ ref('stg_customers__issues') }}

),

website_domains as (

    select * from {{ ref('int_website_domains_classified') }}
    where domain_class != 'one_account'

),

enrichments_that_match_domains as (

    select count(*) as enrichment_count
    from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office' and matches_domains

),

-- That subsidiaries share a website is no finding unless domains are matched.
website_domain_issues as (

    select
        'website_domain_not_matched' as issue,
        'account' as subject_type,
        website_domains.account_id as subject_id,
        'The domain ' || website_domains.website_domain || ' of the website '
        || case website_domains.domain_class
            when 'several_accounts'
                then 'is that of several accounts and matches none of them; list their contacts.'
            when 'personal_mail'
                then 'gives mailboxes to everybody and matches nobody; correct the website.'
            else 'is our own and matches nobody; correct the website, or list the contacts.'
        end as detail
    from website_domains
    cross join enrichments_that_match_domains
    where enrichments_that_match_domains.enrichment_count > 0

),

all_issues as (

    select * from issues
    union all
    select * from website_domain_issues

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

-- The id of a contact is a person's: where small numbers are banded, only what kinds of findings there are is shown.
issues_shown as (

    select distinct
        all_issues.issue,
        all_issues.subject_type,
        case
            when reporting.is_banded and all_issues.subject_type = 'contact' then '(not shown)'
            else all_issues.subject_id
        end as subject_id,
        case
            when reporting.is_banded and all_issues.subject_type = 'contact'
                then 'Ids are not shown in this file; see staging.stg_customers__issues of the private file.'
            else all_issues.detail
        end as detail
    from all_issues
    cross join reporting

)

select
    issue,
    subject_type,
    {{ addresses_masked('subject_id') }} as subject_id,
    {{ addresses_masked('detail') }} as detail
from issues_shown
