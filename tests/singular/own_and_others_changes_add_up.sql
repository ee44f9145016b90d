-- To the last digit (D7).
with

changes as (

    select
        enrichment_id,
        account_id,
        score_version,
        week_ends_on,
        sum(own_change_points + others_change_points) as points
    from {{ ref('account_score_changes') }}
    group by enrichment_id, account_id, score_version, week_ends_on

)

select
    history.account_id,
    history.week_ends_on,
    history.change_points,
    changes.points
from {{ ref('account_score_history') }} as history
left join changes
    on
        history.enrichment_id = changes.enrichment_id
        and history.account_id = changes.account_id
        and history.score_version = changes.score_version
        and history.week_ends_on = changes.week_ends_on
where
    coalesce(history.change_points, 0) != coalesce(changes.points, 0)
    or (history.change_points is null) != (changes.points is null)
    or coalesce(history.change_points, 0) != coalesce(history.own_change_points + history.others_change_points, 0)
