{{ config(materialized=renaming()) }}

with

weeks as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'week'

),

enrichments as (

    select * from {{ ref('enrichments') }}

),

activities as (

    select
        weeks.account_id,
        enrichments.output_table,
        weeks.primary_key,
        'Email' as activity_type,
        cast(weeks.emails_to_account_count + weeks.emails_from_account_count as string)
        || ' e-mail'
        || case weeks.emails_to_account_count + weeks.emails_from_account_count when 1 then '' else 's' end
            as title,
        cast(weeks.emails_to_account_count as string) || ' to the account, '
        || cast(weeks.emails_from_account_count as string) || ' from it, in the week from '
        || cast(weeks.aggregation_starts_on as string) as description,
        '[{"name":"EmailsToAccount","value":' || cast(weeks.emails_to_account_count as string)
        || '},{"name":"EmailsFromAccount","value":' || cast(weeks.emails_from_account_count as string)
        || '}]' as semantic_data,
        weeks.aggregation_starts_on
    from weeks
    inner join enrichments on weeks.enrichment_id = enrichments.enrichment_id
    where weeks.emails_to_account_count + weeks.emails_from_account_count > 0

    union all

    select
        weeks.account_id,
        enrichments.output_table,
        weeks.primary_key,
        'Meeting' as activity_type,
        cast(weeks.meetings_count as string)
        || ' meeting' || case weeks.meetings_count when 1 then '' else 's' end as title,
        cast(weeks.meetings_to_account_count as string) || ' by us, '
        || cast(weeks.meetings_from_account_count as string) || ' by the account, in the week from '
        || cast(weeks.aggregation_starts_on as string) as description,
        '[{"name":"Meetings","value":' || cast(weeks.meetings_count as string)
        || '},{"name":"MeetingsToAccount","value":' || cast(weeks.meetings_to_account_count as string)
        || '},{"name":"MeetingsFromAccount","value":' || cast(weeks.meetings_from_account_count as string)
        || '}]' as semantic_data,
        weeks.aggregation_starts_on
    from weeks
    inner join enrichments on weeks.enrichment_id = enrichments.enrichment_id
    where weeks.meetings_count > 0

),

activities_hashed as (

    select
        *,
        md5(output_table || '|' || primary_key || '|' || activity_type) as activity_hash
    from activities

)

-- Nothing finer than a week of an account is published.
select
    account_id as {{ adapter.quote('CustomerId') }},
    activity_hash as {{ adapter.quote('ActivityId') }},
    output_table as {{ adapter.quote('SourceTableName') }},
    primary_key as {{ adapter.quote('SourceActivityId') }},
    activity_type as {{ adapter.quote('ActivityType') }},
    cast(aggregation_starts_on as timestamp) as {{ adapter.quote('ActivityTimeStamp') }},
    title as {{ adapter.quote('Title') }},
    description as {{ adapter.quote('Description') }},
    cast(null as string) as {{ adapter.quote('URL') }},
    semantic_data as {{ adapter.quote('SemanticData') }},
    cast(86400 * {{ days_between("date '1970-01-01'", 'aggregation_starts_on') }} as string)
        as {{ adapter.quote('RangeIndex') }},
    substr(activity_hash, 1, 8) || '-' || substr(activity_hash, 9, 4) || '-' || substr(activity_hash, 13, 4)
    || '-' || substr(activity_hash, 17, 4) || '-' || substr(activity_hash, 21, 12)
        as {{ adapter.quote('UnifiedActivityId') }}
from activities_hashed
