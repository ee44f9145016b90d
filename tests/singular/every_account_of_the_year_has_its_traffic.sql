-- Every counted e-mail and meeting has one of ours and one of the account, so no account is lost on the way.
select
    account_engagement.enrichment_id,
    account_engagement.account_id
from {{ ref('account_engagement') }} as account_engagement
left join {{ ref('account_traffic') }} as account_traffic
    on
        account_engagement.enrichment_id = account_traffic.enrichment_id
        and account_engagement.account_id = account_traffic.account_id
where
    account_engagement.aggregation_level = 'year'
    and (
        account_traffic.account_id is null
        or account_traffic.interactions_count
        != account_engagement.emails_to_account_count
        + account_engagement.emails_from_account_count
        + account_engagement.meetings_count
    )
