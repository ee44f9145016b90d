{%- set weeks = 4 -%}
with

customers as (

    select * from {{ ref('enriched_customers') }}

),

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

contacts as (

    select * from {{ ref('stg_customers__contacts') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

profiles as (

    select * from {{ ref('customer_profiles') }}

),

company_values as (

    select * from {{ ref('company_values') }}

),

scores as (

    select * from {{ ref('account_scores') }}
    where aggregation_level = 'year' and score_version = '{{ var("score_version") }}'

),

score_changes as (

    select * from {{ ref('account_score_changes') }}
    where score_version = '{{ var("score_version") }}'

),

outlook as (

    select * from {{ ref('account_outlook') }}

),

account_years as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'year'

),

members as (

    select * from {{ ref('segment_members') }}

),

profile_dates as (

    select
        account_id,
        {{ company_values_spread('known_from_at', '_known_from_at') }}
    from company_values
    where is_chosen
    group by account_id

),

enriched_accounts as (

    select distinct account_id
    from company_values
    where source_name != 'customers'

),

children as (

    select
        parent_account_id,
        count(*) as child_accounts_count,
        {{ joined_texts('account_id', ', ') }} as child_account_ids
    from accounts
    where parent_account_id is not null and parent_account_id != account_id
    group by parent_account_id

),

contacts_listed as (

    select
        account_id,
        count(distinct contact_id) as contacts_listed
    from contacts
    group by account_id

),

segments_listed as (

    select
        enrichment_id,
        account_id,
        {{ joined_texts('segment_id', ',') }} as segments
    from members
    group by enrichment_id, account_id

),

newest_weeks as (

    select
        enrichment_id,
        max(week_ends_on) as week_ends_on
    from score_changes
    group by enrichment_id

),

-- Of accounts that were scored at the beginning of the weeks and at the end of each.
component_changes as (

    select
        score_changes.enrichment_id,
        score_changes.account_id,
        score_changes.component,
        cast(
            sum(coalesce(score_changes.points_earned, 0) - coalesce(score_changes.previous_points, 0)) as decimal(9, 4)
        ) as change_points
    from score_changes
    inner join newest_weeks on score_changes.enrichment_id = newest_weeks.enrichment_id
    where score_changes.week_ends_on > cast(newest_weeks.week_ends_on - interval {{ 7 * weeks }} day as date)
    group by score_changes.enrichment_id, score_changes.account_id, score_changes.component
    having count(distinct score_changes.week_ends_on) = {{ weeks }}

),

component_changes_ranked as (

    select
        enrichment_id,
        account_id,
        component,
        change_points,
        sum(change_points) over (partition by enrichment_id, account_id) as score_change_points,
        row_number() over (
            partition by enrichment_id, account_id
            order by abs(change_points) desc nulls last, component nulls last
        ) as place_in_account
    from component_changes

),

score_movements as (

    select
        enrichment_id,
        account_id,
        cast(score_change_points as decimal(9, 4)) as score_change_points,
        case when change_points != 0 then component end as score_change_component,
        case when change_points != 0 then change_points end as component_change_points
    from component_changes_ranked
    where place_in_account = 1

)

select
    customers.account_id,
    customers.account_name,
    customers.website,
    customers.country,
    {{ own_column('accounts.attributes_json', "'" ~ var('owner_attribute') ~ "'") }} as account_owner,
    customers.parent_account_id,
    {{ addresses_masked('parents.account_name') }} as parent_account_name,
    children.child_account_ids,
    profiles.company_name,
    profiles.company_name_source,
    profile_dates.company_name_known_from_at,
    profiles.company_website,
    profiles.company_website_source,
    profile_dates.company_website_known_from_at,
    profiles.company_country,
    profiles.company_country_source,
    profile_dates.company_country_known_from_at,
    profiles.company_city,
    profiles.company_city_source,
    profile_dates.company_city_known_from_at,
    profiles.industry,
    profiles.industry_source,
    profile_dates.industry_known_from_at,
    profiles.sub_industry,
    profiles.sub_industry_source,
    profile_dates.sub_industry_known_from_at,
    profiles.employees_range,
    profiles.employees_range_source,
    profile_dates.employees_range_known_from_at,
    profiles.annual_revenue_range,
    profiles.annual_revenue_range_source,
    profile_dates.annual_revenue_range_known_from_at,
    profiles.employees_count,
    profiles.employees_count_source,
    profile_dates.employees_count_known_from_at,
    profiles.annual_revenue_usd,
    profiles.annual_revenue_usd_source,
    profile_dates.annual_revenue_usd_known_from_at,
    customers.leadspace_enrichment_id,
    customers.lookup_status,
    customers.match_verdict,
    customers.match_confidence,
    customers.office_enrichment_id,
    customers.engagement_score,
    scores.score_band,
    scores.score_rank,
    scores.accounts_count as accounts_scored_count,
    scores.score_confidence,
    scores.anchored_score,
    score_movements.score_change_points,
    score_movements.score_change_component,
    score_movements.component_change_points,
    case
        when customers.office_enrichment_id is not null
            then coalesce(customers.emails_to_account_count + customers.emails_from_account_count, 0)
    end as emails_count,
    case when customers.office_enrichment_id is not null then coalesce(customers.emails_to_account_count, 0) end
        as emails_to_account_count,
    case when customers.office_enrichment_id is not null then coalesce(customers.emails_from_account_count, 0) end
        as emails_from_account_count,
    case when customers.office_enrichment_id is not null then coalesce(customers.meetings_count, 0) end
        as meetings_count,
    case when customers.office_enrichment_id is not null then coalesce(account_years.replies_count, 0) end
        as replies_count,
    customers.reply_time_median_hours,
    customers.own_people_in_emails_count,
    customers.own_people_in_emails_band,
    customers.account_people_in_emails_count,
    customers.account_people_in_emails_band,
    customers.own_people_in_meetings_count,
    customers.own_people_in_meetings_band,
    customers.account_people_in_meetings_count,
    customers.account_people_in_meetings_band,
    {{ people_shown('coalesce(contacts_listed.contacts_listed, 0)') }} as contacts_listed_count,
    {{ people_band('coalesce(contacts_listed.contacts_listed, 0)') }} as contacts_listed_band,
    coalesce(children.child_accounts_count, 0) as child_accounts_count,
    customers.days_since_last_email,
    customers.days_since_last_meeting,
    outlook.rhythm_state,
    outlook.usual_gap_days,
    outlook.inbound_chance_ratio,
    segments_listed.segments,
    enriched_accounts.account_id is not null as is_enriched,
    customers.is_never_engaged,
    customers.is_stale,
    customers.last_email_on,
    customers.last_meeting_on,
    customers.as_of_date
from customers
inner join accounts on customers.account_id = accounts.account_id
cross join reporting
left join accounts as parents on accounts.parent_account_id = parents.account_id
left join children on customers.account_id = children.parent_account_id
left join profiles on customers.account_id = profiles.account_id
left join profile_dates on customers.account_id = profile_dates.account_id
left join enriched_accounts on customers.account_id = enriched_accounts.account_id
left join contacts_listed on customers.account_id = contacts_listed.account_id
left join scores
    on
        customers.office_enrichment_id = scores.enrichment_id
        and customers.account_id = scores.account_id
left join score_movements
    on
        customers.office_enrichment_id = score_movements.enrichment_id
        and customers.account_id = score_movements.account_id
left join outlook
    on
        customers.office_enrichment_id = outlook.enrichment_id
        and customers.account_id = outlook.account_id
left join account_years
    on
        customers.office_enrichment_id = account_years.enrichment_id
        and customers.account_id = account_years.account_id
left join segments_listed
    on
        coalesce(customers.office_enrichment_id, 'none') = segments_listed.enrichment_id
        and customers.account_id = segments_listed.account_id
