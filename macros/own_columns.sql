{#- The customer's own columns (customers.accounts.attributes), which stand in an object in JSON. -#}
{% macro _own_value(json_column, name) -%}
    {{ return(json_scalar(json_member(json_column, name))) }}
{%- endmacro %}


{#- The customer's own column of an account, as text, number, truth and day; null where the file has no such column or
    value. -#}
{% macro own_text(json_column, attribute) -%}
    {{ return(_own_value(json_column, "'" ~ attribute | replace("'", "''") ~ "'")) }}
{%- endmacro %}

{% macro own_number(json_column, attribute) -%}
    {{ return(text_as_number(own_text(json_column, attribute))) }}
{%- endmacro %}

{% macro own_boolean(json_column, attribute) -%}
    {{ return('(' ~ own_text(json_column, attribute) ~ " = 'true')") }}
{%- endmacro %}

{#- An instant counts as its day. -#}
{% macro own_date(json_column, attribute) -%}
    {{ return(text_as_day(own_text(json_column, attribute))) }}
{%- endmacro %}


{#- The text of one of the customer's own columns (customers.accounts.attributes), address-like text masked; null where the
    customer file has no such column, or nothing in it. `attribute` is an expression for its name. -#}
{% macro own_column(attributes_json, attribute) -%}
    {{ return(addresses_masked(_own_value(attributes_json, attribute))) }}
{%- endmacro %}
