with

-- Every source has a model of its own, named after it; the list is var company_sources.
company_values as (

    {% for source_name in var('company_sources') -%}
        select
            '{{ source_name }}' as source_name,
            enrichment_id,
            account_id,
            attribute,
            value_text,
            known_from_at
        from {{ ref('int_company_values_from_' ~ source_name) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

survivorship as (

    select * from {{ ref('survivorship') }}

),

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

)

-- What is no longer configured, or consented to, says nothing; the customer file is no enrichment. What is no number
-- where one belongs is none: the next source has its turn.
select
    company_values.account_id,
    company_values.attribute,
    company_values.source_name,
    company_values.enrichment_id,
    company_values.value_text,
    survivorship.why,
    company_values.known_from_at,
    row_number() over (
        partition by company_values.account_id, company_values.attribute
        order by
            survivorship.place nulls last,
            enrichments.list_position nulls last,
            company_values.enrichment_id nulls last
    ) as place_in_attribute
from company_values
inner join accounts on company_values.account_id = accounts.account_id
inner join survivorship
    on
        company_values.attribute = survivorship.attribute
        and company_values.source_name = survivorship.source_name
left join enrichments on company_values.enrichment_id = enrichments.enrichment_id
where
    (company_values.source_name = 'customers' or enrichments.enrichment_id is not null)
    and (
        company_values.attribute not in ('employees_count', 'annual_revenue_usd')
        or {{ text_as_number('company_values.value_text') }} is not null
    )
