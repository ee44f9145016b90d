{#- Stretches of days [starts_on, ends_before_on) that overlap or meet become one, by `keys`: each day of a key is then in one
    stretch at most, so that keys can be counted without telling them apart. Three steps of a `with`, the last of them
    called `name`. -#}
{% macro joined_stretches(name, stretches, keys) -%}
    {%- set listed = keys | join(', ') -%}
    {%- set order = 'partition by ' ~ listed ~ ' order by starts_on nulls last, ends_before_on nulls last' -%}
    {{ name }}_begun as (

        select
            {{ listed }},
            starts_on,
            ends_before_on,
            case
                when
                    starts_on <= max(ends_before_on) over (
                        {{ order }} rows between unbounded preceding and 1 preceding
                    )
                    then 0
                else 1
            end as begins_one
        from {{ stretches }}

    ),

    {{ name }}_numbered as (

        select
            *,
            sum(begins_one) over (
                {{ order }} rows between unbounded preceding and current row
            ) as stretch_number
        from {{ name }}_begun

    ),

    {{ name }} as (

        select
            {{ listed }},
            min(starts_on) as starts_on,
            max(ends_before_on) as ends_before_on
        from {{ name }}_numbered
        group by {{ listed }}, stretch_number

    )
{%- endmacro %}

{#- The stretches in which rows of a relation lie in a window of so many days: from the day of contact, or from when it was
    known if it is asked as of then (is_as_known = 1), to the window's end. For nearly every key the two are the same, and
    is_as_known is null. `keys` tell whose stretches they are; `windows` has the lengths in its column window_days.

    Asked are the scored_on of `score_rows` alone, so a stretch begins and ends on one of them, or never ends: the days of a key
    between two of them are one stretch then, and a refresh in part, which asks for few, has few. -#}
{% macro stretches_in_windows(name, relation, keys, windows, score_rows) -%}
    {%- set ends_before_on = "coalesce(asked_after.scored_on, date '9999-12-31')" -%}
    {{ name }}_scored_days as (

        select distinct scored_on from {{ score_rows }}

    ),

    {{ name }}_knowledge as (

        select 0 as is_as_known
        union all
        select 1 as is_as_known

    ),

    {{ name }}_known_late as (

        select distinct {{ keys | join(', ') }}
        from {{ relation }}
        where known_on > happened_on

    ),

    {{ name }}_dates as (

        select distinct
            happened_on,
            known_on
        from {{ relation }}

    ),

    {{ name }}_days as (

        select happened_on as day_on from {{ name }}_dates

        union

        select known_on as day_on from {{ name }}_dates

        union

        select {{ days_after('dates.happened_on', 'windows.window_days') }} as day_on
        from {{ name }}_dates as dates
        cross join {{ windows }} as windows

    ),

    {{ name }}_days_asked as (

        select
            days.day_on,
            min(scored_days.scored_on) as scored_on
        from {{ name }}_days as days
        inner join {{ name }}_scored_days as scored_days on scored_days.scored_on >= days.day_on
        group by days.day_on

    ),

    {{ name }}_stretches as (

        select
            {%- for key in keys %}
                dated.{{ key }},
            {%- endfor %}
            windows.window_days,
            case when late.{{ keys | last }} is not null then knowledge.is_as_known end as is_as_known,
            asked.scored_on as starts_on,
            max({{ ends_before_on }}) as ends_before_on
        from {{ relation }} as dated
        cross join {{ windows }} as windows
        left join {{ name }}_known_late as late
            on
                {%- for key in keys %}
                    {{ 'and ' if not loop.first }}dated.{{ key }} = late.{{ key }}
                {%- endfor %}
        inner join {{ name }}_knowledge as knowledge on knowledge.is_as_known = 0 or late.{{ keys | last }} is not null
        inner join {{ name }}_days_asked as asked
            on
                asked.day_on
                = case
                    when knowledge.is_as_known = 1 then greatest(dated.happened_on, dated.known_on)
                    else dated.happened_on
                end
        left join {{ name }}_days_asked as asked_after
            on asked_after.day_on = {{ days_after('dated.happened_on', 'windows.window_days') }}
        where
            dated.{{ keys | last }} is not null
            and asked.scored_on < {{ ends_before_on }}
        group by
            {%- for key in keys %}
                dated.{{ key }},
            {%- endfor %}
            windows.window_days,
            case when late.{{ keys | last }} is not null then knowledge.is_as_known end,
            asked.scored_on

    ),

    {{ joined_stretches(name ~ '_joined', name ~ '_stretches', keys + ['window_days', 'is_as_known']) }}
{%- endmacro %}
