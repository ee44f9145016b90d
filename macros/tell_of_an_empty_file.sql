{#- on-run-start: says where nothing was read into the file that is built: such a build succeeds, and is rarely what is
    meant. -#}
{% macro tell_of_an_empty_file() -%}
    {%- if execute and flags.WHICH in ['build', 'run'] and refreshes_are_remembered() -%}
        {%- set found = run_query("select count(*) from raw.settings where key = 'reporting.time_zone'") -%}
        {%- if found.columns[0].values()[0] == 0 -%}
            {%- do log(
                'Nothing was read into this private file yet, so every table stays empty; ENGAGEMENT_DATA_DIR says which'
                ~ " file it is (data/demo: the demo's)",
                info=true,
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
