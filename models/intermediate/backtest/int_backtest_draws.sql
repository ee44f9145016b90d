with

outcomes as (

    select * from {{ ref('int_backtest_outcomes') }}

),

accounts as (

    select
        enrichment_id,
        account_id,
        sum(count(*)) over (partition by enrichment_id) as rows_count
    from outcomes
    group by enrichment_id, account_id

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
    -- Of many accounts fewer draws tell as much; fewer than 40 tell no interval.
    where
        replicates.replicate <= 40
        or replicates.replicate * accounts.rows_count <= {{ var('backtest_drawn_rows') }}

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
