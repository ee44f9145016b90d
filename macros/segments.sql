{#- Segments: which accounts somebody wants to act on. Each is a model models/segments/segment_<id>.sql with one row per
    office enrichment, account and day judged: is_member, and reason, which says in words what decided, for members and for
    all others. What it is called and who owns it stands in its YAML (config.meta.segment). -#}

{#- Whether nothing has happened for longer than var stale_after_days: never counts as long ago, but never at all is another
    thing than stale (D6.8). -#}
{% macro is_stale(email_days, meeting_days) -%}
    (
        coalesce({{ email_days }} > {{ var('stale_after_days') }}, true)
        and coalesce({{ meeting_days }} > {{ var('stale_after_days') }}, true)
        and not {{ is_never_engaged(email_days, meeting_days) }}
    )
{%- endmacro %}

{#- The same, where never is read as no. -#}
{% macro is_stale_strict(email_days, meeting_days) -%}
    (
        coalesce({{ email_days }} > {{ var('stale_after_days') }}, false)
        and coalesce({{ meeting_days }} > {{ var('stale_after_days') }}, false)
    )
{%- endmacro %}

{% macro is_never_engaged(email_days, meeting_days) -%}
    ({{ email_days }} is null and {{ meeting_days }} is null)
{%- endmacro %}


{#- Words of a number of days since something: never, today, 1 day ago, 61 days ago. -#}
{% macro ago(days) -%}
    {{ return(
        'case when ' ~ days ~ " is null then 'never' when " ~ days ~ " = 0 then 'on the day itself' when " ~ days
        ~ " = 1 then '1 day ago' else cast(" ~ days ~ " as string) || ' days ago' end"
    ) }}
{%- endmacro %}

{#- Words of a text or a date: itself, or `unknown` where there is none. -#}
{% macro said(value) -%}
    {{ return('coalesce(cast(' ~ value ~ " as string), 'unknown')") }}
{%- endmacro %}

{#- Words of a number: 1,234.5; at most one digit behind the point, none where it is whole. -#}
{% macro number_said(number) -%}
    {{ return("coalesce(" ~ number_with_separators(number) ~ ", 'unknown')") }}
{%- endmacro %}

{#- Words of a number of days: 1 day, 2.5 days. -#}
{% macro days_said(days) -%}
    {{ return(number_said(days) ~ ' || case when ' ~ days ~ " = 1 then ' day' else ' days' end") }}
{%- endmacro %}

{#- Words of a ratio: whole percent. -#}
{% macro percent_said(ratio) -%}
    {{ return('coalesce(cast(cast(round(100 * ' ~ ratio ~ ") as bigint) as string) || ' %', 'unknown')") }}
{%- endmacro %}


{#- Segments made of segments, by their ids; the reason is what each of them says. Who is in any of them. -#}
{% macro segment_union(segments) -%}{{ _segments_joined(segments, 'or') }}{%- endmacro %}

{#- Who is in every one of them. -#}
{% macro segment_intersect(segments) -%}{{ _segments_joined(segments, 'and') }}{%- endmacro %}

{#- Who is in the first and in none of the others. -#}
{% macro segment_except(segments) -%}{{ _segments_joined(segments, 'and not') }}{%- endmacro %}

{% macro _segments_joined(segments, operator) -%}
    {%- if segments | length < 2 -%}
        {%- do exceptions.raise_compiler_error(
            model.path ~ ': a segment made of segments needs two of them; it names ' ~ (segments | join(', ') or 'none')
        ) -%}
    {%- endif -%}
    {%- set names, members, reasons = [], [], [] -%}
    {%- for segment in segments -%}
        {%- set name = 'segment_' ~ segment -%}
        {%- do names.append(name) -%}
        {%- do members.append(name ~ '.is_member') -%}
        {%- do reasons.append(
            'case when ' ~ name ~ ".is_member then '' else 'not ' end || '" ~ segment | replace('_', ' ') ~ ": ' || "
            ~ name ~ '.reason'
        ) -%}
    {%- endfor -%}
    select
        {{ names[0] }}.enrichment_id,
        {{ names[0] }}.account_id,
        {{ names[0] }}.judged_on,
        {{ members | join(' ' ~ operator ~ ' ') }} as is_member,
        {{ reasons | join(" || '; ' || ") }} as reason
    from {{ ref(names[0]) }} as {{ names[0] }}
    {%- for name in names[1:] %}
    inner join {{ ref(name) }} as {{ name }}
        on
            {{ names[0] }}.enrichment_id = {{ name }}.enrichment_id
            and {{ names[0] }}.account_id = {{ name }}.account_id
            and {{ names[0] }}.judged_on = {{ name }}.judged_on
    {%- endfor %}
{%- endmacro %}


{#- A static segment: its members, and why, are rows of the seed segment_frozen_members, which `engagement segment freeze`
    writes; nothing moves them any more. Before the day of freezing nobody was in it. -#}
{% macro segment_frozen(segment) -%}
    select
        attributes.enrichment_id,
        attributes.account_id,
        attributes.judged_on,
        frozen.account_id is not null as is_member,
        coalesce(
            'frozen on ' || cast(frozen.frozen_on as string) || ': ' || frozen.reason, 'not among those who were frozen'
        ) as reason
    from {{ ref('int_account_attributes_dated') }} as attributes
    left join {{ ref('segment_frozen_members') }} as frozen
        on
            attributes.enrichment_id = frozen.enrichment_id
            and attributes.account_id = frozen.account_id
            and attributes.judged_on >= frozen.frozen_on
            and frozen.segment_id = '{{ segment }}'
{%- endmacro %}


{#- What the YAML of each segment says of it, as rows. While dbt reads the project nothing is known yet. -#}
{% macro segments_described() -%}
    {%- for segment in var('segments') if execute -%}
        {%- set node = graph.nodes['model.' ~ project_name ~ '.segment_' ~ segment] -%}
        {%- set about = node.config.get('meta', {}).get('segment', {}) %}
        {{ 'union all' if not loop.first }}
        select
            {{ loop.index }} as segment_position,
            '{{ segment }}' as segment_id,
            {{ _text(about.name) }} as segment_name,
            {{ _text(_without_grain(node.description)) }} as description,
            {{ _text(about.owner) }} as owner,
            {{ _text(about.get('audience', 'accounts')) }} as audience,
            {{ _text(about.get('membership', 'dynamic')) }} as membership,
            {{ _text((about.get('tags') or []) | join(', ')) }} as tags,
            {{ 'true' if about.get('active', true) else 'false' }} as is_active
    {%- endfor %}
    {%- if not execute or not var('segments') %}
        select
            0 as segment_position,
            '' as segment_id,
            '' as segment_name,
            '' as description,
            '' as owner,
            '' as audience,
            '' as membership,
            '' as tags,
            false as is_active
        where 1 = 0
    {%- endif %}
{%- endmacro %}

{#- Every description begins with the grain, which is the same of all segments. -#}
{% macro _without_grain(description) -%}
    {{ return((description | trim).replace('One row per office enrichment, account and day judged.', '') | trim) }}
{%- endmacro %}

{% macro _text(value) -%}
    {{ return("cast(" ~ ("'" ~ value | replace("'", "''") ~ "'" if value else 'null') ~ ' as string)') }}
{%- endmacro %}


{#- on-run-start: what can be wrong with how segments are told of, in one line each. -#}
{% macro check_segments() -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'compile', 'test'] -%}
        {%- set findings, names, seen = [], {}, [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name.startswith('segment_')
            and 'segments' in node.fqn and 'marts' not in node.fqn -%}
            {%- set segment = node.name[8:] -%}
            {%- do seen.append(segment) -%}
            {%- if segment not in var('segments') -%}
                {%- do findings.append(
                    node.original_file_path ~ ': segment ' ~ segment ~ ' is missing in var segments (dbt_project.yml)'
                ) -%}
            {%- endif -%}
            {%- set about = node.config.get('meta', {}).get('segment', {}) -%}
            {%- for key in ['name', 'owner'] if not about.get(key) -%}
                {%- do findings.append(node.original_file_path ~ ': config.meta.segment.' ~ key ~ ' is missing in its YAML') -%}
            {%- endfor -%}
            {%- for key, allowed in {'audience': ['accounts', 'contacts'], 'membership': ['dynamic', 'static'], 'active': [true, false]}.items()
                if key in about and about[key] not in allowed -%}
                {%- do findings.append(
                    node.original_file_path ~ ': config.meta.segment.' ~ key ~ ' is ' ~ about[key] ~ '; allowed is '
                    ~ allowed | join(' or ')
                ) -%}
            {%- endfor -%}
            {%- if about.get('name') in names -%}
                {%- do findings.append(
                    node.original_file_path ~ ': the name ' ~ about.name ~ ' is that of segment ' ~ names[about.name] ~ ' too'
                ) -%}
            {%- endif -%}
            {%- do names.update({about.get('name'): segment}) -%}
        {%- endfor -%}
        {%- for segment in var('segments') -%}
            {%- if segment not in seen -%}
                {%- do findings.append(
                    'dbt_project.yml: var segments names ' ~ segment ~ ', and there is no models/segments/segment_' ~ segment
                    ~ '.sql'
                ) -%}
            {%- endif -%}
            {%- if var('segments').count(segment) > 1 -%}
                {%- do findings.append('dbt_project.yml: var segments names ' ~ segment ~ ' twice') -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if findings -%}
            {%- do exceptions.raise_compiler_error('segments: ' ~ findings | unique | join('; ')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
