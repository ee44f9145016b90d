{#- What a source may know of a company, under one name in every model: scalar, and the same thing whoever knows it. A
    source that knows one more adds it here, and a line to seeds/survivorship.csv. -#}
{% macro company_attributes() -%}
    {{ return([
        'company_name', 'company_website', 'company_phone', 'company_linkedin_url', 'company_description',
        'company_country', 'company_region', 'company_state', 'company_city', 'company_street', 'company_postal_code',
        'industry', 'sub_industry', 'sic_code', 'naics_code', 'ownership_type', 'employees_count', 'employees_range',
        'annual_revenue_usd', 'annual_revenue_range',
    ]) }}
{%- endmacro %}


{#- The attributes of one row as rows (attribute, value as text), from columns of their names. `rename` names the column of
    an attribute where it is another. -#}
{% macro company_attributes_as_text(rename={}) -%}
    {%- set parts = [] -%}
    {%- for attribute in company_attributes() -%}
        {%- do parts.append('cast(' ~ rename.get(attribute, attribute) ~ ' as string) as ' ~ attribute) -%}
    {%- endfor -%}
    {{ return(parts | join(',\n        ')) }}
{%- endmacro %}
