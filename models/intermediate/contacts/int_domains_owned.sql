with

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

addresses as (

    select * from {{ ref('stg_office__addresses') }}

),

personal_mail_domains as (

    select * from {{ ref('personal_mail_domains') }}

)

-- A monitored address at gmail.com does not make everybody there a colleague.
select distinct
    addresses_monitored.enrichment_id,
    addresses.domain
from addresses_monitored
inner join addresses on addresses_monitored.address_key = addresses.address_key
left join personal_mail_domains on addresses.domain = personal_mail_domains.domain
where addresses.domain is not null and personal_mail_domains.domain is null
