{#- on-run-start: drops what a dbt that was killed has left. dbt drops a model's own leftovers when it builds the model
    again, but a copy of a table that is no model any more, or is not built, would stay for ever. -#}
{% macro remove_leftovers() -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed'] and leftovers() -%}
        {%- for leftover in run_query(leftovers()).rows -%}
            {%- do run_query('drop ' ~ leftover[0] ~ ' if exists "' ~ leftover[1] ~ '"."' ~ leftover[2] ~ '"') -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
