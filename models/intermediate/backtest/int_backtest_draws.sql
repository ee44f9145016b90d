with

outcomes as (

    select * from {{ ref('int_backtest_outcomes') }}

),

accounts as (

    select distinct
        enrichment_id,
        account_id
    from outcomes

),

replicates as (

    select {{ exploded_numbers(1, var('backtest_replicates')) }} as replicate

),

-- One draw for an account in all its dates and for all predictors: what is compared is drawn alike.
draws as (

    select
        accounts.enrichment_id,
        accounts.account_id,
        replicates.replicate,
        {{ poisson_draw("concat(accounts.account_id, '|', cast(replicates.replicate as string))") }} as draw_weight
    from accounts
    cross join replicates

)

-- Replicate 0 is the accounts as they are.
select
    enrichment_id,
    account_id,
    cast(0 as bigint) as replicate,
    cast(1 as bigint) as draw_weight
from accounts

union all

select
    enrichment_id,
    account_id,
    cast(replicate as bigint) as replicate,
    cast(draw_weight as bigint) as draw_weight
from draws
where draw_weight > 0
