{#- `dbt run` on a new file would fail for want of the seeds, which only `dbt seed` and `dbt build` load. -#}
{% macro create_missing_seeds() -%}
    {%- if execute and flags.WHICH in ['run', 'test', 'snapshot'] -%}
        {%- for seed in graph.nodes.values() if seed.resource_type == 'seed' -%}
            {%- do run_query('create schema if not exists ' ~ seed.schema) -%}
            {%- do run_query(create_seed_from_csv(seed)) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
