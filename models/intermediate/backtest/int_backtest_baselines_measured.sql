{#- What four_equal_ranks is the mean of. -#}
{%- set ranked = [
    'days_since_last_contact', 'emails_365_days', 'emails_decayed_30_days', 'inbound_decayed_30_days',
] -%}
with

account_days as (

    select
        *,
        emails_from_account_count + emails_to_account_count as emails_count
    from {{ ref('int_account_days_aggregated') }}

),

backtest_dates as (

    select * from {{ ref('int_backtest_dates') }}

),

emails_counted as (

    select
        account_days.enrichment_id,
        account_days.account_id,
        max(account_days.happened_on) as last_email_on,
        sum(account_days.emails_count) as year_count,
        sum(case
            when account_days.happened_on > cast(backtest_dates.scored_on - interval 90 day as date)
                then account_days.emails_count
            else 0
        end) as quarter_count,
        sum(account_days.emails_count * {{ forward_weight('account_days.happened_on', 30) }})
        / {{ forward_weight('backtest_dates.scored_on', 30) }} as decayed_count,
        sum(account_days.emails_from_account_count * {{ forward_weight('account_days.happened_on', 30) }})
        / {{ forward_weight('backtest_dates.scored_on', 30) }} as inbound_decayed_count,
        backtest_dates.scored_on
    from account_days
    inner join backtest_dates
        on
            account_days.happened_on >= cast(backtest_dates.scored_on - interval 364 day as date)
            and account_days.happened_on <= backtest_dates.scored_on
            and account_days.known_on <= backtest_dates.scored_on
    where account_days.emails_count > 0
    group by account_days.enrichment_id, account_days.account_id, backtest_dates.scored_on

),

-- Each so that more is better, and rounded so that equal histories stay equal in whatever order doubles were added.
baselines as (

    select
        enrichment_id,
        account_id,
        cast(-{{ days_between('last_email_on', 'scored_on') }} as double) as days_since_last_contact,
        case
            when {{ days_between('last_email_on', 'scored_on') }} <= 60 then cast(1 as double)
            else cast(0 as double)
        end as rule_60_days,
        cast(year_count as double) as emails_365_days,
        cast(quarter_count as double) as emails_90_days,
        round(decayed_count, 9) as emails_decayed_30_days,
        round(inbound_decayed_count, 9) as inbound_decayed_30_days,
        scored_on
    from emails_counted

),

baselines_ranked as (

    select
        *,
        {% for baseline in ranked -%}
            rank() over (
                partition by enrichment_id, scored_on order by {{ baseline }} nulls last
            ) as {{ baseline }}_rank,
            count(*) over (partition by enrichment_id, scored_on, {{ baseline }}) as {{ baseline }}_tied_count,
        {% endfor -%}
        count(*) over (partition by enrichment_id, scored_on) as accounts_count
    from baselines

),

-- Twice the accounts below and those that tie once: added as whole numbers, so that equal means are equal.
places_added as (

    select
        *,
        {% for baseline in ranked -%}
            2 * {{ baseline }}_rank + {{ baseline }}_tied_count - 3{{ ' + ' if not loop.last }}
        {%- endfor %} as places
    from baselines_ranked

)

select
    enrichment_id,
    account_id,
    days_since_last_contact,
    rule_60_days,
    emails_365_days,
    emails_90_days,
    emails_decayed_30_days,
    inbound_decayed_30_days,
    coalesce(
        round(
            cast(places as double) / nullif({{ 2 * ranked | length }} * (accounts_count - 1), 0), 9
        ),
        -- alone, an account stands in the middle
        0.5
    ) as four_equal_ranks,
    scored_on
from places_added
