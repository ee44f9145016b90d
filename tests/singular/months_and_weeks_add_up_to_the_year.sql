-- Counting only the days of the year window, so that no day is lost or counted twice (D6.5).
with

sums as (

    select
        enrichment_id,
        account_id,
        aggregation_level,
        sum(emails_to_account_count) as emails_to,
        sum(emails_from_account_count) as emails_from,
        sum(meetings_count) as meetings,
        sum(meetings_to_account_count) as meetings_to,
        sum(meetings_from_account_count) as meetings_from,
        sum(replies_count) as replies
    from {{ ref('account_engagement') }}
    group by enrichment_id, account_id, aggregation_level

)

select
    enrichment_id,
    account_id
from sums
group by enrichment_id, account_id
having
    count(*) != 3
    or min(emails_to) != max(emails_to)
    or min(emails_from) != max(emails_from)
    or min(meetings) != max(meetings)
    or min(meetings_to) != max(meetings_to)
    or min(meetings_from) != max(meetings_from)
    or min(replies) != max(replies)
