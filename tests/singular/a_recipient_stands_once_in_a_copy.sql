-- Within one copy, so that nothing has to be grouped; a build in part looks at what was landed since the one before.
{%- set landed_condition = landed_since() %}
{%- set asked = landed_condition if execute and refreshes_in_part() else '1 = 1' %}

select
    mailbox_id,
    item_key
from {{ source('office', 'office_messages') }}
where
    {{ element_count('recipient_keys') }} > 1
    and {{ element_count(distinct_elements('recipient_keys')) }} < {{ element_count('recipient_keys') }}
    and {{ asked }}
