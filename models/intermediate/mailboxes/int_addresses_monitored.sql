with

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

),

addresses as (

    select * from {{ ref('stg_office__mailbox_addresses') }}

),

addresses_ranked as (

    select
        mailboxes.enrichment_id,
        mailboxes.mailbox_id,
        mailboxes.monitored_to_at,
        addresses.address_key,
        -- An address that moved between people belongs to one: who is still listed, then the lower id.
        row_number() over (
            partition by mailboxes.enrichment_id, addresses.address_key
            order by mailboxes.monitored_to_at desc nulls last, mailboxes.mailbox_id asc nulls last
        ) as claim_number
    from mailboxes
    inner join addresses
        on
            mailboxes.enrichment_id = addresses.enrichment_id
            and mailboxes.mailbox_id = addresses.mailbox_id

)

select
    enrichment_id,
    mailbox_id,
    address_key,
    monitored_to_at
from addresses_ranked
where claim_number = 1
