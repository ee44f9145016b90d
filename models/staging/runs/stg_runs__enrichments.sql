with

settings as (

    select * from {{ source('runs', 'settings') }}
    where enrichment_id != ''

),

enrichments_configured as (

    {{ enrichment_settings() }}

)

-- One that nobody consents to any more is, to every model but the hub, one that is not configured any more.
select
    enrichment_id,
    enrichment_type,
    enrichment_name,
    output_table,
    refresh_frequency,
    refresh_hours,
    list_position,
    max_age_days,
    tolerated_failures_ratio,
    is_active,
    matches_domains,
    publishes_contacts,
    is_waiting_for_consent
from enrichments_configured
where has_outputs
