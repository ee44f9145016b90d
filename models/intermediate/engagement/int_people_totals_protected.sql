with

account_periods as (

    select * from {{ ref('int_account_periods_aggregated') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}
    where is_banded

)

select
    account_periods.enrichment_id,
    account_periods.account_id,
    {{ year_hides_its_parts('account_periods.own_people_in_emails_count') }} as is_own_people_in_emails_shown,
    {{ year_hides_its_parts('account_periods.account_people_in_emails_count') }}
        as is_account_people_in_emails_shown,
    {{ year_hides_its_parts('account_periods.own_people_in_meetings_count') }} as is_own_people_in_meetings_shown,
    {{ year_hides_its_parts('account_periods.account_people_in_meetings_count') }}
        as is_account_people_in_meetings_shown
from account_periods
cross join reporting
group by account_periods.enrichment_id, account_periods.account_id
