{%- if refreshes_in_part() %}

with

messages as (

    select * from {{ ref('stg_office__messages') }}

),

messages_touched as (

    select * from {{ ref('int_messages_touched') }}

)

select
    min(messages.received_at) as first_received_at,
    max(messages.received_at) as last_received_at,
    count(*) as copies_count,
    count(messages.received_at) as dated_copies_count
from messages
inner join messages_touched on messages.message_key = messages_touched.message_key

{% else %}

    {{ no_rows({
        'first_received_at': 'timestamp', 'last_received_at': 'timestamp', 'copies_count': 'bigint',
        'dated_copies_count': 'bigint',
    }) }}

{% endif -%}
