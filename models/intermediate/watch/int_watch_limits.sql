with

limits as (

    select * from {{ ref('data_watch_limits') }}

)

-- The seed's rows as columns of one row, which the models of the watch cross join; the seed's check sees to it that
-- none is null.
select
    max(case when limit_name = 'days_judged' then limit_value end) as days_judged,
    max(case when limit_name = 'history_weeks' then limit_value end) as history_weeks,
    max(case when limit_name = 'history_least_days' then limit_value end) as history_least_days,
    max(case when limit_name = 'volume_spreads' then limit_value end) as volume_spreads,
    max(case when limit_name = 'volume_least_spread_ratio' then limit_value end) as volume_least_spread_ratio,
    max(case when limit_name = 'volume_least_copies' then limit_value end) as volume_least_copies,
    max(case when limit_name = 'volume_loss_ratio' then limit_value end) as volume_loss_ratio,
    max(case when limit_name = 'mailbox_spreads' then limit_value end) as mailbox_spreads,
    max(case when limit_name = 'mailbox_least_copies' then limit_value end) as mailbox_least_copies,
    max(case when limit_name = 'mailboxes_unusual_ratio' then limit_value end) as mailboxes_unusual_ratio,
    max(case when limit_name = 'mailboxes_unusual_least' then limit_value end) as mailboxes_unusual_least,
    max(case when limit_name = 'quiet_history_days' then limit_value end) as quiet_history_days,
    max(case when limit_name = 'quiet_mail_days_least' then limit_value end) as quiet_mail_days_least,
    max(case when limit_name = 'quiet_gaps' then limit_value end) as quiet_gaps,
    max(case when limit_name = 'quiet_days_least' then limit_value end) as quiet_days_least,
    max(case when limit_name = 'quiet_most_ratio' then limit_value end) as quiet_most_ratio,
    max(case when limit_name = 'freshness_days' then limit_value end) as freshness_days,
    max(case when limit_name = 'old_answers_ratio' then limit_value end) as old_answers_ratio,
    max(case when limit_name = 'matches_loss_ratio' then limit_value end) as matches_loss_ratio,
    max(case when limit_name = 'matches_least_messages' then limit_value end) as matches_least_messages,
    max(case when limit_name = 'customers_loss_ratio' then limit_value end) as customers_loss_ratio,
    max(case when limit_name = 'customers_least' then limit_value end) as customers_least,
    max(case when limit_name = 'fields_lost_least_answers' then limit_value end) as fields_lost_least_answers,
    max(case when limit_name = 'unreadable_ratio' then limit_value end) as unreadable_ratio
from limits
