{%- set judged_from = var('backtest_judged_from') -%}
with

backtest_dates as (

    select * from {{ ref('int_backtest_dates') }}

)

-- What a version was fitted on must not judge it; one bound for all predictors, so that they are compared over the
-- same dates.
select
    scored_on,
    {% if judged_from %}scored_on >= date '{{ judged_from }}'{% else %}true{% endif %} as is_judged
from backtest_dates
