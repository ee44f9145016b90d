{#- What a source may know of a company, under one name in every model (var company_attributes), as columns of text in
    the list of a select. -#}

{#- From columns of these names. -#}
{% macro company_attributes_as_text() -%}
    {%- set parts = [] -%}
    {%- for attribute in var('company_attributes') -%}
        {%- do parts.append(as_text(attribute) ~ ' as ' ~ attribute) -%}
    {%- endfor -%}
    {{ return(parts | join(',\n        ')) }}
{%- endmacro %}


{#- Out of an object in JSON by these names; `columns` names the column of an attribute that has one of its own. -#}
{% macro company_attributes_of_json(json_column, columns={}) -%}
    {%- set parts = [] -%}
    {%- for attribute in var('company_attributes') -%}
        {%- do parts.append((columns[attribute] if attribute in columns else json_text(json_column, attribute)) ~ ' as ' ~ attribute) -%}
    {%- endfor -%}
    {{ return(parts | join(',\n        ')) }}
{%- endmacro %}


{#- Out of rows (attribute, and `column`) grouped by whose they are; `ending` is added to the names. -#}
{% macro company_values_spread(column, ending='') -%}
    {%- set parts = [] -%}
    {%- for attribute in var('company_attributes') -%}
        {%- do parts.append("max(case when attribute = '" ~ attribute ~ "' then " ~ column ~ ' end) as ' ~ attribute ~ ending) -%}
    {%- endfor -%}
    {{ return(parts | join(',\n        ')) }}
{%- endmacro %}
