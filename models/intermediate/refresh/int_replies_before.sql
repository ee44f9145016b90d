{%- if refreshes_in_part() %}

with

replies_before as (

    select * from {{ before('int_replies_measured') }}

),

threads_touched as (

    select * from {{ ref('int_threads_touched') }}

)

select distinct
    replies_before.enrichment_id,
    replies_before.account_id,
    replies_before.happened_on
from replies_before
inner join threads_touched
    on
        replies_before.enrichment_id = threads_touched.enrichment_id
        and replies_before.account_id = threads_touched.account_id
        and replies_before.thread_key = threads_touched.thread_key

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'account_id': 'string', 'happened_on': 'date'}) }}

{% endif -%}
