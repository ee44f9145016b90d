{{ config(materialized=renaming()) }}

with

account_engagement as (

    select * from {{ ref('account_engagement') }}

)

select
    enrichment_id,
    account_id as {{ adapter.quote('CustomerId') }},
    primary_key as {{ adapter.quote('PrimaryKey') }},
    engagement_score as {{ adapter.quote('EngagementScore') }},
    emails_to_account_count as {{ adapter.quote('NoOfEmails_ToAccount') }},
    emails_from_account_count as {{ adapter.quote('NoOfEmails_FromAccount') }},
    meetings_from_account_count as {{ adapter.quote('NoOfMeetings_FromAccount') }},
    meetings_to_account_count as {{ adapter.quote('NoOfMeetings_ToAccount') }},
    own_people_in_meetings_count as {{ adapter.quote('NoOfContactsInvolved_Meetings') }},
    own_people_in_emails_count as {{ adapter.quote('NoOfContactsInvolved_Emails') }},
    account_people_in_meetings_count as {{ adapter.quote('NoOfAccountContactsInvolved_Meetings') }},
    account_people_in_emails_count as {{ adapter.quote('NoOfAccountContactsInvolved_Emails') }},
    engagement_started_on as {{ adapter.quote('EngagementStartDate') }},
    days_since_last_email as {{ adapter.quote('DaysSinceLastEmail') }},
    days_since_last_meeting as {{ adapter.quote('DaysSinceLastMeeting') }},
    meeting_duration_mean_minutes as {{ adapter.quote('AverageDuration_Of_Meetings') }},
    reply_time_mean_hours as {{ adapter.quote('AverageDuration_Of_AccountEmailReplies') }},
    aggregation_starts_on as {{ adapter.quote('AggregationStartDate') }},
    aggregation_level as {{ adapter.quote('AggregationLevel') }}
from account_engagement
