with

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

mailboxes_chosen as (

    select
        mailboxes.enrichment_id,
        mailboxes.mailbox_id,
        mailboxes.mailbox_state,
        -- Someone who left the list is monitored up to that instant (D6.10).
        coalesce(mailboxes.monitored_to_at, cast('9999-12-31' as timestamp)) as monitored_to_at
    from mailboxes
    inner join enrichments on mailboxes.enrichment_id = enrichments.enrichment_id
    where enrichments.enrichment_type = 'office'

)

-- What had not been received by the end of the as-of date does not exist yet (D6.10). The bound stands here, and not in
-- a join of its own beside the mail, since DuckDB takes an inequality for a filter that leaves next to nothing, and
-- then builds its hash tables of the mail.
select
    mailboxes_chosen.enrichment_id,
    mailboxes_chosen.mailbox_id,
    mailboxes_chosen.mailbox_state,
    mailboxes_chosen.monitored_to_at,
    case
        when as_of.ends_before_at is not null then least(mailboxes_chosen.monitored_to_at, as_of.ends_before_at)
    end as read_before_at
from mailboxes_chosen
left join as_of on 1 = 1
