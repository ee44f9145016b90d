select
    account_days.enrichment_id,
    account_days.account_id
from {{ ref('int_account_days_aggregated') }} as account_days
cross join {{ ref('as_of') }} as as_of
where
    account_days.happened_on > as_of.as_of_date
    or account_days.known_on > as_of.as_of_date
