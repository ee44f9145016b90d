{#- One row per combination of `columns`, none of them null except those in `nullable` (where null counts as a value).
    The publisher reads a table's primary key from this test. -#}
{% test unique_key(model, columns, nullable=[]) %}

select
    {% for column in columns %}{{ adapter.quote(column) }}, {% endfor %}
    count(*) as row_count
from {{ model }}
group by {% for column in columns %}{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %}
having
    count(*) > 1
    {% for column in columns if column not in nullable %}or {{ adapter.quote(column) }} is null {% endfor %}

{% endtest %}
