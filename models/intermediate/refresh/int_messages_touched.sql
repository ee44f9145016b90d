{%- if refreshes_in_part() %}

with

refresh as (

    select * from {{ ref('int_refresh') }}

),

replaced as (

    select * from {{ ref('stg_office__replaced') }}
    where kind = 'messages'

),

addresses_touched as (

    select * from {{ ref('int_addresses_touched') }}

),

mailboxes_touched as (

    select * from {{ ref('int_mailboxes_touched') }}

),

-- Copies are named where they are asked of: as one relation for all these questions DuckDB would read every copy first.
messages_touched as (

    -- landed since
    select messages.message_key
    from {{ ref('stg_office__messages') }} as messages
    inner join refresh on messages.landing_id > refresh.previous_landing_id

    union all

    select replaced.replaced_key as message_key
    from replaced
    inner join refresh on replaced.landing_id > refresh.previous_landing_id

    union all

    -- the as-of date has moved over it
    select messages.message_key
    from {{ ref('stg_office__messages') }} as messages
    inner join refresh
        on messages.received_at >= refresh.changed_from_at and messages.received_at < refresh.changed_before_at

    union all

    -- somebody in it is another than before
    select messages.message_key
    from {{ ref('stg_office__messages') }} as messages
    inner join addresses_touched on messages.from_key = addresses_touched.address_key

    union all

    select recipients.message_key
    from {{ ref('stg_office__message_recipients') }} as recipients
    inner join addresses_touched on recipients.address_key = addresses_touched.address_key

    union all

    select messages.message_key
    from {{ ref('stg_office__messages') }} as messages
    inner join mailboxes_touched on messages.mailbox_id = mailboxes_touched.mailbox_id

)

select distinct message_key from messages_touched

{% else %}

    {{ no_rows({'message_key': 'bigint'}) }}

{% endif -%}
