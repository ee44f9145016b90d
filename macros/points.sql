{#- Points of a part of the score. Each is rounded before it is added, and downwards, so that the parts add up exactly and
    never exceed 100; a hair more, because 0.7 x 100 is 69.999... to a computer. -#}
{% macro points(points_possible, ratio) -%}
    {{ return(
        'cast(floor(' ~ points_possible ~ ' * ' ~ ratio ~ ' * 10000 + 0.000001) / 10000 as decimal(9, 4))'
    ) }}
{%- endmacro %}
