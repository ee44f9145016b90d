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
        where starts_on < ends_before_on

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
