{#- Every value of the columns that is not null lies within lowest and highest, both included; either may be left out. One
    test for all columns of a model with the same bounds: a test costs more than a column. -#}
{% test in_range(model, columns, lowest=none, highest=none) %}

select {{ columns | join(', ') }}
from {{ model }}
where
    {%- for column in columns %}
        {%- if lowest is not none %}
            {{ column }} < {{ lowest }} or
        {%- endif %}
        {%- if highest is not none %}
            {{ column }} > {{ highest }} or
        {%- endif %}
    {%- endfor %}
    false

{% endtest %}
