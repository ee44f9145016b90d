{%- set value_attribute = var('value_attribute') -%}

with

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

office_enrichments as (

    select enrichment_id from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

-- Without mail an account is judged once, by its company alone.
enrichments as (

    select enrichment_id from office_enrichments

    union all

    select 'none' as enrichment_id
    where not exists (select office_enrichments.enrichment_id from office_enrichments)

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_judged

),

contacts as (

    select * from {{ ref('int_contacts_dated') }}

),

top_shares as (

    select * from {{ ref('int_top_shares_measured') }}

),

rhythms as (

    select * from {{ ref('int_rhythms_measured') }}

),

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_series in ('year', 'history') and score_version = '{{ var("score_version") }}'

),

score_changes as (

    select
        enrichment_id,
        account_id,
        scored_on,
        sum(own_change_points) as own_change_points
    from {{ ref('int_score_changes_explained') }}
    where score_version = '{{ var("score_version") }}'
    group by enrichment_id, account_id, scored_on

),

-- Between two week ends the newest four of them tell.
score_changes_of_4_weeks as (

    select
        score_changes.enrichment_id,
        score_changes.account_id,
        segment_dates.judged_on,
        cast(sum(score_changes.own_change_points) as decimal(9, 4)) as own_change_points
    from score_changes
    inner join segment_dates
        on
            score_changes.scored_on <= segment_dates.judged_on
            and score_changes.scored_on > cast(segment_dates.judged_on - interval 28 day as date)
    group by score_changes.enrichment_id, score_changes.account_id, segment_dates.judged_on

),

profiles as (

    select * from {{ ref('int_profiles_spread') }}

),

profiles_valued as (

    select
        accounts.account_id,
        {% if value_attribute is none -%}
            profiles.annual_revenue_usd as value_amount
        {%- else -%}
            {{ own_number('accounts.attributes_json', value_attribute) }} as value_amount
        {%- endif %}
    from accounts
    inner join profiles on accounts.account_id = profiles.account_id

),

-- Share of the accounts with a value whose value is lower.
values_placed as (

    select
        account_id,
        value_amount,
        cast(rank() over (order by value_amount nulls last) - 1 as double)
        / nullif(count(*) over (), 0) as value_place_ratio
    from profiles_valued
    where value_amount is not null

),

first_answers as (

    select
        answers.account_id,
        min({{ local_day('answers.known_from_at', 'reporting.time_zone') }}) as enriched_from_on
    from {{ ref('int_answers_dated') }} as answers
    cross join reporting
    where answers.is_enriched
    group by answers.account_id

),

-- Today's row knows today's answers, though they came after the as-of date; a rebuilt past knows none that came later.
answers_known as (

    select
        first_answers.account_id,
        segment_dates.judged_on,
        {% if var('as_of_date') is none -%}
            least(first_answers.enriched_from_on, segment_dates.judged_on) as enriched_from_on
        {%- else -%}
            first_answers.enriched_from_on
        {%- endif %}
    from first_answers
    inner join segment_dates
        on
            first_answers.enriched_from_on <= segment_dates.judged_on
            {% if var('as_of_date') is none -%}
                or segment_dates.is_current
            {%- endif %}

)

select
    enrichments.enrichment_id,
    accounts.account_id,
    segment_dates.judged_on,
    segment_dates.is_current,
    accounts.account_name,
    accounts.website,
    accounts.country,
    accounts.parent_account_id,
    accounts.attributes_json,
    profiles.company_name,
    profiles.company_country,
    profiles.company_region,
    profiles.company_state,
    profiles.company_city,
    profiles.industry,
    profiles.sub_industry,
    profiles.sic_code,
    profiles.naics_code,
    profiles.ownership_type,
    profiles.employees_count,
    profiles.employees_range,
    profiles.annual_revenue_usd,
    profiles.annual_revenue_range,
    values_placed.value_amount,
    values_placed.value_place_ratio,
    {{ days_between('answers_known.enriched_from_on', 'segment_dates.judged_on') }} as days_since_enriched,
    scores.engagement_score,
    score_changes_of_4_weeks.own_change_points as own_score_change_points,
    coalesce(contacts.emails_to_account_count, 0) as emails_to_account_count,
    coalesce(contacts.emails_from_account_count, 0) as emails_from_account_count,
    coalesce(contacts.meetings_count, 0) as meetings_count,
    coalesce(contacts.emails_to_account_count + contacts.emails_from_account_count + contacts.meetings_count, 0)
        as interactions_count,
    coalesce(contacts.inbound_count, 0) as inbound_count,
    coalesce(contacts.outbound_count, 0) as outbound_count,
    {{ days_between('contacts.last_email_on', 'segment_dates.judged_on') }} as days_since_last_email,
    {{ days_between('contacts.last_meeting_on', 'segment_dates.judged_on') }} as days_since_last_meeting,
    coalesce(rhythms.rhythm_state, 'never_active') as rhythm_state,
    rhythms.silence_days,
    rhythms.usual_gap_days,
    -- This is about one person.
    case
        when not reporting.is_banded
            then
                cast(top_shares.top_contact_count as double)
                / nullif(
                    contacts.emails_to_account_count + contacts.emails_from_account_count + contacts.meetings_count, 0
                )
    end as top_contact_share_ratio
from accounts
cross join enrichments
cross join segment_dates
cross join reporting
inner join profiles on accounts.account_id = profiles.account_id
left join values_placed on accounts.account_id = values_placed.account_id
left join answers_known
    on
        accounts.account_id = answers_known.account_id
        and segment_dates.judged_on = answers_known.judged_on
left join contacts
    on
        enrichments.enrichment_id = contacts.enrichment_id
        and accounts.account_id = contacts.account_id
        and segment_dates.judged_on = contacts.judged_on
left join scores
    on
        enrichments.enrichment_id = scores.enrichment_id
        and accounts.account_id = scores.account_id
        and segment_dates.judged_on = scores.scored_on
        and segment_dates.known_by_on = scores.known_by_on
left join score_changes_of_4_weeks
    on
        enrichments.enrichment_id = score_changes_of_4_weeks.enrichment_id
        and accounts.account_id = score_changes_of_4_weeks.account_id
        and segment_dates.judged_on = score_changes_of_4_weeks.judged_on
left join rhythms
    on
        enrichments.enrichment_id = rhythms.enrichment_id
        and accounts.account_id = rhythms.account_id
        and segment_dates.judged_on = rhythms.scored_on
        and segment_dates.known_by_on = rhythms.known_by_on
left join top_shares
    on
        enrichments.enrichment_id = top_shares.enrichment_id
        and accounts.account_id = top_shares.account_id
        and segment_dates.judged_on = top_shares.scored_on
        and segment_dates.known_by_on = top_shares.known_by_on
