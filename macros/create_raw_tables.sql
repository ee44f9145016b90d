{#- The sources' YAML is the raw schema: `engagement extract` makes its tables from the same columns. In a file of another
    version than this release works with nothing is made: `engagement upgrade` brings an older one to it, and a newer one
    is of another release (scripts/engagement/versions.py says the same). -#}
{% macro create_raw_tables() -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'test', 'seed', 'snapshot', 'show', 'compile', 'docs', 'generate'] -%}
        {%- set sources = graph.sources.values() | selectattr('schema', 'equalto', 'raw') | list -%}
        {%- set version = (sources | selectattr('name', 'equalto', 'settings') | first).config.meta.private_file_version -%}
        {%- do make_raw_tables(sources, version) -%}
    {%- endif -%}
{%- endmacro %}


{#- Ends dbt where the raw tables are those of another version; `existing` are their columns by table. -#}
{% macro require_private_file_version(sources, existing, version) -%}
    {%- set found = [] -%}
    {%- if 'settings' in existing -%}
        {%- set found = run_query(
            "select value from raw.settings where enrichment_id = '' and key = 'private_file.version'"
        ).columns[0].values() | list -%}
    {%- endif -%}
    {%- if found and found[0] | int > version -%}
        {{ exceptions.raise_compiler_error(
            'the private file is of version ' ~ found[0] ~ ', made by a newer release than this one, which works with version '
            ~ version ~ ': install that release, or restore a backup (docs/backups.md)'
        ) }}
    {%- elif found and found[0] | int < version -%}
        {{ exceptions.raise_compiler_error(
            'the private file is of version ' ~ found[0] ~ ', this release works with version ' ~ version
            ~ ': run `engagement upgrade`'
        ) }}
    {%- endif -%}
    {%- set held = [] -%}
    {%- set changed = [] -%}
    {%- for source in sources if source.identifier in existing -%}
        {%- do held.append(source.identifier) -%}
        {%- if existing[source.identifier] != source.columns.values() | map(attribute='name') | list -%}
            {%- do changed.append(source.identifier) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if changed or (not found and held and held | length < sources | length) -%}
        {{ exceptions.raise_compiler_error(
            "the private file's tables are not those of version " ~ version ~ ', which this release works with: run `engagement upgrade`'
        ) }}
    {%- endif -%}
{%- endmacro %}
