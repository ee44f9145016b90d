with

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

),

mailboxes_before as (

    select * from {{ ref('stg_runs__refreshed_mailboxes') }}

),

changed as (

    select mailboxes.mailbox_id
    from mailboxes
    left join mailboxes_before
        on
            mailboxes.enrichment_id = mailboxes_before.enrichment_id
            and mailboxes.mailbox_id = mailboxes_before.mailbox_id
    where
        mailboxes_before.mailbox_id is null
        or mailboxes.monitored_to_at != mailboxes_before.monitored_to_at

    union all

    select mailboxes_before.mailbox_id
    from mailboxes_before
    left join mailboxes
        on
            mailboxes_before.enrichment_id = mailboxes.enrichment_id
            and mailboxes_before.mailbox_id = mailboxes.mailbox_id
    where mailboxes.mailbox_id is null

)

select distinct mailbox_id from changed
