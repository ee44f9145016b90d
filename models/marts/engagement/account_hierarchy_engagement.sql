with

hierarchies as (

    select * from {{ ref('int_account_hierarchies_resolved') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

recency as (

    select * from {{ ref('account_recency') }}

),

account_years as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'year'

),

messages as (

    select * from {{ ref('int_messages_counted') }}

),

meetings as (

    select * from {{ ref('int_meetings_counted') }}

),

people as (

    select * from {{ ref('int_people_shares_aggregated') }}

),

traffic as (

    select * from {{ ref('account_traffic') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

hierarchies_dated as (

    select
        recency.enrichment_id,
        hierarchies.hierarchy_source,
        hierarchies.hierarchy_id,
        min(case when hierarchies.is_parent then hierarchies.account_id end) as parent_account_id,
        max(hierarchies.hierarchy_name) as hierarchy_name,
        max(hierarchies.levels_count) as levels_count,
        count(*) as accounts_count,
        {{ days_between('max(recency.last_email_on)', 'max(recency.as_of_date)') }} as days_since_last_email,
        {{ days_between('max(recency.last_meeting_on)', 'max(recency.as_of_date)') }} as days_since_last_meeting,
        max(case when hierarchies.is_top then 1 else 0 end) = 1 as is_top,
        max(recency.last_email_on) as last_email_on,
        max(recency.last_meeting_on) as last_meeting_on,
        max(recency.last_contact_on) as last_contact_on,
        max(recency.as_of_date) as as_of_date
    from hierarchies
    inner join recency on hierarchies.account_id = recency.account_id
    group by recency.enrichment_id, hierarchies.hierarchy_source, hierarchies.hierarchy_id

),

account_years_weighted as (

    select
        enrichment_id,
        account_id,
        engagement_score,
        -- Whole numbers and decimals, whose sums are the same in any order.
        cast(emails_to_account_count + emails_from_account_count + meetings_count as decimal(18, 0))
            as interactions
    from account_years

),

scores as (

    select
        account_years_weighted.enrichment_id,
        hierarchies.hierarchy_source,
        hierarchies.hierarchy_id,
        count(*) as accounts_engaged_count,
        max(account_years_weighted.engagement_score) as highest_engagement_score,
        cast(
            sum(account_years_weighted.engagement_score * account_years_weighted.interactions) as double
        ) / nullif(cast(sum(account_years_weighted.interactions) as double), 0) as weighted_engagement_score
    from hierarchies
    inner join account_years_weighted on hierarchies.account_id = account_years_weighted.account_id
    group by account_years_weighted.enrichment_id, hierarchies.hierarchy_source, hierarchies.hierarchy_id

),

-- A message or meeting that counts for two accounts of a hierarchy is one in it.
emails as (

    select
        messages.enrichment_id,
        hierarchies.hierarchy_source,
        hierarchies.hierarchy_id,
        count(distinct case messages.direction when 'to_account' then messages.message_key end) as emails_to_count,
        count(distinct case messages.direction when 'from_account' then messages.message_key end)
            as emails_from_count
    from hierarchies
    inner join messages on hierarchies.account_id = messages.account_id
    inner join as_of on messages.happened_on between as_of.year_starts_on and as_of.as_of_date
    group by messages.enrichment_id, hierarchies.hierarchy_source, hierarchies.hierarchy_id

),

meetings_distinct as (

    select
        meetings.enrichment_id,
        hierarchies.hierarchy_source,
        hierarchies.hierarchy_id,
        count(distinct meetings.meeting_key) as meetings_count,
        count(distinct case meetings.initiated_by when 'own' then meetings.meeting_key end) as meetings_to_count,
        -- What one account of the hierarchy organised is a third party's for the others, and the hierarchy's own.
        count(distinct case meetings.initiated_by when 'account' then meetings.meeting_key end)
            as meetings_from_count
    from hierarchies
    inner join meetings on hierarchies.account_id = meetings.account_id
    inner join as_of on meetings.happened_on between as_of.year_starts_on and as_of.as_of_date
    group by meetings.enrichment_id, hierarchies.hierarchy_source, hierarchies.hierarchy_id

),

people_distinct as (

    select
        people.enrichment_id,
        hierarchies.hierarchy_source,
        hierarchies.hierarchy_id,
        count(distinct case people.side when 'own' then people.person_key end) as own_people_count,
        count(distinct case people.side when 'account' then people.person_key end) as contacts_count
    from hierarchies
    inner join people on hierarchies.account_id = people.account_id
    group by people.enrichment_id, hierarchies.hierarchy_source, hierarchies.hierarchy_id

),

-- Contacts of several accounts add up, so a hierarchy's number is shown only where each of its accounts shows its own;
-- and where two of them are small, even a small band would tell that both are smaller.
people_parts as (

    select
        traffic.enrichment_id,
        hierarchies.hierarchy_source,
        hierarchies.hierarchy_id,
        sum(case when traffic.own_people_count is null then 1 else 0 end) = 0 as is_own_people_count_shown,
        sum(case when traffic.contacts_count is null then 1 else 0 end) = 0 as is_contacts_count_shown,
        sum(case when traffic.own_people_band like '1-%' then 1 else 0 end) > 1
        and sum(case when traffic.own_people_band not like '1-%' and traffic.own_people_band != '0' then 1 else 0 end)
        = 0 as is_own_people_anybody_only,
        sum(case when traffic.contacts_band like '1-%' then 1 else 0 end) > 1
        and sum(case when traffic.contacts_band not like '1-%' and traffic.contacts_band != '0' then 1 else 0 end)
        = 0 as is_contacts_anybody_only
    from hierarchies
    inner join traffic on hierarchies.account_id = traffic.account_id
    group by traffic.enrichment_id, hierarchies.hierarchy_source, hierarchies.hierarchy_id

),

people_measured as (

    select
        hierarchies_dated.enrichment_id,
        hierarchies_dated.hierarchy_source,
        hierarchies_dated.hierarchy_id,
        coalesce(people_distinct.own_people_count, 0) as own_people_count,
        coalesce(people_distinct.contacts_count, 0) as contacts_count,
        coalesce(people_parts.is_own_people_count_shown, true) as is_own_people_count_shown,
        coalesce(people_parts.is_contacts_count_shown, true) as is_contacts_count_shown,
        coalesce(people_parts.is_own_people_anybody_only, false) as is_own_people_anybody_only,
        coalesce(people_parts.is_contacts_anybody_only, false) as is_contacts_anybody_only
    from hierarchies_dated
    left join people_distinct
        on
            hierarchies_dated.enrichment_id = people_distinct.enrichment_id
            and hierarchies_dated.hierarchy_source = people_distinct.hierarchy_source
            and hierarchies_dated.hierarchy_id = people_distinct.hierarchy_id
    left join people_parts
        on
            hierarchies_dated.enrichment_id = people_parts.enrichment_id
            and hierarchies_dated.hierarchy_source = people_parts.hierarchy_source
            and hierarchies_dated.hierarchy_id = people_parts.hierarchy_id

)

select
    hierarchies_dated.enrichment_id,
    hierarchies_dated.hierarchy_source,
    {{ addresses_masked('hierarchies_dated.hierarchy_id') }} as hierarchy_id,
    hierarchies_dated.parent_account_id,
    {{ addresses_masked('hierarchies_dated.hierarchy_name') }} as hierarchy_name,
    hierarchies_dated.levels_count,
    hierarchies_dated.accounts_count,
    coalesce(scores.accounts_engaged_count, 0) as accounts_engaged_count,
    coalesce(emails.emails_to_count, 0) as emails_to_accounts_count,
    coalesce(emails.emails_from_count, 0) as emails_from_accounts_count,
    coalesce(meetings_distinct.meetings_count, 0) as meetings_count,
    coalesce(meetings_distinct.meetings_to_count, 0) as meetings_to_accounts_count,
    coalesce(meetings_distinct.meetings_from_count, 0) as meetings_from_accounts_count,
    {{ people_shown('people_measured.own_people_count', 'people_measured.is_own_people_count_shown') }}
        as own_people_count,
    {{ people_band(
        'people_measured.own_people_count',
        'people_measured.is_own_people_count_shown',
        'people_measured.is_own_people_anybody_only',
    ) }} as own_people_band,
    {{ people_shown('people_measured.contacts_count', 'people_measured.is_contacts_count_shown') }}
        as contacts_count,
    {{ people_band(
        'people_measured.contacts_count',
        'people_measured.is_contacts_count_shown',
        'people_measured.is_contacts_anybody_only',
    ) }} as contacts_band,
    hierarchies_dated.days_since_last_email,
    hierarchies_dated.days_since_last_meeting,
    cast(scores.highest_engagement_score as decimal(9, 4)) as highest_engagement_score,
    cast(scores.weighted_engagement_score as decimal(9, 4)) as weighted_engagement_score,
    hierarchies_dated.is_top,
    {{ is_never_engaged('hierarchies_dated.days_since_last_email', 'hierarchies_dated.days_since_last_meeting') }}
        as is_never_engaged,
    {{ is_stale('hierarchies_dated.days_since_last_email', 'hierarchies_dated.days_since_last_meeting') }} as is_stale,
    hierarchies_dated.last_email_on,
    hierarchies_dated.last_meeting_on,
    hierarchies_dated.last_contact_on,
    hierarchies_dated.as_of_date
from hierarchies_dated
left join scores
    on
        hierarchies_dated.enrichment_id = scores.enrichment_id
        and hierarchies_dated.hierarchy_source = scores.hierarchy_source
        and hierarchies_dated.hierarchy_id = scores.hierarchy_id
left join emails
    on
        hierarchies_dated.enrichment_id = emails.enrichment_id
        and hierarchies_dated.hierarchy_source = emails.hierarchy_source
        and hierarchies_dated.hierarchy_id = emails.hierarchy_id
left join meetings_distinct
    on
        hierarchies_dated.enrichment_id = meetings_distinct.enrichment_id
        and hierarchies_dated.hierarchy_source = meetings_distinct.hierarchy_source
        and hierarchies_dated.hierarchy_id = meetings_distinct.hierarchy_id
inner join people_measured
    on
        hierarchies_dated.enrichment_id = people_measured.enrichment_id
        and hierarchies_dated.hierarchy_source = people_measured.hierarchy_source
        and hierarchies_dated.hierarchy_id = people_measured.hierarchy_id
cross join reporting
