with recursive

accounts as (

    select
        account_id,
        parent_account_id
    from {{ ref('stg_customers__accounts') }}

),

-- A parent that the file does not have is none.
one_level_up as (

    select
        accounts.account_id,
        parents.account_id as ancestor_account_id,
        1 as level_count
    from accounts
    inner join accounts as parents on accounts.parent_account_id = parents.account_id

),

-- From the farthest ancestor that is known to its parent; at 32 levels it ends, so that no cycle can hold it up.
up_to_32_levels as (

    select * from one_level_up

    union all

    select
        near.account_id,
        far.ancestor_account_id,
        near.level_count + 1 as level_count
    from up_to_32_levels as near
    inner join one_level_up as far on near.ancestor_account_id = far.account_id
    where near.level_count < 32

),

-- A cycle is passed more than once.
ancestors as (

    select
        account_id,
        ancestor_account_id,
        min(level_count) as level_count
    from up_to_32_levels
    group by account_id, ancestor_account_id

),

accounts_on_cycles as (

    select account_id from ancestors
    where account_id = ancestor_account_id

),

-- Who would be an ancestor of itself has no parent: it is the top of whatever hangs below it.
ancestors_below_cycles as (

    select
        ancestors.account_id,
        ancestors.ancestor_account_id,
        ancestors.level_count,
        cycles_above.account_id is not null as is_on_cycle,
        min(case when cycles_above.account_id is not null then ancestors.level_count end) over (
            partition by ancestors.account_id
        ) as level_of_nearest_cycle
    from ancestors
    left join accounts_on_cycles as own_cycles on ancestors.account_id = own_cycles.account_id
    left join accounts_on_cycles as cycles_above on ancestors.ancestor_account_id = cycles_above.account_id
    where own_cycles.account_id is null

)

select
    account_id,
    ancestor_account_id,
    cast(level_count as bigint) as levels_count
from ancestors_below_cycles
where not is_on_cycle or level_count = level_of_nearest_cycle
