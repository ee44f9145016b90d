{%- if refreshes_in_part() %}

with

meetings_before as (

    select * from {{ before('int_meetings_read') }}

),

meetings_touched as (

    select * from {{ ref('int_meetings_touched') }}

)

select
    meetings_before.enrichment_id,
    meetings_before.meeting_key
from meetings_before
inner join meetings_touched
    on
        meetings_before.ical_key = meetings_touched.ical_key
        and meetings_before.occurrence_at = meetings_touched.occurrence_at

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'meeting_key': 'bigint'}) }}

{% endif -%}
