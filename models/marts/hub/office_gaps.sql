with

days_not_covered as (

    select * from {{ ref('office_days') }}
    where not is_covered

),

-- Consecutive days keep their distance from their own number.
days_numbered as (

    select
        enrichment_id,
        day_on,
        mailboxes_count - mailboxes_read_count as mailboxes_missing_count,
        {{ days_between("date '2000-01-01'", 'day_on') }}
        - row_number() over (partition by enrichment_id order by day_on nulls last) as gap_number
    from days_not_covered

)

select
    enrichment_id,
    count(*) as days_count,
    max(mailboxes_missing_count) as mailboxes_missing_count,
    min(day_on) as gap_starts_on,
    max(day_on) as gap_ends_on
from days_numbered
group by enrichment_id, gap_number
