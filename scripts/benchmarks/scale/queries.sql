-- What dashboards ask the published file (benchmarks.scale.steps).

-- step: accounts of today
select account_id, account_name, engagement_score, is_stale, days_since_last_email
from marts.enriched_customers
order by engagement_score desc nulls last
limit 200;

-- step: stale accounts by tier
select tier, count(*) as accounts_count, sum(case when is_stale then 1 else 0 end) as stale_accounts_count
from marts.enriched_customers
group by tier;

-- step: mail of all accounts by month
select aggregation_starts_on, sum(emails_to_account_count), sum(emails_from_account_count), sum(meetings_to_account_count)
from marts.account_engagement
where aggregation_level = 'month'
group by aggregation_starts_on
order by aggregation_starts_on;

-- step: weeks of one account
select aggregation_starts_on, engagement_score, emails_to_account_count, emails_from_account_count
from marts.account_engagement
where account_id = 'A-1' and aggregation_level = 'week'
order by aggregation_starts_on;

-- step: mean score of each week
select week_ends_on, avg(engagement_score), count(*)
from marts.account_score_history
group by week_ends_on
order by week_ends_on;

-- step: accounts that lost most
select account_id, min(engagement_score), max(engagement_score)
from marts.account_score_history
group by account_id
order by max(engagement_score) - min(engagement_score) desc
limit 50;

-- step: members of segments
select segment_id, count(*) from marts.segment_members group by segment_id;

-- step: where everything that was read ended up
select bucket, sum(items_count) from marts.office_coverage group by bucket;

-- step: unmatched domains
select mail_domain, messages_from_count from marts.unmatched_domains order by messages_from_count desc limit 100;
