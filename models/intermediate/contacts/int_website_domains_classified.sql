with

accounts as (

    select
        account_id,
        website_domain
    from {{ ref('stg_customers__accounts') }}
    where website_domain is not null

),

addresses as (

    select * from {{ ref('stg_office__addresses') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

personal_mail_domains as (

    select * from {{ ref('personal_mail_domains') }}

),

-- Ours are the domains of everyone who is or was monitored, aliases included, whichever enrichment chose them.
own_domains as (

    select distinct addresses.domain
    from addresses
    inner join addresses_monitored on addresses.address_key = addresses_monitored.address_key

),

accounts_counted as (

    select
        account_id,
        website_domain,
        count(*) over (partition by website_domain) as account_count
    from accounts

)

select
    accounts_counted.account_id,
    accounts_counted.website_domain,
    case
        when own_domains.domain is not null then 'own'
        when personal_mail_domains.domain is not null then 'personal_mail'
        when accounts_counted.account_count > 1 then 'several_accounts'
        else 'one_account'
    end as domain_class
from accounts_counted
left join own_domains on accounts_counted.website_domain = own_domains.domain
left join personal_mail_domains on accounts_counted.website_domain = personal_mail_domains.domain
