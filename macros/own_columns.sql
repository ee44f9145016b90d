{#- The text of one of the customer's own columns (customers.accounts.attributes), address-like text masked; null where the
    customer file has no such column, or nothing in it. `attribute` is an expression for its name. -#}
{% macro own_column(attributes_json, attribute) -%}
    {{ return(addresses_masked(json_scalar(json_member(attributes_json, attribute)))) }}
{%- endmacro %}
