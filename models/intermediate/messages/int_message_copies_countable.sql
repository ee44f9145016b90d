{{ config(materialized='view') }}

with

copies as (

    select * from {{ ref('int_message_copies_read') }}

)

select
    enrichment_id,
    mailbox_id,
    item_key,
    message_key,
    thread_key,
    from_key,
    received_at
from copies
where is_countable
