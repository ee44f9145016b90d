with

segments as (

    select * from {{ ref('int_segments_described') }}

),

states as (
    {% for segment in var('segments') %}
        select
            '{{ segment }}' as segment_id,
            enrichment_id,
            account_id,
            judged_on,
            is_member,
            reason
        from {{ ref('segment_' ~ segment) }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- if not var('segments') %}
        {{ no_rows({
            'segment_id': 'string', 'enrichment_id': 'string', 'account_id': 'string', 'judged_on': 'date',
            'is_member': 'boolean', 'reason': 'string',
        }) }}
    {%- endif %}

),

states_compared as (

    select
        *,
        lag(is_member) over (
            partition by segment_id, enrichment_id, account_id
            order by judged_on nulls last
        ) as was_member
    from states

)

-- Who is in no segment, and was not, needs no row.
select
    states_compared.segment_id,
    states_compared.enrichment_id,
    states_compared.account_id,
    states_compared.judged_on,
    states_compared.is_member,
    states_compared.was_member,
    states_compared.reason
from states_compared
inner join segments on states_compared.segment_id = segments.segment_id
where segments.is_active and (states_compared.is_member or states_compared.was_member)
