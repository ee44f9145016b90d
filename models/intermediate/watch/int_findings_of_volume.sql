with

volumes as (

    select * from {{ ref('int_volumes_judged') }}

),

silences as (

    select * from {{ ref('int_mailbox_silences_measured') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

-- A mailbox that may have nothing on such a day cannot have too little; any that has a history may have too much.
mailboxes_counted as (

    select
        volumes.enrichment_id,
        volumes.day_on,
        sum(case when volumes.volume_class = 'low' then 1 else 0 end) as low_count,
        sum(case when volumes.volume_class != 'not_judged' and volumes.low_copies > 0 then 1 else 0 end)
            as could_be_low_count,
        sum(case when volumes.volume_class = 'high' then 1 else 0 end) as high_count,
        sum(case when volumes.history_days_count >= limits.history_least_days then 1 else 0 end)
            as could_be_high_count
    from volumes
    cross join limits
    where volumes.volume_scope = 'mailbox'
    group by volumes.enrichment_id, volumes.day_on

),

directions as (

    select
        volumes.enrichment_id,
        volumes.day_on,
        'low' as direction,
        'less' as comparison,
        volumes.volume_class = 'low' as is_of_all,
        volumes.copies_count,
        volumes.usual_copies,
        volumes.low_copies,
        volumes.high_copies,
        volumes.mailboxes_count,
        mailboxes_counted.low_count as unusual_count,
        mailboxes_counted.could_be_low_count as comparable_count
    from volumes
    inner join mailboxes_counted
        on volumes.enrichment_id = mailboxes_counted.enrichment_id and volumes.day_on = mailboxes_counted.day_on
    where volumes.volume_scope = 'all'

    union all

    select
        volumes.enrichment_id,
        volumes.day_on,
        'high' as direction,
        'more' as comparison,
        volumes.volume_class = 'high' as is_of_all,
        volumes.copies_count,
        volumes.usual_copies,
        volumes.low_copies,
        volumes.high_copies,
        volumes.mailboxes_count,
        mailboxes_counted.high_count as unusual_count,
        mailboxes_counted.could_be_high_count as comparable_count
    from volumes
    inner join mailboxes_counted
        on volumes.enrichment_id = mailboxes_counted.enrichment_id and volumes.day_on = mailboxes_counted.day_on
    where volumes.volume_scope = 'all'

),

quiet_counted as (

    select
        silences.enrichment_id,
        sum(case when silences.is_quiet then 1 else 0 end) as quiet_count,
        count(*) as mailboxes_count,
        min(case when silences.is_quiet then silences.last_mail_on end) as first_last_mail_on
    from silences
    group by silences.enrichment_id

),

-- A holiday is one finding and not one of each mailbox: what holds for all is said of all.
findings as (

    select
        directions.enrichment_id,
        'volume' as check_name,
        'messages_' || directions.direction as subject,
        case
            when
                directions.direction = 'low'
                and directions.copies_count < limits.volume_loss_ratio * directions.usual_copies
                then 'warning'
            else 'notice'
        end as severity,
        case when not reporting.is_banded then cast(directions.copies_count as double) end as observed,
        case when not reporting.is_banded then round(directions.low_copies, 0) end as expected_low,
        case when not reporting.is_banded then round(directions.high_copies, 0) end as expected_high,
        'copies' as unit,
        directions.day_on,
        directions.day_on as since_on,
        'On ' || cast(directions.day_on as string) || ' the mailboxes had '
        || case
            when reporting.is_banded
                then
                    'about '
                    || cast(
                        cast(
                            round(10 * directions.copies_count / nullif(directions.usual_copies, 0), 0) * 10 as bigint
                        ) as string
                    )
                    || ' % of the messages that are usual on that weekday'
            else
                cast(directions.copies_count as string) || ' messages, where '
                || cast(cast(round(directions.low_copies, 0) as bigint) as string) || ' to '
                || cast(cast(round(directions.high_copies, 0) as bigint) as string)
                || ' are usual on that weekday'
        end
        || case
            when directions.direction = 'low'
                then
                    '; unless it was a holiday, run `engagement doctor`, then `engagement extract office --anew` and'
                    || ' `engagement run`.'
            else '; if nothing explains it, look for mail that was moved or copied into them.'
        end as finding
    from directions
    cross join limits
    cross join reporting
    where
        directions.is_of_all
        and (not reporting.is_banded or directions.mailboxes_count >= reporting.smallest_group)

    union all

    select
        directions.enrichment_id,
        'volume' as check_name,
        'mailboxes_' || directions.direction as subject,
        case
            when
                directions.direction = 'low'
                and directions.unusual_count > limits.volume_loss_ratio * directions.comparable_count
                then 'warning'
            else 'notice'
        end as severity,
        cast({{ people_shown('directions.unusual_count') }} as double) as observed,
        0 as expected_low,
        case
            when not reporting.is_banded
                then
                    greatest(
                        limits.mailboxes_unusual_least - 1,
                        floor(limits.mailboxes_unusual_ratio * directions.comparable_count)
                    )
        end as expected_high,
        'mailboxes' as unit,
        directions.day_on,
        directions.day_on as since_on,
        'On ' || cast(directions.day_on as string) || ' '
        || case
            when reporting.is_banded then {{ people_band('directions.unusual_count') }} || ' mailboxes'
            else
                cast(directions.unusual_count as string) || ' of ' || cast(directions.comparable_count as string)
                || ' mailboxes'
        end
        || ' had much ' || directions.comparison || ' mail than each of them usually has on that weekday'
        || case
            when directions.direction = 'low'
                then
                    '; if they have nothing else in common, run `engagement doctor`, then `engagement extract office'
                    || ' --anew` and `engagement run`.'
            else '; look for a mailing to all, or for mail that was moved into them.'
        end as finding
    from directions
    cross join limits
    cross join reporting
    where
        not directions.is_of_all
        and directions.unusual_count >= limits.mailboxes_unusual_least
        and directions.unusual_count > limits.mailboxes_unusual_ratio * directions.comparable_count
        and {{ people_may_be_named('directions.unusual_count', 'directions.comparable_count') }}

    union all

    select
        quiet_counted.enrichment_id,
        case
            when quiet_counted.quiet_count >= limits.quiet_most_ratio * quiet_counted.mailboxes_count then 'volume'
            else 'quiet_mailboxes'
        end as check_name,
        case
            when quiet_counted.quiet_count >= limits.quiet_most_ratio * quiet_counted.mailboxes_count
                then 'most_mailboxes_quiet'
            else 'mailboxes'
        end as subject,
        'warning' as severity,
        cast({{ people_shown('quiet_counted.quiet_count') }} as double) as observed,
        0 as expected_low,
        0 as expected_high,
        'mailboxes' as unit,
        cast(null as date) as day_on,
        case when not reporting.is_banded then cast(quiet_counted.first_last_mail_on + interval 1 day as date) end
            as since_on,
        case
            when quiet_counted.quiet_count >= limits.quiet_most_ratio * quiet_counted.mailboxes_count
                then
                    'Most mailboxes that used to have mail have had none for long; unless the company was closed, run'
                    || ' `engagement doctor`: the app may see them and no longer their mail.'
            else
                case
                    when reporting.is_banded then {{ people_band('quiet_counted.quiet_count') }}
                    else cast(quiet_counted.quiet_count as string)
                end
                || case when quiet_counted.quiet_count = 1 then ' mailbox that' else ' mailboxes that' end
                || ' used to have mail '
                || case when quiet_counted.quiet_count = 1 then 'has' else 'have' end
                || ' had none for more than ' || cast(cast(limits.quiet_gaps as bigint) as string)
                || ' of the usual gaps'
                || '; look whether the people have left, moved to another mailbox or have their mail forwarded.'
        end as finding
    from quiet_counted
    cross join limits
    cross join reporting
    where
        quiet_counted.quiet_count > 0
        and {{ people_may_be_named('quiet_counted.quiet_count', 'quiet_counted.mailboxes_count') }}

)

select
    findings.enrichment_id,
    findings.check_name,
    findings.subject,
    findings.severity,
    findings.observed,
    findings.expected_low,
    findings.expected_high,
    findings.unit,
    findings.day_on,
    findings.since_on,
    findings.finding
from findings
cross join as_of
