{#- What a provider's table and a company file both know, under the names that they have here. -#}
{%- set match_columns, company_columns = {}, {} -%}
{%- for column in ['company_id', 'match_verdict', 'match_confidence'] -%}
    {%- do match_columns.update({column: column}) -%}
{%- endfor -%}
{%- for column in [
    'company_name', 'company_website', 'company_phone', 'company_linkedin_url', 'company_country', 'company_region',
    'company_state', 'company_city', 'company_street', 'company_postal_code', 'industry', 'sub_industry',
    'sic_code', 'naics_code', 'ownership_type', 'employees_range', 'annual_revenue_range', 'employees_count',
    'annual_revenue_usd'
] -%}
    {%- do company_columns.update({column: column}) -%}
{%- endfor -%}

with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

-- The people involved are left out: what is said of small numbers is checked in columns, not in JSON.
office_values as (

    select
        enrichment_id,
        account_id,
        'Office 365' as enrichment_provider,
        {{ json_named_values({
            'EngagementScore': 'cast(engagement_score as double)',
            'NoOfEmails_ToAccount': 'emails_to_account_count',
            'NoOfEmails_FromAccount': 'emails_from_account_count',
            'NoOfMeetings_FromAccount': 'meetings_from_account_count',
            'NoOfMeetings_ToAccount': 'meetings_to_account_count',
            'EngagementStartDate': 'cast(engagement_started_on as string)',
            'DaysSinceLastEmail': 'days_since_last_email',
            'DaysSinceLastMeeting': 'days_since_last_meeting',
            'AverageDuration_Of_Meetings': 'meeting_duration_mean_minutes',
            'AverageDuration_Of_AccountEmailReplies': 'reply_time_mean_hours',
            'AggregationStartDate': 'cast(aggregation_starts_on as string)',
            'AggregationLevel': 'aggregation_level',
        }) }} as values_json
    from {{ ref('account_engagement') }}
    where aggregation_level = 'year'

),

leadspace_values as (

    select
        enrichment_id,
        account_id,
        'Leadspace' as enrichment_provider,
        {{ json_named_values(dict(match_columns, **company_columns)) }} as values_json
    from {{ ref('leadspace_companies') }}

),

company_file_values as (

    select
        enrichment_id,
        {{ adapter.quote('CustomerId') }} as account_id,
        'Company file' as enrichment_provider,
        {{ json_named_values(company_columns) }} as values_json
    from {{ ref('company_file_companies') }}

),

all_values as (

    select * from office_values
    union all
    select * from leadspace_values
    union all
    select * from company_file_values

),

identified as (

    select
        all_values.account_id,
        all_values.enrichment_provider,
        -- Of several enrichments of a type each has its own.
        enrichments.output_table as enrichment_type,
        all_values.values_json,
        all_values.enrichment_provider || '|' || enrichments.output_table || '|' || all_values.account_id as identifier
    from all_values
    inner join enrichments on all_values.enrichment_id = enrichments.enrichment_id

)

select
    account_id as {{ adapter.quote('CustomerId') }},
    enrichment_provider as {{ adapter.quote('EnrichmentProvider') }},
    enrichment_type as {{ adapter.quote('EnrichmentType') }},
    values_json as {{ adapter.quote('Values') }},
    {{ guid_of('identifier') }} as {{ adapter.quote('EnrichmentId') }},
    identifier as {{ adapter.quote('Identifier') }}
from identified
