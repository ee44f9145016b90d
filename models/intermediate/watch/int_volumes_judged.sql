with

mailbox_days as (

    select * from {{ ref('int_mailbox_days_counted') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

-- Of all mailboxes together it is the messages per mailbox read that are compared, so that one that could not be read
-- on a day does not make it a day of less mail.
volumes as (

    select
        enrichment_id,
        'mailbox' as volume_scope,
        mailbox_id,
        1 as mailboxes_count,
        copies_count,
        day_on
    from mailbox_days

    union all

    select
        enrichment_id,
        'all' as volume_scope,
        0 as mailbox_id,
        count(*) as mailboxes_count,
        cast(sum(copies_count) as bigint) as copies_count,
        day_on
    from mailbox_days
    group by enrichment_id, day_on

),

-- Counts spread as much as their root is high; their roots spread alike everywhere.
volumes_rooted as (

    select
        enrichment_id,
        volume_scope,
        mailbox_id,
        mailboxes_count,
        copies_count,
        sqrt(cast(copies_count as double) / nullif(mailboxes_count, 0)) as copies_root,
        mod({{ days_between("date '2000-01-03'", 'day_on') }}, 7) as weekday_number,
        day_on
    from volumes

),

histories as (

    select
        judged.enrichment_id,
        judged.volume_scope,
        judged.mailbox_id,
        judged.day_on,
        earlier.copies_root
    from volumes_rooted as judged
    cross join as_of
    cross join limits
    inner join volumes_rooted as earlier
        on
            judged.enrichment_id = earlier.enrichment_id
            and judged.volume_scope = earlier.volume_scope
            and judged.mailbox_id = earlier.mailbox_id
            and judged.weekday_number = earlier.weekday_number
            and judged.day_on > earlier.day_on
            and {{ days_between('earlier.day_on', 'judged.day_on') }} <= 7 * limits.history_weeks
    where {{ days_between('judged.day_on', 'as_of.as_of_date') }} < limits.days_judged

),

usual as (

    select
        enrichment_id,
        volume_scope,
        mailbox_id,
        day_on,
        count(*) as history_days_count,
        min(copies_root) as lowest_root,
        {{ quantile('copies_root', 0.5) }} as usual_root
    from histories
    group by enrichment_id, volume_scope, mailbox_id, day_on

),

deviations as (

    select
        histories.enrichment_id,
        histories.volume_scope,
        histories.mailbox_id,
        histories.day_on,
        max(usual.usual_root) as usual_root,
        max(usual.lowest_root) as lowest_root,
        max(usual.history_days_count) as history_days_count,
        -- The median deviation of a normal distribution is 1 / 1.4826 of its standard deviation.
        1.4826 * {{ quantile('abs(histories.copies_root - usual.usual_root)', 0.5) }} as spread_root
    from histories
    inner join usual
        on
            histories.enrichment_id = usual.enrichment_id
            and histories.volume_scope = usual.volume_scope
            and histories.mailbox_id = usual.mailbox_id
            and histories.day_on = usual.day_on
    group by histories.enrichment_id, histories.volume_scope, histories.mailbox_id, histories.day_on

),

-- Half a message is the spread of the root of what comes by chance alone.
bounds as (

    select
        volumes_rooted.enrichment_id,
        volumes_rooted.volume_scope,
        volumes_rooted.mailbox_id,
        volumes_rooted.mailboxes_count,
        volumes_rooted.copies_count,
        volumes_rooted.day_on,
        deviations.history_days_count,
        deviations.lowest_root,
        deviations.usual_root,
        case
            when volumes_rooted.volume_scope = 'all' then limits.volume_spreads else limits.mailbox_spreads
        end
        * greatest(
            deviations.spread_root,
            limits.volume_least_spread_ratio * deviations.usual_root,
            0.5 / nullif(sqrt(volumes_rooted.mailboxes_count), 0)
        ) as reach_root,
        case
            when volumes_rooted.volume_scope = 'all' then limits.volume_least_copies else limits.mailbox_least_copies
        end as least_copies,
        limits.history_least_days
    from volumes_rooted
    cross join limits
    inner join deviations
        on
            volumes_rooted.enrichment_id = deviations.enrichment_id
            and volumes_rooted.volume_scope = deviations.volume_scope
            and volumes_rooted.mailbox_id = deviations.mailbox_id
            and volumes_rooted.day_on = deviations.day_on

),

expected as (

    select
        enrichment_id,
        volume_scope,
        mailbox_id,
        mailboxes_count,
        copies_count,
        history_days_count,
        history_least_days,
        least_copies,
        usual_root * usual_root * mailboxes_count as usual_copies,
        -- Nothing at all is less than usual also where every one of the earlier days had a little.
        greatest(
            case
                when usual_root > reach_root
                    then (usual_root - reach_root) * (usual_root - reach_root) * mailboxes_count
                else 0
            end,
            case when lowest_root > 0 then 1 else 0 end
        ) as low_copies,
        (usual_root + reach_root) * (usual_root + reach_root) * mailboxes_count as high_copies,
        day_on
    from bounds

)

select
    enrichment_id,
    volume_scope,
    mailbox_id,
    mailboxes_count,
    copies_count,
    history_days_count,
    usual_copies,
    low_copies,
    high_copies,
    case
        when history_days_count < history_least_days or greatest(usual_copies, copies_count) < least_copies
            then 'not_judged'
        when copies_count < low_copies then 'low'
        when copies_count > high_copies then 'high'
        else 'usual'
    end as volume_class,
    day_on
from expected
