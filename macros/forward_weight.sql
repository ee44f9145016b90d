{#- Weight of a day under forward decay: doubles every half-life from a fixed landmark, so it never has to be rescaled.
    Doubles hold it for 1,023 half-lives. -#}
{% macro forward_weight(day, half_life_days) -%}
    {{ return('power(2, ' ~ days_between("date '2000-01-01'", day) ~ ' / nullif(' ~ half_life_days ~ ', 0))') }}
{%- endmacro %}
