{#- One row per combination of `columns`, none of them null except those in `nullable` (where null counts as a value).
    The publisher reads a table's primary key from this test.

    A build in part looks only at keys that it may have made again: those of `touched`, by its columns `touched_by`, or with
    `landed` those of rows landed since the refresh before; and at those that are null. All others were looked at when they were made. `dbt test` looks
    at all of them. -#}
{% test unique_key(model, columns, nullable=[], touched=none, touched_by=[], landed=false) %}

{%- set landed_condition = landed_since() if landed -%}
{%- set in_part = (touched or landed) and execute and refreshes_in_part() -%}
{%- set asked = columns if landed else touched_by -%}

select
    {% for column in columns %}{{ adapter.quote(column) }}, {% endfor %}
    count(*) as row_count
from {{ model }}
{% if in_part %}
where
    ({{ asked | join(', ') }}) in (
        {% if landed %}
        select {{ asked | join(', ') }} from {{ model }} where {{ landed_condition }}
        {% else %}
        select {{ asked | join(', ') }} from {{ touched }}
        {% endif %}
    )
    {% for column in asked %}or {{ adapter.quote(column) }} is null {% endfor %}

{% endif %}
group by {% for column in columns %}{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %}
having
    count(*) > 1
    {% for column in columns if column not in nullable %}or {{ adapter.quote(column) }} is null {% endfor %}

{% endtest %}
