{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_score_changes_touched', ['enrichment_id', 'scored_on']) }}",
) }}

with

score_components as (

    select * from {{ ref('score_components') }}

),

-- The higher the oriented value, the better.
components_oriented as (

    select
        weighted.score_version,
        weighted.enrichment_id,
        weighted.account_id,
        weighted.component,
        weighted.points_possible,
        coalesce(weighted.points_earned, 0) as points_earned,
        case score_components.better
            when 'lower' then -weighted.raw_value else weighted.raw_value
        end as oriented_value,
        weighted.scored_on,
        cast(weighted.scored_on + interval 7 day as date) as next_scored_on
    from {{ ref('int_components_weighted') }} as weighted
    inner join score_components
        on
            weighted.score_version = score_components.score_version
            and weighted.component = score_components.component
    where weighted.score_series = 'history'

),

components_touched as (

    select newer.*
    from components_oriented as newer
    {{ only_touched('newer', 'int_score_changes_touched', ['enrichment_id', 'scored_on']) }}

),

weeks_touched as (

    select distinct
        enrichment_id,
        scored_on
    from components_touched

),

-- An account has a change where it was scored a week before.
changes as (

    select
        newer.score_version,
        newer.enrichment_id,
        newer.account_id,
        newer.component,
        newer.points_possible,
        newer.points_earned,
        older.points_earned as previous_points,
        newer.oriented_value,
        older.oriented_value as previous_value,
        newer.scored_on
    from components_touched as newer
    inner join components_oriented as older
        on
            newer.score_version = older.score_version
            and newer.enrichment_id = older.enrichment_id
            and newer.account_id = older.account_id
            and newer.component = older.component
            and newer.scored_on = older.next_scored_on

),

-- The accounts of the week before, whether they are still there or not: what an account is held against.
peers as (

    select
        older.score_version,
        older.enrichment_id,
        older.component,
        older.next_scored_on as scored_on,
        older.oriented_value
    from components_oriented as older
    inner join weeks_touched
        on
            older.enrichment_id = weeks_touched.enrichment_id
            and older.next_scored_on = weeks_touched.scored_on
    where older.oriented_value is not null

),

peers_counted as (

    select
        score_version,
        enrichment_id,
        component,
        scored_on,
        oriented_value,
        count(*) as peers_count
    from peers
    group by score_version, enrichment_id, component, scored_on, oriented_value

),

-- Every value that is asked about stands among those of the week before.
values_together as (

    select
        score_version,
        enrichment_id,
        component,
        scored_on,
        oriented_value,
        peers_count
    from peers_counted

    union all

    select distinct
        score_version,
        enrichment_id,
        component,
        scored_on,
        oriented_value,
        cast(0 as bigint) as peers_count
    from changes
    where oriented_value is not null

),

values_summed as (

    select
        score_version,
        enrichment_id,
        component,
        scored_on,
        oriented_value,
        sum(peers_count) as tied_count
    from values_together
    group by score_version, enrichment_id, component, scored_on, oriented_value

),

values_placed as (

    select
        score_version,
        enrichment_id,
        component,
        scored_on,
        oriented_value,
        tied_count,
        sum(tied_count) over (
            partition by score_version, enrichment_id, component, scored_on
            order by oriented_value nulls last
            rows between unbounded preceding and current row
        ) - tied_count as below_count,
        sum(tied_count) over (partition by score_version, enrichment_id, component, scored_on) as peers_count
    from values_summed

),

-- The account's own value of the week before gives way to the new one.
among_others as (

    select
        changes.*,
        values_placed.tied_count
        - case when changes.previous_value = changes.oriented_value then 1 else 0 end as others_tied_count,
        values_placed.below_count
        - case when changes.previous_value < changes.oriented_value then 1 else 0 end as others_below_count,
        values_placed.peers_count - case when changes.previous_value is not null then 1 else 0 end as others_count
    from changes
    left join values_placed
        on
            changes.score_version = values_placed.score_version
            and changes.enrichment_id = values_placed.enrichment_id
            and changes.component = values_placed.component
            and changes.scored_on = values_placed.scored_on
            and changes.oriented_value = values_placed.oriented_value

),

-- Its place if all others had stayed as they were.
placed_alone as (

    select
        *,
        case
            when oriented_value is null then null
            when others_count = 0 then cast(0.5 as double)
            else (others_below_count + others_tied_count / cast(2 as double)) / nullif(others_count, 0)
        end as place_alone_ratio
    from among_others

),

explained as (

    select
        *,
        coalesce({{ points('points_possible', 'place_alone_ratio') }}, 0) as points_alone
    from placed_alone

)

select
    score_version,
    enrichment_id,
    account_id,
    component,
    cast(previous_points as decimal(9, 4)) as previous_points,
    cast(points_earned as decimal(9, 4)) as points_earned,
    cast(points_alone - previous_points as decimal(9, 4)) as own_change_points,
    cast(points_earned - points_alone as decimal(9, 4)) as others_change_points,
    scored_on
from explained
