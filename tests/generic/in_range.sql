{#- Every value that is not null lies within lowest and highest, both included; either may be left out. -#}
{% test in_range(model, column_name, lowest=none, highest=none) %}

select *
from {{ model }}
where
    {{ column_name }} is not null
    and not (
        true
        {% if lowest is not none %}and {{ column_name }} >= {{ lowest }}{% endif %}
        {% if highest is not none %}and {{ column_name }} <= {{ highest }}{% endif %}
    )

{% endtest %}
