{#- How the incremental models cost what is new, and never differ from a whole rebuild.

    A refresh in part rebuilds the messages, meetings, threads, account days, periods and scores that the models in
    models/intermediate/refresh name. It is whole instead where the refresh before it did not end well, where models,
    seeds or settings are others than then, and with --full-refresh. -#}

{#- The models that have to be built together: the incremental ones, and those that say what has been touched. -#}
{% macro refreshed_nodes() -%}
    {%- set nodes = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
        {%- if node.config.materialized == 'incremental' or 'refresh' in node.tags -%}
            {%- do nodes.append(node.unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(nodes) }}
{%- endmacro %}

{#- The refreshed models, and the models and seeds that they are made of; what is only made of them, such as a segment, may
    change without a whole refresh. -#}
{% macro nodes_of_the_refresh() -%}
    {%- set needed = [] -%}
    {%- set open = namespace(nodes=refreshed_nodes()) -%}
    {%- for step in range(graph.nodes | length) if open.nodes -%}
        {%- set above = [] -%}
        {%- for name in open.nodes if name in graph.nodes and name not in needed -%}
            {%- do needed.append(name) -%}
            {%- do above.extend(graph.nodes[name].depends_on.nodes) -%}
        {%- endfor -%}
        {%- set open.nodes = above | unique | list -%}
    {%- endfor -%}
    {{ return(needed) }}
{%- endmacro %}

{#- Fingerprint of everything but data that the incremental models are made of. -#}
{% macro refresh_logic() -%}
    {#- What `dbt run` builds is made of the seeds as they were loaded last, whatever their files say. -#}
    {%- set parts = [flags.WHICH] -%}
    {%- for name in nodes_of_the_refresh() -%}
        {%- do parts.append(name ~ ' ' ~ graph.nodes[name].checksum.checksum) -%}
    {%- endfor -%}
    {#- dbt tells of no macro, and of the project's folder only through its seeds -#}
    {%- set seed = graph.nodes.values() | selectattr('resource_type', 'equalto', 'seed') | first -%}
    {%- do parts.append(run_query(files_fingerprint(seed.root_path ~ '/macros/**/*.sql')).columns[0].values()[0]) -%}
    {%- for name in [
        'score_version', 'reply_limit_hours', 'reciprocity_prior_messages', 'chance_days', 'backtest_dates',
        'medium_confidence_from', 'high_confidence_from', 'rhythm_least_days', 'going_silent_after_gaps',
        'silent_after_gaps', 'segment_history_weeks'
    ] -%}
        {%- do parts.append(name ~ ' ' ~ var(name)) -%}
    {%- endfor -%}
    {%- set settings = run_query(
        "select key || ' ' || value from raw.settings where enrichment_id = ''"
        ~ " and key in ('reporting.time_zone', 'reporting.small_numbers', 'reporting.k') order by key"
    ).columns[0].values() | list -%}
    {{ return(local_md5((parts | sort + settings) | join('\n'))) }}
{%- endmacro %}

{#- on-run-start: whether this refresh is in part is decided once, and it counts as not complete until it has ended. -#}
{% macro begin_refresh() -%}
    {%- if execute and flags.WHICH in ['build', 'run'] and refreshes_are_remembered() -%}
        {%- set selected = refreshed_nodes() | select('in', selected_resources) | list -%}
        {%- if selected -%}
            {%- set logic = refresh_logic() -%}
            {%- set known = run_query(
                "select count(*) from raw.refreshes where is_complete and logic = '" ~ logic ~ "'"
            ).columns[0].values()[0] -%}
            {%- set is_in_part = known == 1 and not flags.FULL_REFRESH -%}
            {%- if is_in_part -%}
                {%- do run_query('update raw.refreshes set is_complete = false, is_in_part = true') -%}
            {%- else -%}
                {%- do run_query('delete from raw.refreshes') -%}
                {%- do run_query(
                    "insert into raw.refreshes values (false, false, '" ~ logic ~ "', 0, null, null)"
                ) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- on-run-end: remembers what was seen, if every one of those models was built. -#}
{% macro finish_refresh(results) -%}
    {%- if not refreshes_are_remembered() -%}
    {%- elif execute and flags.WHICH == 'seed' -%}
        update raw.refreshes set is_complete = false
    {%- elif execute and flags.WHICH in ['build', 'run'] -%}
        {%- set built = [] -%}
        {%- for result in results if result.status == 'success' -%}
            {%- do built.append(result.node.unique_id) -%}
        {%- endfor -%}
        {%- if refreshed_nodes() | reject('in', built) | list | length == 0 -%}
            begin;
            update raw.refreshes set
                is_complete = true,
                landing_id = refresh.landing_id,
                as_of_date = refresh.as_of_date,
                ends_before_at = refresh.ends_before_at
            from intermediate.int_refresh as refresh;
            delete from raw.refreshed_addresses;
            insert into raw.refreshed_addresses
            select enrichment_id, address_key, relation, is_automated, mailbox_id, monitored_to_at, contacts_key
            from intermediate.int_addresses_described;
            delete from raw.refreshed_mailboxes;
            insert into raw.refreshed_mailboxes
            select enrichment_id, mailbox_id, monitored_to_at from intermediate.int_mailboxes_monitored;
            delete from raw.office_replaced
            where landing_id <= (select landing_id from intermediate.int_refresh);
            commit;
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Whether this run's refresh is in part, as begin_refresh decided. While dbt reads the project it is, so that dbt sees
    every ref. -#}
{% macro refreshes_in_part() -%}
    {%- if not execute -%}{{ return(true) }}{%- endif -%}
    {%- if not refreshes_are_remembered() -%}{{ return(false) }}{%- endif -%}
    {%- if flags.WHICH not in ['build', 'run'] or model.resource_type == 'unit_test' -%}{{ return(false) }}{%- endif -%}
    {{ return(
        run_query('select count(*) from raw.refreshes where is_in_part').columns[0].values()[0] == 1
    ) }}
{%- endmacro %}

{#- dbt asks it for every incremental model, so that a whole refresh is dbt's own full refresh. -#}
{% macro should_full_refresh() -%}
    {{ return(flags.FULL_REFRESH or config.get('full_refresh') == true or not refreshes_in_part()) }}
{%- endmacro %}

{#- Whether this model is being refreshed in part. A unit test says so with an override of this macro. -#}
{% macro is_in_part() -%}
    {{ return(execute and model.resource_type == 'model' and is_incremental()) }}
{%- endmacro %}

{#- Says that a model has to wait for another that reads what this one is about to change. -#}
{% macro built_after(model) -%}
    {%- if not execute -%}{%- do ref(model) -%}{%- endif -%}
{%- endmacro %}

{#- Materialization of what is refreshed in part. -#}
{% macro refreshed() -%}
    {{ return('incremental' if refreshes_are_remembered() else 'table') }}
{%- endmacro %}

{#- Pre-hook: takes the touched rows out before they are made again, also those that are made no more. `where` limits what
    counts as touched. -#}
{% macro without_touched(touched, columns, where=none) -%}
    {%- set touched_relation = ref(touched) -%}
    {%- if is_in_part() -%}
        delete from {{ this }}
        where ({{ columns | join(', ') }}) in (
            select {{ columns | join(', ') }} from {{ touched_relation }}{{ ' where ' ~ where if where }}
        )
    {%- endif -%}
{%- endmacro %}

{#- Join that leaves of `relation` what is touched; nothing at all in a whole refresh. A column may name a relation of its
    own, as in periods.period_starts_on. -#}
{% macro only_touched(relation, touched, columns) -%}
    {#- asked for while dbt reads the project, so that it knows of the dependency -#}
    {%- set touched_relation = ref(touched) if not execute or is_in_part() -%}
    {%- if is_in_part() -%}
        {%- set matches = [] -%}
        {%- for column in columns -%}
            {%- set qualified = column if '.' in column else relation ~ '.' ~ column -%}
            {%- do matches.append(qualified ~ ' = touched.' ~ column.split('.')[-1]) -%}
        {%- endfor -%}
        inner join {{ touched_relation }} as touched on {{ matches | join(' and ') }}
    {%- endif -%}
{%- endmacro %}

{#- Condition on rows of a raw table, in part: landed since the refresh before. -#}
{% macro landed_since() -%}
    landing_id > (select max(previous_landing_id) from {{ ref('int_refresh') }})
{%- endmacro %}

{#- Condition on `copies` of messages: in part, that they were received while the copies of touched messages were. It leaves
    out nothing that `only_touched` would leave; but it is known before the copies are read, and keeps all others from being
    read at all. -#}
{% macro received_when_touched(copies) -%}
    {#- in a unit test there is no table to ask -#}
    {%- set is_known = is_in_part() and model.resource_type == 'model' -%}
    {%- set span_relation = ref('int_messages_touched_span') if not execute or is_known -%}
    {%- set condition = namespace(text='1 = 1') -%}
    {%- if is_known -%}
        {%- set found = run_query(
            'select cast(first_received_at as string), cast(last_received_at as string) from ' ~ span_relation
            ~ ' where copies_count > 0 and copies_count = dated_copies_count'
        ).rows -%}
        {%- if found -%}
            {%- set condition.text = (
                copies ~ ".received_at between timestamp '" ~ found[0][0] ~ "' and timestamp '" ~ found[0][1] ~ "'"
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(condition.text) }}
{%- endmacro %}

{#- After a table's whole new content: leaves what does not stand in the table yet, so that only that is written. -#}
{% macro unless_it_stands() -%}
    {%- if is_in_part() -%}
        except
        select * from {{ this }}
    {%- endif -%}
{%- endmacro %}

{#- Post-hook: takes out rows whose key no longer stands in `model`. `columns` maps each key column to that model's. -#}
{% macro without_gone(model, columns) -%}
    {%- set relation = ref(model) -%}
    {%- if is_in_part() -%}
        delete from {{ this }}
        where ({{ columns.keys() | join(', ') }}) not in (select {{ columns.values() | join(', ') }} from {{ relation }})
    {%- endif -%}
{%- endmacro %}

{#- What is touched in a whole refresh, which makes everything and asks nobody: no rows. `columns` maps names to types. -#}
{% macro no_rows(columns) -%}
    select
    {%- for column, data_type in columns.items() %}
        cast(null as {{ data_type }}) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
    where 1 = 0
{%- endmacro %}

{#- A table as the refresh before this one left it: no ref, since it is built again later in the same run. -#}
{% macro before(model) -%}
    {{ return('intermediate.' ~ model) }}
{%- endmacro %}
