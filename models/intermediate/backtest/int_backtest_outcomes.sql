with

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

backtest_dates as (

    select * from {{ ref('int_backtest_dates') }}

)

-- Who is compared is told by what was known at the date; what came of it, by all that is known today.
select
    account_days.enrichment_id,
    account_days.account_id,
    cast(sum(case
        when account_days.happened_on > backtest_dates.scored_on then account_days.emails_from_account_count
        else 0
    end) as bigint) as inbound_count,
    cast(sum(case
        when account_days.happened_on > backtest_dates.scored_on
            then account_days.emails_from_account_count + account_days.emails_to_account_count
        else 0
    end) as bigint) as messages_count,
    sum(case
        when account_days.happened_on > backtest_dates.scored_on then account_days.emails_from_account_count
        else 0
    end) > 0 as is_active,
    backtest_dates.scored_on
from account_days
inner join backtest_dates
    on
        account_days.happened_on >= cast(backtest_dates.scored_on - interval 364 day as date)
        and account_days.happened_on <= cast(backtest_dates.scored_on + interval {{ var('chance_days') }} day as date)
group by account_days.enrichment_id, account_days.account_id, backtest_dates.scored_on
-- An account that was only met is not compared: the baselines know nothing of it.
having
    sum(case
        when account_days.happened_on <= backtest_dates.scored_on and account_days.known_on <= backtest_dates.scored_on
            then account_days.emails_from_account_count + account_days.emails_to_account_count
        else 0
    end) > 0
