{%- if refreshes_in_part() %}

with

replies_before as (

    select * from {{ before('int_replies_measured') }}

),

threads_touched as (

    select * from {{ ref('int_threads_touched') }}

)

select
    replies_before.enrichment_id,
    replies_before.account_id,
    replies_before.message_key,
    replies_before.happened_on,
    replies_before.known_on,
    replies_before.reply_milliseconds
from replies_before
inner join threads_touched
    on
        replies_before.enrichment_id = threads_touched.enrichment_id
        and replies_before.account_id = threads_touched.account_id
        and replies_before.thread_key = threads_touched.thread_key

{% else %}

{{ no_rows({
    'enrichment_id': 'string',
    'account_id': 'string',
    'message_key': 'bigint',
    'happened_on': 'date',
    'known_on': 'date',
    'reply_milliseconds': 'bigint',
}) }}

{% endif -%}
