with

mailbox_days as (

    select mailbox_days.*
    from {{ ref('int_mailbox_days_counted') }} as mailbox_days
    cross join {{ ref('as_of') }} as as_of
    cross join {{ ref('int_watch_limits') }} as limits
    where {{ days_between('mailbox_days.day_on', 'as_of.as_of_date') }} < limits.quiet_history_days

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

mail_days as (

    select
        enrichment_id,
        mailbox_id,
        day_on,
        lag(day_on) over (
            partition by enrichment_id, mailbox_id
            order by day_on nulls last
        ) as previous_on
    from mailbox_days
    where copies_count > 0

),

rhythms as (

    select
        enrichment_id,
        mailbox_id,
        count(*) as mail_days_count,
        -- Nine of ten gaps are no longer: weekends are in it, and the leave of a year ago is not.
        {{ quantile(days_between('previous_on', 'day_on'), 0.9) }} as usual_gap_days,
        max(day_on) as last_mail_on
    from mail_days
    group by enrichment_id, mailbox_id

),

-- Only days that were read tell of silence.
silences as (

    select
        rhythms.enrichment_id,
        rhythms.mailbox_id,
        rhythms.mail_days_count,
        rhythms.usual_gap_days,
        rhythms.last_mail_on,
        count(mailbox_days.day_on) as quiet_days_count
    from rhythms
    left join mailbox_days
        on
            rhythms.enrichment_id = mailbox_days.enrichment_id
            and rhythms.mailbox_id = mailbox_days.mailbox_id
            and rhythms.last_mail_on < mailbox_days.day_on
    group by
        rhythms.enrichment_id,
        rhythms.mailbox_id,
        rhythms.mail_days_count,
        rhythms.usual_gap_days,
        rhythms.last_mail_on

)

select
    silences.enrichment_id,
    silences.mailbox_id,
    silences.mail_days_count,
    silences.quiet_days_count,
    silences.quiet_days_count >= limits.quiet_days_least
    and silences.quiet_days_count > limits.quiet_gaps * silences.usual_gap_days as is_quiet,
    silences.usual_gap_days,
    silences.last_mail_on
from silences
cross join limits
where silences.mail_days_count >= limits.quiet_mail_days_least
